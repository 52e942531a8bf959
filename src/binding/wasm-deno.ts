/** Not a literal, so that `deno bundle`, whose parser does not know what is in that file, leaves the import as it is. */
const none = {};

/**
 * Deno compiles the file as part of the module graph: no permission is needed, and `deno compile` takes it along. Before
 * Deno 2.6 the syntax for that is an error, and in what `deno bundle` made the file is not there: the bytes in the code are.
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
