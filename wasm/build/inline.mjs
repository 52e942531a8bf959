/** The bytes of openssl.wasm as JavaScript, for wassl/inline. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";

/**
 * Compressed as each engine can undo it, and in base64: a string that no encoding of files and no minifier changes.
 *
 * @param {Uint8Array} bytes
 */
export function asJavaScript(bytes) {
  const deflated = deflateRawSync(bytes, { level: 9 }).toString("base64");
  return `export const length = ${bytes.length};\nexport const deflated =\n  "${deflated}";\n`;
}

/**
 * @param {string} project
 * @returns {boolean} whether anything was to be done
 */
export function inline(project) {
  const folder = join(project, "dist", "binding");
  const target = join(folder, "openssl-base64.js");
  const made = `${target}.new`;
  // What a build that was killed left behind must not be published.
  rmSync(made, { force: true });
  const text = asJavaScript(readFileSync(join(folder, "openssl.wasm")));
  if (existsSync(target) && readFileSync(target, "utf8") === text) return false;
  writeFileSync(made, text);
  renameSync(made, target);
  return true;
}
