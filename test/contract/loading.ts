/** Each way in which openssl.wasm cannot be had is an error that says which. */
import QUnit from "qunit";
import { OpenSsl, TlsError } from "wassl";
import type { LoadOptions } from "wassl/openssl";
import { env } from "./env.ts";
import { tlsError } from "./helpers.ts";

/** A WebAssembly module, complete, with nothing in it. */
const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

function response(body: BodyInit, type: string, status = 200): Response {
  return new Response(body, { status, headers: { "content-type": type } });
}

QUnit.module("loading", () => {
  for (const [what, source, code] of [
    ["a 404", () => `${env.origin}/nothing.wasm`, "wasm-not-found"],
    ["a server that is not there", () => new URL("http://127.0.0.1:1/openssl.wasm"), "wasm-not-found"],
    ["a response of status 500", () => response("oops", "text/plain", 500), "wasm-not-found"],
    ["a page instead", () => response("<!doctype html>", "text/html"), "wasm-mime"],
    ["bytes that are no module", () => new TextEncoder().encode("not at all"), "wasm-corrupt"],
    ["a module cut short", () => Uint8Array.of(...empty, 1, 200, 1), "wasm-corrupt"],
    ["the right type, the wrong content", () => response("not at all", "application/wasm"), "wasm-corrupt"],
    ["the wrong type, but a module: it is looked into", () => response(empty, "text/plain"), "wasm-corrupt"],
    ["another module", () => new WebAssembly.Module(empty), "wasm-corrupt"],
  ] as [string, () => NonNullable<LoadOptions["source"]>, string][]) {
    QUnit.test(what, async (assert) => {
      const error = await tlsError(OpenSsl.load({ source: source() }));
      assert.true(error instanceof TlsError);
      assert.strictEqual(error.code, code, error.message);
    });
  }

  QUnit.test("no crypto.getRandomValues: fatal, before anything starts", async (assert) => {
    const own = Object.getOwnPropertyDescriptor(globalThis, "crypto");
    Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
    try {
      const error = await tlsError(OpenSsl.load({ source: new WebAssembly.Module(empty) }));
      assert.strictEqual(error.code, "entropy");
    } finally {
      if (own) Object.defineProperty(globalThis, "crypto", own);
      else Reflect.deleteProperty(globalThis, "crypto");
    }
    assert.strictEqual(typeof crypto.getRandomValues, "function");
  });

  QUnit.test("two instances share nothing", async (assert) => {
    const load = () =>
      OpenSsl.load(env.runtime === "chromium" ? { source: `${env.origin}/openssl.wasm` } : {});
    const [one, other] = await Promise.all([load(), load()]);
    one.raiseError(20, 100);
    assert.strictEqual(other.errors().length, 0);
    assert.strictEqual(one.errors().length, 1);
    assert.strictEqual(await OpenSsl.shared(), await OpenSsl.shared(), "but the shared one is one");
  });
});
