/** Source phase imports. In a file of its own, for where that does not parse the whole file is an error. */
export const moduleSource = (): Promise<WebAssembly.Module> =>
  // @ts-expect-error TypeScript does not know `import.source` yet; it leaves it as it is.
  import.source("./openssl.wasm");
