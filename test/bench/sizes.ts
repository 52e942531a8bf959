/** What a page has to load. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

export interface Size {
  readonly name: string;
  readonly raw: number;
  readonly gzip: number;
  readonly brotli: number;
}

/** What an application would write, and the .wasm beside it if there is one. */
const ENTRIES: Record<string, { code: string; wasm?: string }> = {
  wassl: {
    code: 'export { startTls } from "wassl"',
    wasm: "wassl/dist/binding/openssl.wasm",
  },
  "epoxy-tls": {
    code: 'export { default, EpoxyClient, EpoxyClientOptions } from "@mercuryworkshop/epoxy-tls/minimal-epoxy"',
    wasm: "@mercuryworkshop/epoxy-tls/minimal/epoxy.wasm",
  },
  "libcurl.js": { code: 'export { libcurl } from "libcurl.js"', wasm: "libcurl.js/libcurl.wasm" },
  subtls: { code: 'export { startTls } from "subtls"' },
  reclaim: {
    code: 'export * from "@reclaimprotocol/tls"; export * from "@reclaimprotocol/tls/webcrypto"',
  },
  "node-forge": { code: 'export { default } from "node-forge/lib/tls.js"' },
};

/** Of those libraries that are there. `folder` is beside `node_modules`. */
export async function sizes(folder: string, libraries: readonly string[]): Promise<Size[]> {
  const found: Size[] = [];
  for (const name of libraries) {
    const entry = ENTRIES[name];
    if (!entry) continue;
    const { outputFiles } = await build({
      stdin: { contents: entry.code, resolveDir: folder },
      bundle: true,
      minify: true,
      write: false,
      format: "esm",
      target: "es2022",
      platform: "browser",
      external: ["node:*", "crypto"],
      logLevel: "error",
    });
    const js = outputFiles[0]!.contents;
    found.push(sizeOf(`${name}, JavaScript, minified`, js));
    if (entry.wasm) {
      const wasm = readFileSync(join(folder, "..", "node_modules", entry.wasm));
      found.push(sizeOf(`${name}, WebAssembly`, wasm));
    }
  }
  return found;
}

function sizeOf(name: string, bytes: Uint8Array): Size {
  const params = {
    [constants.BROTLI_PARAM_LGWIN]: 24,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  return {
    name,
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    brotli: brotliCompressSync(bytes, { params }).length,
  };
}
