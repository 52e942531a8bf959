/** All that is used of Node.js here, so that its types (and globals) stay out of code for browsers. */
declare module "node:fs/promises" {
  export function readFile(path: URL): Promise<Uint8Array<ArrayBuffer>>;
}
