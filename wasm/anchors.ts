/** The block of trust anchors that wasm/anchors.c looks them up in: its layout is in tls.h. */
export interface Anchor {
  /** `X509_NAME_hash_ex(3)` of the subject, as `openssl x509 -subject_hash` prints it. */
  hash: string;
  der: Uint8Array;
}

/** In base64. */
export function tableOf(anchors: readonly Anchor[]): string {
  const sorted = anchors
    .map(({ hash, der }) => ({ hash: Number.parseInt(hash, 16), der }))
    .sort((a, b) => a.hash - b.hash);
  const words = [sorted.length];
  let end = 0;
  for (const { hash, der } of sorted) {
    end += der.length;
    words.push(hash, end);
  }
  const table = new DataView(new ArrayBuffer(words.length * 4));
  words.forEach((word, i) => {
    table.setUint32(i * 4, word, true);
  });
  let binary = "";
  for (const part of [new Uint8Array(table.buffer), ...sorted.map(({ der }) => der)])
    for (const byte of part) binary += String.fromCharCode(byte);
  return btoa(binary);
}
