/**
 * Not a literal, so that `deno bundle`, whose parser does not know what is in that file, leaves the import as it is.
 */
const none = {};

/**
 * Deno compiles the file as part of the module graph: no permission is needed, and `deno compile` takes the file along.
 * Before Deno 2.6 the syntax for that is an error. In the output of `deno bundle` the file is missing, and the bytes in
 * the code are used.
 */
export async function defaultSource(): Promise<WebAssembly.Module | BufferSource> {
  try {
    const { moduleSource } = await import("./wasm-deno-source.js", none);
    return await moduleSource();
  } catch {
    const { inlineSource } = await import("./inline.js");
    return await inlineSource();
  }
}
