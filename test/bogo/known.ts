/** Which of BoGo's tests are left out, and which end otherwise than with BoringSSL, and why. */

/** By the runner's globs: it does not start them. */
export const excluded: Record<string, string> = {
  "*DTLS*": "DTLS is that of wassl/openssl, and not of the streams that are tested here",
  "*QUIC*": "no QUIC",
  "*ECH*": "no Encrypted Client Hello",
  "*SSL3*": "no SSL 3.0",
  "*TLS1-*": "no TLS 1.0",
  "*TLS11-*": "no TLS 1.1",
  "*TLS1": "no TLS 1.0",
  "*TLS11": "no TLS 1.1",
  "*TLS10*": "no TLS 1.0",
  "*3DES*": "no 3DES",
  "*SHA1*": "signatures with SHA-1 are refused unless they are asked for",
  "*P224*": "no P-224",
  "*JDK11*": "a workaround of BoringSSL's own",
  "*Split*": "no handshake that is handed to another process",
  "*Hints*": "the same",
  "*-Handoff*": "the same",
};

/** In the order in which they are asked. */
export const known: { tests: RegExp; why: string }[] = [];
