/** Source phase imports. In a file of its own, because a runtime that does not parse this refuses the whole file. */
export const moduleSource = (): Promise<WebAssembly.Module> =>
  // @ts-expect-error TypeScript does not know `import.source` yet; it leaves it as it is.
  import.source("./openssl.wasm");
