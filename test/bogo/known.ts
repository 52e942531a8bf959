/** Which of BoGo's tests are left out, and which end otherwise than with BoringSSL, and why. */

/** By the runner's globs: it does not start them. */
export const excluded: Record<string, string> = {
  "*DTLS*": "DTLS is that of wassl/openssl, and not of the streams that are tested here",
  "*QUIC*": "no QUIC",
  "*ECH*": "no Encrypted Client Hello",
  "*SSL3*": "no SSL 3.0",
  "*TLS1-*": "no TLS 1.0",
  "*TLS11-*": "no TLS 1.1",
  "*-TLS1": "no TLS 1.0",
  "*-TLS11": "no TLS 1.1",
  "*Split*": "no handshake that is handed to another process",
  "*Hints*": "the same",
  "*-Handoff*": "the same",
};

/** In the order in which they are asked. */
export const known: { tests: RegExp; why: string }[] = [];
