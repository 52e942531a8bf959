/**
 * Deno compiles the file as part of the module graph (source phase imports): no permission is needed, and `deno compile`
 * and `deno bundle` take it along.
 */
export const defaultSource = (): Promise<WebAssembly.Module> =>
  // @ts-expect-error TypeScript does not know `import.source` yet; it leaves it as it is.
  import.source("./openssl.wasm");
