/** Each way in which openssl.wasm cannot be had is an error that says which. */
import QUnit from "qunit";
import { OpenSsl, TlsError } from "wassl";
import type { LoadOptions } from "wassl/openssl";
import { tlsError } from "../../helpers/basics.ts";
import { afterTest, env } from "../../helpers/env.ts";

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

  QUnit.test("configure(): where it is, for what is loaded from then on", async (assert) => {
    afterTest(() => OpenSsl.configure({}));
    OpenSsl.configure({ source: () => `${env.origin}/nothing.wasm` });
    assert.strictEqual((await tlsError(OpenSsl.load())).code, "wasm-not-found");
    assert.strictEqual((await tlsError(OpenSsl.compile())).code, "wasm-not-found");
    let asked = 0;
    OpenSsl.configure({
      source() {
        asked++;
        return fetch(`${env.origin}/openssl.wasm`);
      },
    });
    const [one, other] = await Promise.all([OpenSsl.load(), OpenSsl.load()]);
    assert.notStrictEqual(one, other);
    assert.strictEqual(asked, 1, "and it is compiled once");
    OpenSsl.configure({});
    assert.true((await OpenSsl.load()).version.startsWith("OpenSSL 3.5"));
  });

  QUnit.test("what failed once is asked for again", async (assert) => {
    afterTest(() => OpenSsl.configure({}));
    let asked = 0;
    OpenSsl.configure({
      source: () =>
        asked++ === 0 ? response("oops", "text/plain", 500) : fetch(`${env.origin}/openssl.wasm`),
    });
    assert.strictEqual((await tlsError(OpenSsl.load())).code, "wasm-not-found");
    assert.true((await OpenSsl.load()).version.startsWith("OpenSSL 3.5"));
  });

  QUnit.test("compile(): one module for all, also for other threads", async (assert) => {
    const module = await OpenSsl.compile();
    assert.strictEqual(await OpenSsl.compile(), module);
    const { port1, port2 } = new MessageChannel();
    afterTest(() => port1.close());
    const arrived = new Promise<unknown>((resolve) => {
      port2.onmessage = ({ data }) => resolve(data);
    });
    port1.postMessage(module);
    const copy = (await arrived) as WebAssembly.Module;
    assert.true(copy instanceof WebAssembly.Module);
    assert.true((await OpenSsl.load({ source: copy })).version.startsWith("OpenSSL 3.5"));
    assert.true(OpenSsl.loadSync(copy).version.startsWith("OpenSSL 3.5"));
  });

  QUnit.test("preload(): the instance that connections share", async (assert) => {
    assert.strictEqual(await OpenSsl.preload(), undefined);
    assert.strictEqual(await OpenSsl.shared(), await OpenSsl.shared());
  });

  QUnit.test("an error says the line that is missing", async (assert) => {
    const at = (path: string) => tlsError(OpenSsl.load({ source: `${env.origin}${path}` }));
    const moved = await at("/node_modules/wassl/dist/binding/openssl.wasm");
    assert.true(moved.message.includes('optimizeDeps: { exclude: ["wassl"] }'), moved.message);
    const lost = await at("/assets/openssl.wasm");
    assert.true(lost.message.includes('import "wassl/inline"'), lost.message);
  });

  QUnit.test("wassl/inline: the same bytes, out of the code", async (assert) => {
    afterTest(() => OpenSsl.configure({}));
    const { source } = await import("wassl/inline");
    const bytes = new Uint8Array(await (await fetch(`${env.origin}/openssl.wasm`)).arrayBuffer());
    assert.deepEqual(await source(), bytes);
    const { fetch: own } = globalThis;
    afterTest(() => Object.assign(globalThis, { fetch: own }));
    Object.assign(globalThis, { fetch: () => Promise.reject(new Error("nothing is to be fetched")) });
    OpenSsl.configure({ source });
    assert.true((await OpenSsl.load()).version.startsWith("OpenSSL 3.5"));
  });

  QUnit.test("two instances share nothing", async (assert) => {
    const load = () => OpenSsl.load();
    const [one, other] = await Promise.all([load(), load()]);
    one.raiseError(20, 100);
    assert.strictEqual(other.errors().length, 0);
    assert.strictEqual(one.errors().length, 1);
    assert.strictEqual(await OpenSsl.shared(), await OpenSsl.shared(), "but the shared one is one");
  });
});
