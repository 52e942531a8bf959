/** What is told where openssl.wasm cannot be had. */
import { OpenSsl } from "wassl";
import type { LoadOptions } from "wassl/openssl";
import { env } from "../helpers/env.ts";
import type { Table } from "./told.ts";

/** A WebAssembly module, complete, with nothing in it. */
const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
/** One that has what the loader asks for first: a memory, and a function, which does this. */
function asking(...code: number[]): WebAssembly.Module {
  const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
  const section = (id: number, ...content: number[]) => [id, content.length, ...content];
  return new WebAssembly.Module(
    Uint8Array.of(
      ...empty,
      ...section(1, 1, 0x60, 0, 1, 0x7f),
      ...section(3, 1, 0),
      ...section(5, 1, 0, 1),
      ...section(7, 2, ...name("memory"), 2, 0, ...name("wassl_abi_version"), 0, 0),
      ...section(10, 1, code.length + 2, 0, ...code, 0x0b),
    ),
  );
}
const load = (source: () => NonNullable<LoadOptions["source"]>) => () => OpenSsl.load({ source: source() });
const response = (body: BodyInit, type: string, status = 200) =>
  new Response(body, { status, headers: { "content-type": type } });

/** Runs `act` while `name` of the global object is something else. */
async function without(name: "crypto", value: unknown, act: () => Promise<unknown>): Promise<unknown> {
  const own = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true });
  try {
    return await act();
  } finally {
    if (own) Object.defineProperty(globalThis, name, own);
    else Reflect.deleteProperty(globalThis, name);
  }
}

/** An engine that compiles or starts nothing, for this reason. */
async function refusing(failure: Error, act: () => Promise<unknown>): Promise<unknown> {
  const { compile, instantiate, Instance } = WebAssembly;
  const refuse = () => Promise.reject(failure);
  class Refused {
    constructor() {
      throw failure;
    }
  }
  try {
    Object.assign(WebAssembly, { compile: refuse, instantiate: refuse, Instance: Refused });
    return await act();
  } finally {
    Object.assign(WebAssembly, { compile, instantiate, Instance });
  }
}

export const loading: Table = {
  loading: [
    [
      "a 404",
      load(() => `${env.origin}/nothing.wasm`),
      "wasm-not-found",
      'openssl.wasm is not at http://127.0.0.1:…/nothing.wasm: HTTP status 404; put dist/binding/openssl.wasm of this package there, or import "wassl/inline", which brings it along',
    ],
    [
      "a 404 of a bundler",
      load(() => `${env.origin}/node_modules/wassl/openssl.wasm`),
      "wasm-not-found",
      'openssl.wasm is not at http://127.0.0.1:…/node_modules/wassl/openssl.wasm: HTTP status 404; with Vite, add optimizeDeps: { exclude: ["wassl"] } to its configuration',
    ],
    [
      "nobody there",
      load(() => "http://127.0.0.1:1/openssl.wasm"),
      "wasm-not-found",
      'openssl.wasm cannot be fetched from http://127.0.0.1:1/openssl.wasm: …; put dist/binding/openssl.wasm of this package there, or import "wassl/inline", which brings it along',
    ],
    [
      "a page instead",
      load(() => response("<!doctype html>", "text/html")),
      "wasm-mime",
      'the given response is no WebAssembly but text/html, as servers answer that have a page for missing files; put dist/binding/openssl.wasm of this package there, or import "wassl/inline", which brings it along',
    ],
    [
      "a module cut short",
      load(() => Uint8Array.of(...empty, 1, 200, 1)),
      "wasm-corrupt",
      "openssl.wasm is damaged: …",
    ],
    [
      "another module",
      load(() => new WebAssembly.Module(empty)),
      "wasm-corrupt",
      "this WebAssembly module is not openssl.wasm, which this package has in dist/binding",
    ],
    [
      "of another version",
      load(() => asking(0x41, 0xe3, 0)),
      "wasm-corrupt",
      "openssl.wasm is of another version of this package (ABI 99, and 1 is needed)",
    ],
    [
      "a trap",
      load(() => asking(0)),
      "wasm-crashed",
      // In the engine's own words.
      "OpenSSL trapped, its instance cannot be used any more: …nreachable…",
    ],
    [
      "a policy against it",
      () =>
        refusing(
          new WebAssembly.CompileError("violates the Content Security Policy"),
          load(() => empty),
        ),
      "wasm-csp",
      "the Content-Security-Policy of this page forbids WebAssembly: add 'wasm-unsafe-eval' to script-src (violates the Content Security Policy)",
    ],
    [
      "no memory for it",
      () =>
        refusing(
          new RangeError("out of memory"),
          load(() => new WebAssembly.Module(empty)),
        ),
      "out-of-memory",
      "this engine has no memory for openssl.wasm",
    ],
    [
      "an engine that cannot run it",
      () =>
        refusing(
          new WebAssembly.LinkError("no such import"),
          load(() => new WebAssembly.Module(empty)),
        ),
      "wasm-corrupt",
      "openssl.wasm cannot be instantiated: no such import",
    ],
    [
      "no randomness",
      () =>
        without(
          "crypto",
          undefined,
          load(() => new WebAssembly.Module(empty)),
        ),
      "entropy",
      "this platform has no crypto.getRandomValues, and so no secure randomness",
    ],
  ],
};
