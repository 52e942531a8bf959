/** The block of trust anchors that wasm/abi/anchors.c looks them up in: its layout is in abi.h. */
export interface Anchor {
  /** `X509_NAME_hash_ex(3)` of the subject, as `openssl x509 -subject_hash` prints it. */
  hash: string;
  der: Uint8Array;
  /** A leaf that was issued later (notBefore, seconds since 1970) is not trusted by way of this anchor. */
  distrustAfter?: number | undefined;
}

/** In base64. */
export function tableOf(anchors: readonly Anchor[]): string {
  const sorted = anchors
    .map((anchor) => ({ ...anchor, hash: Number.parseInt(anchor.hash, 16) }))
    .sort((a, b) => a.hash - b.hash);
  const dates = sorted.flatMap(({ distrustAfter }, i) =>
    distrustAfter === undefined ? [] : [i, distrustAfter],
  );
  const words = [sorted.length, dates.length / 2];
  let end = 0;
  for (const { hash, der } of sorted) {
    end += der.length;
    words.push(hash, end);
  }
  words.push(...dates);
  const table = new DataView(new ArrayBuffer(words.length * 4));
  words.forEach((word, i) => {
    table.setUint32(i * 4, word, true);
  });
  let binary = "";
  for (const part of [new Uint8Array(table.buffer), ...sorted.map(({ der }) => der)])
    for (const byte of part) binary += String.fromCharCode(byte);
  return btoa(binary);
}
