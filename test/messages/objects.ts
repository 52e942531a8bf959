/** What OpenSSL's objects tell of arguments that cannot be, and of their own end. */
import {
  Digest,
  describePublicKey,
  OpenSsl,
  pbkdf2,
  publicEncrypt,
  sameBytes,
  TLS1_3_VERSION,
} from "wassl/openssl";
import { afterTest, env } from "../helpers/env.ts";
import type { Table } from "./told.ts";

let loaded: Promise<OpenSsl> | undefined;
const openssl = () => (loaded ??= OpenSsl.load());

type Objects = {
  openssl: OpenSsl;
  context: ReturnType<OpenSsl["newContext"]>;
  pair: ReturnType<OpenSsl["newBioPair"]>;
  ssl: ReturnType<ReturnType<OpenSsl["newContext"]>["newSsl"]>;
};

const of = (act: (objects: Objects) => unknown) => async () => {
  const library = await openssl();
  const context = library.newContext("client");
  const pair = library.newBioPair();
  const ssl = context.newSsl(pair);
  afterTest(() => {
    for (const each of [ssl, pair, context]) each.free();
  });
  await act({ openssl: library, context, pair, ssl });
};
const context = (act: (context: Objects["context"]) => unknown) => of(({ context }) => act(context));
const ssl = (act: (ssl: Objects["ssl"]) => unknown) => of(({ ssl }) => act(ssl));

const none = new Uint8Array(0);

export const objects: Table = {
  "objects: what wassl/node/crypto needs": [
    [
      "an unknown digest",
      of(({ openssl }) => Digest.create(openssl, "MD4")),
      "invalid-argument",
      'no digest "MD4": unsupported (…)',
    ],
    [
      "a digest that was finished",
      of(({ openssl }) => {
        const digest = Digest.create(openssl, "MD5", none);
        digest.final();
        digest.update(Uint8Array.of(1));
      }),
      "freed",
      "this Digest was freed",
    ],
    [
      "a text to be hashed",
      of(({ openssl }) => {
        const digest = Digest.create(openssl, "MD5");
        afterTest(() => digest.free());
        digest.update("text" as never);
      }),
      "invalid-argument",
      "what is hashed must be a Uint8Array",
    ],
    [
      "an HMAC's key that is none",
      of(({ openssl }) => Digest.create(openssl, "MD5", "key" as never)),
      "invalid-argument",
      "a key must be a Uint8Array",
    ],
    [
      "too many rounds",
      of(({ openssl }) => pbkdf2(openssl, "MD5", none, none, 10_000_001, 1)),
      "invalid-argument",
      "no key can be made of a password so: invalid iteration count (more than 10000000 rounds for one file)",
    ],
    [
      "no rounds",
      of(({ openssl }) => pbkdf2(openssl, "MD5", none, none, 0, 1)),
      "invalid-argument",
      "no key can be made of a password so: invalid iteration count",
    ],
    [
      "a comparison with a text",
      of(({ openssl }) => sameBytes(openssl, none, "" as never)),
      "invalid-argument",
      "what is compared must be a Uint8Array",
    ],
    [
      "no public key",
      of(({ openssl }) => describePublicKey(openssl, Uint8Array.of(1))),
      "invalid-argument",
      "this is no public key: …",
    ],
    [
      "more than a key has room for",
      of(({ openssl }) =>
        publicEncrypt(openssl, openssl.parseX509(env.certs.chains.rsa).publicKeyDer, new Uint8Array(999)),
      ),
      "invalid-argument",
      "this cannot be encrypted to this key: data too large for key size",
    ],
  ],
  "objects: SslContext": [
    [
      "an unknown role",
      of(({ openssl }) => openssl.newContext("peer" as never)),
      "invalid-argument",
      'the role must be "client", "server", "dtls-client" or "dtls-server", not "peer"',
    ],
    [
      "a version by its name",
      context((c) => c.setMinProtoVersion("TLSv1.3" as never)),
      "invalid-argument",
      "a version must be one of OpenSSL's numbers, such as TLS1_3_VERSION",
    ],
    [
      "no ALPN protocol",
      context((c) => c.setAlpnProtocols([])),
      "invalid-argument",
      "there must be one ALPN protocol at least, and all of them must fit 65,535 bytes",
    ],
    [
      "an ALPN protocol of no bytes",
      context((c) => c.setAlpnProtocols([""])),
      "invalid-argument",
      'the ALPN protocol "" has 0 bytes, not 1 to 255',
    ],
    [
      "a ticket key that is too short",
      context((c) => c.setTicketKeys([new Uint8Array(48)])),
      "invalid-argument",
      "a ticket key has 80 bytes, not 48",
    ],
    [
      "ALPN protocols that are no list",
      context((c) => c.setAlpnProtocols("h2" as never)),
      "invalid-argument",
      "the ALPN protocols must be a list",
    ],
    [
      "a limit of early data that is none",
      context((c) => c.setMaxEarlyData(-1)),
      "invalid-argument",
      "the limit of early data must be whole bytes, 0 to 2^32 - 1",
    ],
    [
      "a hash that no suite has",
      context((c) => c.setPsk("a", new Uint8Array(32), "SHA-512" as never)),
      "invalid-argument",
      'a pre-shared key is for "SHA-256" or "SHA-384", not "SHA-512"',
    ],
    [
      "a session's time that is none",
      context((c) => c.setSessionTimeout(0)),
      "invalid-argument",
      "a session's time must be whole seconds, 1 to 2^31 - 1",
    ],
    [
      "bytes that are none",
      context((c) => c.setSessionIdContext(7 as never)),
      "invalid-argument",
      "session id context must be a Uint8Array",
    ],
    [
      "a session id context that is too long",
      context((c) => c.setSessionIdContext(new Uint8Array(33))),
      "invalid-argument",
      "the session id context cannot be used: ssl session id context too long",
    ],
    [
      "a text that is none",
      context((c) => c.setCipherList(7 as never)),
      "invalid-argument",
      "a text was expected",
    ],
    [
      "a text with a NUL",
      context((c) => c.setCipherList("DEFAULT\0")),
      "invalid-argument",
      "a text with a NUL character in it",
    ],
    [
      "a number that is none",
      context((c) => c.setNumTickets("two" as never)),
      "invalid-argument",
      "a number was expected, or a bigint where options are bits",
    ],
    [
      "trust anchors that are none",
      context((c) => c.addTrustAnchors({} as never)),
      "invalid-argument",
      "trust anchors must have a table",
    ],
    [
      "flags that are no list",
      context((c) => c.setVerifyParam({ flags: "X509_V_FLAG_CRL_CHECK" as never })),
      "invalid-argument",
      "flags must be a list of names",
    ],
    [
      "an argument of another kind",
      of(({ openssl, context }) => context.newSsl(openssl.newX509Store() as never)),
      "invalid-argument",
      "a BioPair was expected",
    ],
    [
      "an argument of another OpenSsl",
      context(async (c) => {
        const pair = (await OpenSsl.load()).newBioPair();
        c.newSsl(pair);
      }),
      "invalid-argument",
      "this BioPair is of another OpenSsl",
    ],
    [
      "it was freed",
      context((c) => {
        c.free();
        c.setMinProtoVersion(TLS1_3_VERSION);
      }),
      "freed",
      "this SslContext was freed",
    ],
  ],
  "objects: Ssl and BioPair": [
    [
      "a size that is none",
      of(({ openssl }) => openssl.newBioPair({ internalSize: -1 } as never)),
      "invalid-argument",
      "internalSize must be a whole number of bytes, up to 2^30",
    ],
    [
      "a pair that has an Ssl",
      of(({ context, pair }) => context.newSsl(pair)),
      "invalid-argument",
      "this BIO pair belongs to another Ssl already",
    ],
    [
      "an unknown word",
      ssl((s) => s.suspendVerify("always" as never)),
      "invalid-argument",
      'suspendVerify takes "never", "accepted" or "anyway", not "always"',
    ],
    [
      "an answer that nobody asked for",
      ssl((s) => s.answerVerify(true)),
      "invalid-argument",
      "no handshake waits for a verification, or the answer cannot be used",
    ],
    [
      "keying material of no length",
      ssl((s) => s.exportKeyingMaterial("test", 0)),
      "invalid-argument",
      "the length of keying material must be 1 to 16,384 bytes",
    ],
    [
      "keying material before the handshake",
      ssl((s) => s.exportKeyingMaterial("test", 32)),
      "openssl",
      "no keying material: there is some once the handshake is done",
    ],
  ],
  "objects: certificates": [
    [
      "an empty list",
      of(({ openssl }) => empty(openssl)),
      "invalid-argument",
      "verify() needs a certificate: the list is empty",
    ],
    [
      "a certificate that is none",
      of(({ openssl }) => openssl.parseCertificates(Uint8Array.of(1))),
      "invalid-argument",
      "the certificates cannot be read: it is neither PEM nor DER",
    ],
  ],
};

function empty(openssl: OpenSsl): void {
  const store = openssl.newX509Store();
  afterTest(() => store.free());
  store.verify([]);
}
