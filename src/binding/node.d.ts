/** The part of Node.js that is used, so that its types (and globals) stay out of code for browsers. */
declare module "node:fs/promises" {
  export function readFile(path: URL): Promise<Uint8Array<ArrayBuffer>>;
}
