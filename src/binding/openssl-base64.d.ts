/** Made by build.sh of openssl.wasm: compressed (RFC 1951), in base64. */
export const deflated: string;
/** Bytes of openssl.wasm. */
export const length: number;
