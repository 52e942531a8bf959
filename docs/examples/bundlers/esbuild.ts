/** Bundles `page.ts` and what it imports from packages, for a page. `openssl.wasm` goes beside the bundle. */
import { copyFile } from "node:fs/promises";
import { build } from "esbuild";
import { defineEnv } from "unenv";
import { aliasesWithPolyfills } from "wassl/node/aliases";

await build({
  entryPoints: ["page.ts"],
  outfile: "out/page.js",
  bundle: true,
  format: "esm",
  alias: { ...defineEnv({ nodeCompat: true }).env.alias, ...aliasesWithPolyfills },
  external: ["pg-native"],
});
await copyFile("node_modules/wassl/dist/binding/openssl.wasm", "out/openssl.wasm");
