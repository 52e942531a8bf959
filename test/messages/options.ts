/** What is told of options that cannot be. */
import { acceptTls, pairIdentities, type ServerOptions, startTls, TlsContext, verifyChain } from "wassl";
import { OpenSsl } from "wassl/openssl";
import { pair } from "../fakes/pair.ts";
import { afterTest, env } from "../helpers/env.ts";
import type { Table } from "./told.ts";

const free = async (context: Promise<TlsContext>) => (await context).free();
const client = (options: object) => () => free(TlsContext.client(options as never));
const server = (options: () => object) => () => free(TlsContext.server(options() as never));
const connect = (options: () => object) => async () => {
  const [near] = pair();
  await startTls(near, { hostname: "localhost", ...(await options()) } as never);
};
const accept = (options: () => object | Promise<object>) => async () => {
  const [near] = pair();
  await acceptTls(near, { ...id(), ...(await options()) } as ServerOptions);
};
const verify = (options: () => object) => () => verifyChain(options() as never);
const id = () => env.unsupported.good;
const chain = () => ({ leaf: id().cert, roots: env.unsupported.root });

/** Keys of WebCrypto, made when they are asked for. */
const generate = async (algorithm: object, usages: string[]) =>
  (await crypto.subtle.generateKey(algorithm as never, false, usages as never)) as unknown as CryptoKeyPair;
const ecdsa = (namedCurve: string) => generate({ name: "ECDSA", namedCurve }, ["sign", "verify"]);
const rsa = (hash: string) =>
  generate({ name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1), hash }, [
    "sign",
    "verify",
  ]);
const withKey = (make: () => Promise<CryptoKey>) => async () => {
  const key = await make();
  await free(TlsContext.server({ cert: id().cert, key }));
};

const context = async (role: "client" | "server", options: object = {}) => {
  const made = await TlsContext[role](options as never);
  afterTest(() => made.free());
  return made;
};

export const options: Table = {
  "options: what every option is asked": [
    [
      "of another type",
      client({ alpnProtocols: "h2" }),
      "invalid-argument",
      "alpnProtocols must be a list, each a text of 1 to 255 bytes, not a text of 2 characters",
    ],
    [
      "an unknown one, near another",
      client({ minVerison: "TLSv1.3" }),
      "invalid-argument",
      "minVerison is no option of TlsContext.client: did you mean minVersion?",
    ],
    [
      "an unknown one, by another library's name",
      client({ ca: "" }),
      "invalid-argument",
      "ca is no option of TlsContext.client: did you mean caCerts?",
    ],
    [
      "one of servers, for a client",
      connect(() => ({ clientAuth: "none" })),
      "invalid-argument",
      "clientAuth is no option of startTls, but of acceptTls",
    ],
    [
      "no options at all",
      () => startTls(pair()[0], undefined as never),
      "invalid-argument",
      "the options of startTls must be an object, not undefined",
    ],
    [
      "a time that is none",
      connect(() => ({ handshakeTimeout: -1 })),
      "invalid-argument",
      "handshakeTimeout must be a number of milliseconds, more than 0, not -1",
    ],
    [
      "a part of an option is missing",
      client({ psks: [{ identity: "x" }] }),
      "invalid-argument",
      "psks[0].key is missing",
    ],
    [
      "no transport",
      () => startTls({} as never, { hostname: "localhost" }),
      "invalid-argument",
      "a transport must have a readable and a writable stream",
    ],
    [
      "a transport that is locked",
      () => {
        const [near] = pair();
        near.readable.getReader();
        return startTls(near, { hostname: "localhost" });
      },
      "invalid-argument",
      "a stream of the transport is locked: other code uses it",
    ],
  ],
  "options: protocol": [
    [
      "versions",
      client({ minVersion: "TLSv1.3", maxVersion: "TLSv1.2" }),
      "invalid-argument",
      "minVersion is above maxVersion",
    ],
    [
      "psk and psks",
      client({
        psk: { identity: "a", key: new Uint8Array(32) },
        psks: [{ identity: "b", key: new Uint8Array(32) }],
      }),
      "invalid-argument",
      "psks stands instead of psk, not beside it",
    ],
    [
      "psks of two hashes",
      client({
        psks: [
          { identity: "a", key: new Uint8Array(32), hash: "SHA-256" },
          { identity: "b", key: new Uint8Array(48), hash: "SHA-384" },
        ],
      }),
      "invalid-argument",
      "psks must all be for the same hash",
    ],
    [
      "a psk, where a certificate is required",
      server(() => ({
        ...{ clientAuth: "require", caCerts: env.unsupported.root },
        psk: { identity: "a", key: new Uint8Array(32) },
      })),
      "invalid-argument",
      'with clientAuth "require" a psk does not do: a certificate is needed',
    ],
    [
      "an ALPN protocol that is too long",
      client({ alpnProtocols: ["h".repeat(256)] }),
      "invalid-argument",
      "alpnProtocols[0] must be a text of 1 to 255 bytes, not a text of 256 characters",
    ],
    [
      "ALPN protocols that are too many",
      client({ alpnProtocols: Array.from({ length: 300 }, (_, i) => `${i}`.padEnd(255, "x")) }),
      "invalid-argument",
      "there must be one ALPN protocol at least, and all of them must fit 65,535 bytes",
    ],
  ],
  "options: who the peer is": [
    [
      "a host name that is none",
      connect(() => ({ hostname: "not a name" })),
      "invalid-argument",
      'hostname "not a name" is neither a host name nor an IP address',
    ],
    [
      "serverName is an address",
      connect(() => ({ serverName: "192.0.2.1" })),
      "invalid-argument",
      'serverName must be a DNS name or false, not "192.0.2.1"',
    ],
    [
      "ocsp without verification",
      client({ ocsp: "require", unsafelyDisableVerification: true }),
      "invalid-argument",
      "ocsp needs verification, which unsafelyDisableVerification turns off",
    ],
    [
      "caCerts of a server that asks for no certificate",
      server(() => ({ ...id(), caCerts: env.unsupported.root })),
      "invalid-argument",
      "caCerts is for certificates of clients, and counts only where clientAuth says whether they are asked for one",
    ],
    [
      "clientAuth without caCerts",
      server(() => ({ ...id(), clientAuth: "require" })),
      "invalid-argument",
      'clientAuth "require" needs caCerts, the trust anchors for clients',
    ],
    [
      "another identity of a client",
      async () => (await TlsContext.client({ caCerts: env.unsupported.root })).setIdentity(id()),
      "invalid-argument",
      "setIdentity is for a server's context: a client's sessions are kept by its identity, so it needs a new context",
    ],
    [
      "another identity that is none",
      async () => (await TlsContext.server(id())).setIdentity({}),
      "invalid-argument",
      "setIdentity() needs cert and key, pkcs12, or identities",
    ],
    [
      "postHandshakeAuth without clientAuth",
      server(() => ({ ...id(), postHandshakeAuth: true })),
      "invalid-argument",
      'postHandshakeAuth needs clientAuth "request" or "require": what becomes of a client without a certificate',
    ],
    [
      "the name in the subject",
      client({ verifyOptions: { flags: ["X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT"] } }),
      "invalid-argument",
      "X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT needs unsafelyAllowLegacyNames",
    ],
    [
      "an unknown flag",
      client({ verifyOptions: { flags: ["X509_V_FLAG_NONE"] } }),
      "invalid-argument",
      'there is no flag "X509_V_FLAG_NONE": their names are OpenSSL\'s, X509_V_FLAG_… and X509_CHECK_FLAG_…',
    ],
    [
      "a depth that is none",
      client({ verifyOptions: { depth: -1 } }),
      "invalid-argument",
      "verifyOptions.depth must be a whole number, 0 to 100, not -1",
    ],
    [
      "policies that are none",
      client({ verifyOptions: { policies: ["any"] } }),
      "invalid-argument",
      'policies must be a list of object identifiers, as "2.23.140.1.2.1"',
    ],
    [
      "a year that is none",
      verify(() => ({ ...chain(), time: new Date(8.64e15) })),
      "invalid-argument",
      "time must be a valid Date, of the years 0 to 9999",
    ],
  ],
  "options: an identity": [
    [
      "cert and pkcs12",
      server(() => ({ ...id(), pkcs12: Uint8Array.of(1) })),
      "invalid-argument",
      "an identity is either cert and key, or pkcs12",
    ],
    [
      "cert without key",
      server(() => ({ cert: id().cert })),
      "invalid-argument",
      "an identity needs a key too",
    ],
    [
      "key without cert",
      server(() => ({ key: id().key })),
      "invalid-argument",
      "an identity needs a cert too",
    ],
    [
      "a CryptoKey that makes no signatures",
      withKey(async () => (await generate({ name: "ECDH", namedCurve: "P-256" }, ["deriveBits"])).privateKey),
      "invalid-argument",
      "a CryptoKey for ECDH makes no signature that TLS knows",
    ],
    [
      "a public CryptoKey",
      withKey(async () => (await ecdsa("P-256")).publicKey),
      "invalid-argument",
      "the CryptoKey is a public key for verify, not for signing",
    ],
    [
      "a CryptoKey with SHA-1",
      withKey(async () => (await rsa("SHA-1")).privateKey),
      "invalid-argument",
      "TLS knows no RSASSA-PKCS1-v1_5 with SHA-1",
    ],
    [
      "a CryptoKey of another curve",
      withKey(async () => (await ecdsa("P-384")).privateKey),
      "invalid-argument",
      "the private key is for ECDSA P-384, and the certificate's for EC prime256v1 256",
    ],
  ],
  "options: a context": [
    [
      "of the other role",
      connect(async () => ({ context: await context("server", id()) })),
      "invalid-argument",
      "context must be a TlsContext for a client",
    ],
    [
      "of another OpenSsl",
      connect(async () => ({ context: await context("client"), openssl: await OpenSsl.load() })),
      "invalid-argument",
      "context is of another OpenSsl than the one that is given",
    ],
    [
      "an option beside it that is the context's",
      accept(async () => ({
        cert: undefined,
        key: undefined,
        context: await context("server", id()),
        ciphers: "DEFAULT",
      })),
      "invalid-argument",
      "ciphers is read when a TlsContext is made: it must be given there, and not beside context",
    ],
    [
      "ticket keys for a client",
      async () => (await context("client")).setTicketKeys([new Uint8Array(80)]),
      "invalid-argument",
      "setTicketKeys is for a server's context: clients make no tickets",
    ],
    [
      "ticket keys that are no list",
      async () => (await context("server", id())).setTicketKeys({} as never),
      "invalid-argument",
      "keys must be a list, each a Uint8Array of 80 bytes, 1 at least, not such an object",
    ],
    [
      "ticket keys that are too short",
      async () => (await context("server", id())).setTicketKeys([new Uint8Array(48)]),
      "invalid-argument",
      "keys[0] must be a Uint8Array of 80 bytes, not 48 bytes",
    ],
    [
      "it was freed",
      async () => {
        const made = await context("server", id());
        made.free();
        await acceptTls(pair()[0], { context: made });
      },
      "freed",
      "this SslContext was freed",
    ],
  ],
  "options: certificates and keys that are paired": [
    [
      "a certificate without its key",
      async () => pairIdentities(await OpenSsl.load(), [id().cert, id().cert], [id()]),
      "invalid-argument",
      "certificate 2 of 2 has no key",
    ],
    [
      "a key without its certificate",
      async () =>
        pairIdentities(await OpenSsl.load(), [id().cert], [id(), { key: env.unsupported.others.ec }]),
      "invalid-argument",
      "key 2 of 2 belongs to no certificate",
    ],
  ],
  "options: verifyChain": [
    [
      "no leaf",
      verify(() => ({ roots: env.unsupported.root })),
      "invalid-argument",
      "leaf is missing: give the certificate in question",
    ],
    [
      "no roots",
      verify(() => ({ leaf: id().cert })),
      "invalid-argument",
      "roots is missing: give the trust anchors",
    ],
    [
      "a name that is undefined",
      verify(() => ({ ...chain(), hostname: undefined })),
      "invalid-argument",
      "hostname is given, and must be a text",
    ],
    [
      "an address that is none",
      verify(() => ({ ...chain(), ip: "localhost" })),
      "invalid-argument",
      'ip "localhost" is not an IP address',
    ],
    [
      "two addresses",
      verify(() => ({ ...chain(), ip: "192.0.2.1", hostname: "192.0.2.1" })),
      "invalid-argument",
      "hostname is an IP address already: give hostname or ip, not both",
    ],
    [
      "the name of a file",
      verify(() => ({ ...chain(), leaf: "cert.pem" })),
      "invalid-argument",
      'the certificate cannot be read: "cert.pem" looks like the name of a file or a URL: what is in it must be given',
    ],
    [
      "an empty mail address",
      verify(() => ({ ...chain(), email: "" })),
      "invalid-argument",
      "the mail address must be a text that is not empty",
    ],
    [
      "an unknown purpose",
      verify(() => ({ ...chain(), purpose: "nothing" })),
      "invalid-argument",
      'purpose must be "sslclient" or "sslserver" or "nssslserver" or "smimesign" or "smimeencrypt" or "crlsign" or "any" or "ocsphelper" or "timestampsign" or "codesign", not "nothing"',
    ],
    [
      "an empty list",
      verify(() => ({ ...chain(), leaf: [] })),
      "invalid-argument",
      "leaf must be a text, or a Uint8Array, or an X509, not an empty list",
    ],
  ],
};
