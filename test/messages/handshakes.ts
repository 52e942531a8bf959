/** What is told of identities and trust anchors that cannot be used, and of handshakes that fail. */
import { acceptTls, type ClientOptions, type ServerOptions, startTls, TlsContext, verifyChain } from "wassl";
import { pair } from "../fakes/pair.ts";
import { env } from "../helpers/env.ts";
import type { Table } from "./told.ts";

const odd = () => env.unsupported;
const id = () => odd().good;
const signed = (name: string) => {
  const { cert, key } = odd().signatures[name]!;
  return { cert, key };
};
const utf8 = (text: string) => new TextEncoder().encode(text);

/** What `end` of a handshake is told. */
const ends =
  (
    end: "client" | "server",
    client: () => Partial<ClientOptions>,
    server: () => Partial<ServerOptions> = id,
  ) =>
  async () => {
    const [near, far] = pair();
    const common = { handshakeTimeout: 5_000 };
    const both = await Promise.allSettled([
      startTls(near, { ...common, hostname: "localhost", caCerts: odd().root, ...client() }),
      acceptTls(far, { ...common, ...server() }),
    ]);
    // A client that has shown a bad certificate is told with its first read.
    for (const each of both) if (each.status === "fulfilled") each.value.abort();
    const own = both[end === "client" ? 0 : 1];
    if (own.status === "rejected") throw own.reason;
  };

/** What it is told when the other end says this, and no more. */
const hears =
  (end: "client" | "server", says: string | number[], more: Partial<ClientOptions> = {}, ends = true) =>
  async () => {
    const [ours, theirs] = pair();
    const writer = theirs.writable.getWriter();
    void theirs.readable.pipeTo(new WritableStream()).catch(() => {});
    const bytes = typeof says === "string" ? utf8(says) : Uint8Array.from(says);
    if (bytes.length > 0) writer.write(bytes).catch(() => {});
    if (ends) writer.close().catch(() => {});
    await (end === "client"
      ? startTls(ours, { hostname: "localhost", caCerts: odd().root, ...more })
      : acceptTls(ours, { ...id(), ...more }));
  };

const context = (options: () => Partial<ServerOptions>) => async () => {
  (await TlsContext.server({ ...id(), ...options() } as ServerOptions)).free();
};
const trusting = (caCerts: string | Uint8Array) => async () => {
  (await TlsContext.client({ caCerts })).free();
};
const client = (options: object) => async () => {
  (await TlsContext.client(options)).free();
};
const alert = (code: number) => [21, 3, 3, 0, 2, 2, code];
/** A ServerHello of this version, 3.x, without extensions. */
const serverHello = (minor: number) => {
  const body = [3, minor, ...new Array<number>(32).fill(7), 0, 0xc0, 0x2b, 0];
  return [22, 3, minor, 0, body.length + 4, 2, 0, 0, body.length, ...body];
};
/** The first failure of a chain. */
const chain = (of: () => { leaf: string; roots: string }) => async () => {
  const result = await verifyChain({ ...of(), hostname: "localhost" });
  if (result.ok) return;
  const [{ text, error }] = result.failures as unknown as [{ text: string; error: string }];
  throw Object.assign(new Error(text), { code: error });
};
const ofKey = (name: string) => () => ({ leaf: odd().keys[name]!.cert, roots: odd().root });
const ofSignature = (name: string) => () => ({
  leaf: odd().signatures[name]!.cert,
  roots: odd().signatures[name]!.root,
});

export const handshakes: Table = {
  "what is given: an identity": [
    [
      "a key of another kind",
      context(() => ({ key: odd().others.rsa })),
      "invalid-argument",
      "the private key cannot be used: it is of another kind than the key of the certificate",
    ],
    [
      "another key of the same kind",
      context(() => ({ key: odd().others.ec })),
      "invalid-argument",
      "the private key cannot be used: it is not the key of the certificate (CN=leaf: EC prime256v1 256)",
    ],
    [
      "the name of a file for a certificate",
      context(() => ({ cert: "/etc/ssl/cert.pem" })),
      "invalid-argument",
      'the certificate cannot be used: "/etc/ssl/cert.pem" looks like the name of a file or a URL: what is in it must be given',
    ],
    [
      "the name of a file for a key, as bytes",
      context(() => ({ key: utf8("./key.pem\n") })),
      "invalid-argument",
      'the private key cannot be used: "./key.pem" looks like the name of a file or a URL: what is in it must be given',
    ],
    [
      "a key for a certificate",
      context(() => ({ cert: id().key })),
      "invalid-argument",
      "the certificate cannot be used: it is PEM of PRIVATE KEY",
    ],
    [
      "a certificate for a key",
      context(() => ({ key: id().cert })),
      "invalid-argument",
      "the private key cannot be used: it is PEM of CERTIFICATE",
    ],
    [
      "a page for a certificate",
      context(() => ({ cert: "<!doctype html>\n<title>404</title>" })),
      "invalid-argument",
      "the certificate cannot be used: it is text without a PEM block (-----BEGIN …)",
    ],
    [
      "an empty certificate",
      context(() => ({ cert: "" })),
      "invalid-argument",
      "the certificate cannot be used: it is empty",
    ],
    [
      "bytes of something else",
      context(() => ({ cert: Uint8Array.of(1, 2, 3) })),
      "invalid-argument",
      "the certificate cannot be used: it is neither PEM nor DER",
    ],
    [
      "PEM for PKCS #12",
      context(() => ({ cert: undefined, key: undefined, pkcs12: utf8(id().cert) }) as object),
      "invalid-argument",
      "the PKCS #12 file cannot be used: it is PEM, and must be DER",
    ],
    [
      "a wrong passphrase of PKCS #12",
      context(
        () =>
          ({
            cert: undefined,
            key: undefined,
            pkcs12: Uint8Array.from(atob(env.certs.clientP12), (c) => c.charCodeAt(0)),
            passphrase: "x",
          }) as object,
      ),
      "invalid-argument",
      "the PKCS #12 file cannot be used: the `passphrase` is wrong, or it is damaged",
    ],
    [
      "a brainpool key",
      context(() => odd().keys.brainpoolP256r1!),
      "invalid-argument",
      "the certificate cannot be used: CN=leaf: its key is brainpoolP256r1, which this build of OpenSSL lacks",
    ],
    [
      "an Ed448 key",
      context(() => odd().keys.Ed448!),
      "invalid-argument",
      "the certificate cannot be used: CN=leaf: its key is Ed448, which this build of OpenSSL lacks",
    ],
    [
      "an RSA key of 1024 bits",
      context(() => odd().keys["RSA 1024"]!),
      "invalid-argument",
      "the certificate cannot be used: a key or a signature is too weak for `securityLevel` 2 (CN=leaf: RSA 1024)",
    ],
    [
      "signed with SHA-3",
      context(() => signed("RSA with SHA3-256")),
      "invalid-argument",
      "the certificate cannot be used: CN=leaf: its signature is RSA with SHA3-256, which this build of OpenSSL lacks",
    ],
    [
      "signed with SHA-1",
      context(() => signed("SHA1")),
      "invalid-argument",
      "the certificate cannot be used: a key or a signature is too weak for `securityLevel` 2 (CN=leaf: EC prime256v1 256)",
    ],
  ],
  "what is given: trust anchors and lists": [
    [
      "the name of a file",
      trusting("ca.pem"),
      "invalid-argument",
      'the CA certificate cannot be used: "ca.pem" looks like the name of a file or a URL: what is in it must be given',
    ],
    [
      "a URL",
      trusting("https://pki.example/ca.crt"),
      "invalid-argument",
      'the CA certificate cannot be used: "https://pki.example/ca.crt" looks like the name of a file or a URL: what is in it must be given',
    ],
    [
      "a key",
      trusting("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
      "invalid-argument",
      "the CA certificate cannot be used: it is PEM of PRIVATE KEY",
    ],
    [
      "nothing",
      trusting(new Uint8Array(0)),
      "invalid-argument",
      "the CA certificate cannot be used: it is empty",
    ],
    [
      "the name of a file for a revocation list",
      client({ verifyOptions: { crls: ["ca.crl"] } }),
      "invalid-argument",
      'the CRL cannot be used: "ca.crl" looks like the name of a file or a URL: what is in it must be given',
    ],
    [
      "unknown groups",
      client({ groups: "x25519:x448:nope" }),
      "invalid-argument",
      'groups "x25519:x448:nope": this build of OpenSSL does not know "x448", "nope"',
    ],
    [
      "an unknown signature algorithm",
      client({ signatureAlgorithms: "ed25519:nope" }),
      "invalid-argument",
      'signature algorithms "ed25519:nope": this build of OpenSSL does not know "nope"',
    ],
    [
      "an unknown cipher suite",
      client({ cipherSuites: "TLS_NOPE" }),
      "invalid-argument",
      'cipher suites "TLS_NOPE": this build of OpenSSL does not know "TLS_NOPE"',
    ],
    [
      "a cipher suite among others that is mistyped",
      client({ cipherSuites: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA383" }),
      "invalid-argument",
      'cipher suites "TLS_AES_256_GCM_SHA383": this build of OpenSSL does not know "TLS_AES_256_GCM_SHA383"; did you mean "TLS_AES_256_GCM_SHA384"?',
    ],
    [
      "groups that are mistyped",
      client({ groups: "X25519:P-265" }),
      "invalid-argument",
      'groups "X25519:P-265": this build of OpenSSL does not know "P-265"; did you mean "P-256"?',
    ],
    [
      "signature algorithms that are mistyped",
      client({ signatureAlgorithms: "ed25519:ecdsa_secp256r1_sha265" }),
      "invalid-argument",
      'signature algorithms "ed25519:ecdsa_secp256r1_sha265": this build of OpenSSL does not know "ecdsa_secp256r1_sha265"; did you mean "ecdsa_secp256r1_sha256"?',
    ],
    [
      "unknown ciphers",
      client({ ciphers: "NOPE" }),
      "invalid-argument",
      'ciphers "NOPE": this build of OpenSSL does not know "NOPE"',
    ],
    [
      "ciphers that are mistyped, among others",
      client({ ciphers: "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GMC-SHA256" }),
      "invalid-argument",
      'ciphers "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GMC-SHA256": this build of OpenSSL does not know "ECDHE-RSA-AES128-GMC-SHA256"; did you mean "ECDHE-RSA-AES128-GCM-SHA256"?',
    ],
    [
      "DEFAULT behind others",
      client({ ciphers: "AESGCM:DEFAULT" }),
      "invalid-argument",
      'ciphers "AESGCM:DEFAULT": "DEFAULT" must stand at the beginning',
    ],
    [
      "a suite of TLS 1.3 among those of TLS 1.2",
      client({ ciphers: "TLS_AES_128_GCM_SHA256:ECDHE" }),
      "invalid-argument",
      'ciphers "TLS_AES_128_GCM_SHA256:ECDHE": "TLS_AES_128_GCM_SHA256" is of TLS 1.3, whose suites are `cipherSuites`',
    ],
    [
      "ciphers of which none is here",
      client({ ciphers: "RC4:3DES" }),
      "invalid-argument",
      'ciphers "RC4:3DES": no cipher match',
    ],
  ],
  "a certificate is refused": [
    [
      "no caCerts",
      ends("client", () => ({ caCerts: [] })),
      "certificate",
      'the certificate of "localhost" was not accepted: unable to get local issuer certificate (depth 0, CN=leaf); no certificate is trusted, because `caCerts` is missing or empty: there is no hidden store (wassl/roots has Mozilla\'s trust anchors)',
    ],
    [
      "another trust anchor",
      ends("client", () => ({ caCerts: env.certs.caPem })),
      "certificate",
      'the certificate of "localhost" was not accepted: unable to get local issuer certificate (depth 0, CN=leaf); its issuer, CN=Root, is neither among `caCerts` nor among what was sent',
    ],
    [
      "self-signed",
      ends(
        "client",
        () => ({}),
        () => ({ cert: odd().wrong.selfSigned, key: id().key }),
      ),
      "certificate",
      'the certificate of "localhost" was not accepted: self-signed certificate (depth 0, CN=Self); it is not among `caCerts`, which are all that is trusted',
    ],
    [
      "for another name",
      ends("client", () => ({ hostname: "other.example" })),
      "certificate",
      'the certificate of "other.example" was not accepted: hostname mismatch (depth 0, CN=leaf); it is for DNS:localhost',
    ],
    [
      "for an address",
      ends("client", () => ({ hostname: "192.0.2.1" })),
      "certificate",
      'the certificate of "192.0.2.1" was not accepted: IP address mismatch (depth 0, CN=leaf); it is for DNS:localhost',
    ],
    [
      "without alternative names",
      ends(
        "client",
        () => ({}),
        () => ({ cert: odd().wrong.nameless, key: id().key }),
      ),
      "certificate",
      'the certificate of "localhost" was not accepted: hostname mismatch (depth 0, CN=localhost); it has no alternative names, by which alone it can be for "localhost" (RFC 9525)',
    ],
    [
      "expired",
      ends(
        "client",
        () => ({}),
        () => ({ cert: odd().wrong.expired, key: id().key }),
      ),
      "certificate",
      'the certificate of "localhost" was not accepted: certificate has expired (depth 0, CN=leaf); it was good until 2021-01-01T00:00:00.000Z',
    ],
    [
      "not yet valid",
      ends(
        "client",
        () => ({}),
        () => ({ cert: odd().wrong.early, key: id().key }),
      ),
      "certificate",
      'the certificate of "localhost" was not accepted: certificate is not yet valid (depth 0, CN=leaf); it is good from 2040-01-01T00:00:00.000Z: is the clock right?',
    ],
    [
      "no OCSP response",
      ends("client", () => ({ ocsp: "require" })),
      "certificate",
      'the certificate of "localhost" was not accepted: OCSP verification needed: OCSP: the server sent no response',
    ],
    [
      "no revocation list",
      ends("client", () => ({ verifyOptions: { flags: ["X509_V_FLAG_CRL_CHECK"] } })),
      "certificate",
      'the certificate of "localhost" was not accepted: unable to get certificate CRL (depth 0, CN=leaf); where revocation lists are checked there must be one of each issuer (`verifyOptions.crls`)',
    ],
    [
      "verify said no",
      ends("client", () => ({ verify: () => false })),
      "certificate",
      'the certificate of "localhost" was refused by verify (CN=leaf)',
    ],
    [
      "of an authority with an Ed448 key",
      ends(
        "client",
        () => ({ caCerts: odd().signatures.Ed448!.root }),
        () => signed("Ed448"),
      ),
      "certificate",
      'the certificate of "localhost" was not accepted: unable to decode issuer public key: its key is Ed448, which this build of OpenSSL lacks (depth 1, CN=Odd)',
    ],
    [
      "of an authority with a key of 1024 bits",
      ends(
        "client",
        () => ({ caCerts: odd().signatures["RSA 1024"]!.root }),
        () => signed("RSA 1024"),
      ),
      "certificate",
      'the certificate of "localhost" was not accepted: CA certificate key too weak (depth 1, CN=Odd); it is RSA 1024, and `securityLevel` wants more',
    ],
    [
      "the client's, by the server",
      ends("server", id, () => ({ ...id(), clientAuth: "require", caCerts: env.certs.caPem })),
      "certificate",
      "the certificate of the client was not accepted: unable to get local issuer certificate (depth 0, CN=leaf); its issuer, CN=Root, is neither among `caCerts` nor among what was sent",
    ],
  ],
  "algorithms that this build lacks": [
    [
      "a leaf: brainpoolP256r1",
      chain(ofKey("brainpoolP256r1")),
      "X509_V_ERR_EE_KEY_TOO_SMALL",
      "EE certificate key too weak: its key is brainpoolP256r1, which this build of OpenSSL lacks",
    ],
    [
      "a leaf: secp256k1",
      chain(ofKey("secp256k1")),
      "X509_V_ERR_EE_KEY_TOO_SMALL",
      "EE certificate key too weak: its key is secp256k1, which this build of OpenSSL lacks",
    ],
    [
      "a leaf: P-224",
      chain(ofKey("P-224")),
      "X509_V_ERR_EE_KEY_TOO_SMALL",
      "EE certificate key too weak: its key is P-224, which this build of OpenSSL lacks",
    ],
    [
      "a leaf: Ed448",
      chain(ofKey("Ed448")),
      "X509_V_ERR_EE_KEY_TOO_SMALL",
      "EE certificate key too weak: its key is Ed448, which this build of OpenSSL lacks",
    ],
    [
      "a leaf: ML-DSA-44",
      chain(ofKey("ML-DSA-44")),
      "X509_V_ERR_EE_KEY_TOO_SMALL",
      "EE certificate key too weak: its key is ML-DSA-44, which this build of OpenSSL lacks",
    ],
    [
      "a leaf: DSA",
      chain(ofKey("DSA")),
      "X509_V_ERR_EE_KEY_TOO_SMALL",
      "EE certificate key too weak: its key is DSA, which this build of OpenSSL lacks",
    ],
    [
      "an issuer: brainpoolP256r1",
      chain(ofSignature("brainpoolP256r1")),
      "X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
      "unable to decode issuer public key: its key is brainpoolP256r1, which this build of OpenSSL lacks",
    ],
    [
      "an issuer: Ed448",
      chain(ofSignature("Ed448")),
      "X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
      "unable to decode issuer public key: its key is Ed448, which this build of OpenSSL lacks",
    ],
    [
      "an issuer: ML-DSA-44",
      chain(ofSignature("ML-DSA-44")),
      "X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
      "unable to decode issuer public key: its key is ML-DSA-44, which this build of OpenSSL lacks",
    ],
    [
      "an issuer: ECDSA with SHA3-256",
      chain(ofSignature("ECDSA with SHA3-256")),
      "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "unable to get local issuer certificate: its signature is ECDSA with SHA3-256, which this build of OpenSSL lacks",
    ],
    [
      "an issuer: RSA with SHA3-256",
      chain(ofSignature("RSA with SHA3-256")),
      "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "unable to get local issuer certificate: its signature is RSA with SHA3-256, which this build of OpenSSL lacks",
    ],
    [
      "an issuer: OID 1.3.9999.3.6.4",
      chain(ofSignature("OID 1.3.9999.3.6.4")),
      "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "unable to get local issuer certificate: its signature is OID 1.3.9999.3.6.4, which this build of OpenSSL lacks",
    ],
    [
      "a weak hash is another matter",
      chain(ofSignature("SHA1")),
      "X509_V_ERR_CA_MD_TOO_WEAK",
      "CA signature digest algorithm too weak",
    ],
  ],
  "nothing in common": [
    [
      "versions: a client",
      ends(
        "client",
        () => ({ minVersion: "TLSv1.3" }),
        () => ({ ...id(), maxVersion: "TLSv1.2" }),
      ),
      "alert",
      "the server ended the connection with the alert protocol_version; it has no version in common with us: this build has TLS 1.2 and 1.3, of which `minVersion` and `maxVersion` choose",
    ],
    [
      "versions: a server",
      ends(
        "server",
        () => ({ minVersion: "TLSv1.3" }),
        () => ({ ...id(), maxVersion: "TLSv1.2" }),
      ),
      "protocol",
      "the handshake with the client failed: unsupported protocol; the client has no version in common with us: this build has TLS 1.2 and 1.3, of which `minVersion` and `maxVersion` choose",
    ],
    [
      "groups: a client",
      ends(
        "client",
        () => ({ groups: "X25519", minVersion: "TLSv1.3" }),
        () => ({ ...id(), groups: "P-256" }),
      ),
      "alert",
      "the server ended the connection with the alert handshake_failure; it has no cipher suite, group or signature algorithm in common with us, or it asks for a client certificate (`cert`, `key`)",
    ],
    [
      "groups: a server",
      ends(
        "server",
        () => ({ groups: "X25519", minVersion: "TLSv1.3" }),
        () => ({ ...id(), groups: "P-256" }),
      ),
      "protocol",
      "the handshake with the client failed: no suitable key share; the client has no group in common with us (`groups`)",
    ],
    [
      "suites of TLS 1.3: a client",
      ends(
        "client",
        () => ({ cipherSuites: "TLS_AES_128_GCM_SHA256", minVersion: "TLSv1.3" }),
        () => ({ ...id(), cipherSuites: "TLS_AES_256_GCM_SHA384" }),
      ),
      "alert",
      "the server ended the connection with the alert handshake_failure; it has no cipher suite, group or signature algorithm in common with us, or it asks for a client certificate (`cert`, `key`)",
    ],
    [
      "suites of TLS 1.3: a server",
      ends(
        "server",
        () => ({ cipherSuites: "TLS_AES_128_GCM_SHA256", minVersion: "TLSv1.3" }),
        () => ({ ...id(), cipherSuites: "TLS_AES_256_GCM_SHA384" }),
      ),
      "protocol",
      'the handshake with the client failed: no shared cipher; the client offers no cipher suite that we take, with the `cert` or `psk` that we have; if only suites with RSA key exchange or CBC are in common, they are off by default: `ciphers` ("DEFAULT") turns them on',
    ],
    [
      "suites of TLS 1.2: a client",
      ends(
        "client",
        () => ({ ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256", maxVersion: "TLSv1.2" }),
        () => ({ ...id(), ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" }),
      ),
      "alert",
      "the server ended the connection with the alert handshake_failure; it has no cipher suite, group or signature algorithm in common with us, or it asks for a client certificate (`cert`, `key`)",
    ],
    [
      "suites of TLS 1.2: a server",
      ends(
        "server",
        () => ({ ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256", maxVersion: "TLSv1.2" }),
        () => ({ ...id(), ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" }),
      ),
      "protocol",
      "the handshake with the client failed: no shared cipher; the client offers no cipher suite that we take, with the `cert` or `psk` that we have",
    ],
    [
      "signature algorithms: a client",
      ends(
        "client",
        () => ({ signatureAlgorithms: "ed25519", minVersion: "TLSv1.3" }),
        () => id(),
      ),
      "alert",
      "the server ended the connection with the alert handshake_failure; it has no cipher suite, group or signature algorithm in common with us, or it asks for a client certificate (`cert`, `key`)",
    ],
    [
      "signature algorithms: a server",
      ends(
        "server",
        () => ({ signatureAlgorithms: "ed25519", minVersion: "TLSv1.3" }),
        () => id(),
      ),
      "protocol",
      "the handshake with the client failed: no suitable signature algorithm; the client takes no signature that our `cert` can make (`signatureAlgorithms`), or we have no `cert`",
    ],
    [
      "application protocols: a client",
      ends(
        "client",
        () => ({ alpnProtocols: ["h2"] }),
        () => ({ ...id(), alpnProtocols: ["http/1.1"] }),
      ),
      "alert",
      "the server ended the connection with the alert no_application_protocol; it does not speak any of our `alpnProtocols`",
    ],
    [
      "application protocols: a server",
      ends(
        "server",
        () => ({ alpnProtocols: ["h2"] }),
        () => ({ ...id(), alpnProtocols: ["http/1.1"] }),
      ),
      "protocol",
      "the handshake with the client failed: no application protocol; the client does not offer any of our `alpnProtocols`",
    ],
    [
      "a server without a certificate: a client",
      ends(
        "client",
        () => ({}),
        () => ({}),
      ),
      "alert",
      'the server ended the connection with the alert handshake_failure; it has no cipher suite, group or signature algorithm in common with us, or it asks for a client certificate (`cert`, `key`); if only suites with RSA key exchange or CBC are in common, they are off by default: `ciphers` ("DEFAULT") turns them on',
    ],
    [
      "a server without a certificate: a server",
      ends(
        "server",
        () => ({}),
        () => ({}),
      ),
      "protocol",
      'the handshake with the client failed: no shared cipher; the client offers no cipher suite that we take, with the `cert` or `psk` that we have; if only suites with RSA key exchange or CBC are in common, they are off by default: `ciphers` ("DEFAULT") turns them on',
    ],
    [
      "no certificate of the client, TLS 1.3",
      ends(
        "server",
        () => ({}),
        () => ({ ...id(), clientAuth: "require", caCerts: odd().root }),
      ),
      "protocol",
      'the handshake with the client failed: peer did not return a certificate; the client showed no certificate, and `clientAuth` "require" wants one',
    ],
    [
      "no certificate of the client, TLS 1.2",
      ends(
        "client",
        () => ({ maxVersion: "TLSv1.2" }),
        () => ({ ...id(), clientAuth: "require", caCerts: odd().root }),
      ),
      "alert",
      "the server ended the connection with the alert handshake_failure; it has no cipher suite, group or signature algorithm in common with us, or it asks for a client certificate (`cert`, `key`)",
    ],
  ],
  "what a client hears": [
    [
      "HTTP",
      hears("client", "HTTP/1.1 400 Bad Request\r\n\r\n"),
      "not-tls",
      'the server does not speak TLS: it sent "HTTP/1.1 400 Bad Request"; that is HTTP without TLS: is it the port for https?',
    ],
    [
      "a greeting",
      hears("client", "220 mail.example ESMTP\r\n"),
      "not-tls",
      'the server does not speak TLS: it sent "220 mail.example ESMTP"; a server that greets in the clear wants STARTTLS first (wassl/starttls), or has another port for TLS',
    ],
    [
      "SSH",
      hears("client", "SSH-2.0-OpenSSH_9.2\r\n"),
      "not-tls",
      'the server does not speak TLS: it sent "SSH-2.0-OpenSSH_9.2"; is it the port for TLS?',
    ],
    [
      "noise",
      hears("client", [0, 1, 2, 3, 4, 5]),
      "not-tls",
      "the server does not speak TLS; is it the port for TLS?",
    ],
    [
      "nothing, and the end",
      hears("client", ""),
      "truncated",
      "the server closed the transport before it answered the handshake",
    ],
    [
      "nothing",
      hears("client", "", { handshakeTimeout: 50 }, false),
      "timeout",
      'no TLS handshake with "localhost" within 50 ms',
    ],
    [
      "half a record",
      hears("client", [22, 3, 3, 0, 64, 2]),
      "truncated",
      "the server closed the transport in the middle of the handshake",
    ],
    [
      "close_notify",
      hears("client", [21, 3, 3, 0, 2, 1, 0]),
      "alert",
      "the server sent close_notify in the middle of the handshake: it does not want the connection",
    ],
    [
      "the alert handshake_failure",
      hears("client", alert(40)),
      "alert",
      'the server ended the connection with the alert handshake_failure; it has no cipher suite, group or signature algorithm in common with us, or it asks for a client certificate (`cert`, `key`); if only suites with RSA key exchange or CBC are in common, they are off by default: `ciphers` ("DEFAULT") turns them on',
    ],
    [
      "the alert bad_certificate",
      hears("client", alert(42)),
      "alert",
      "the server ended the connection with the alert bad_certificate; it did not accept our certificate: the certificate is for another name, is damaged, or is not meant for this use",
    ],
    [
      "the alert unknown_ca",
      hears("client", alert(48)),
      "alert",
      "the server ended the connection with the alert unknown_ca; it did not accept our certificate: it does not trust the issuer, or `cert` lacks the intermediate certificates",
    ],
    [
      "the alert access_denied",
      hears("client", alert(49)),
      "alert",
      "the server ended the connection with the alert access_denied; it does not let us in",
    ],
    [
      "the alert protocol_version",
      hears("client", alert(70)),
      "alert",
      "the server ended the connection with the alert protocol_version; it has no version in common with us: this build has TLS 1.2 and 1.3, of which `minVersion` and `maxVersion` choose",
    ],
    [
      "the alert internal_error",
      hears("client", alert(80)),
      "alert",
      "the server ended the connection with the alert internal_error; the fault is its own",
    ],
    [
      "the alert unrecognized_name",
      hears("client", alert(112)),
      "alert",
      "the server ended the connection with the alert unrecognized_name; it does not serve the name that was sent (`serverName`, by default `hostname`)",
    ],
    [
      "the alert certificate_required",
      hears("client", alert(116)),
      "alert",
      "the server ended the connection with the alert certificate_required; it asks for a client certificate, and did not get one (`cert`, `key`)",
    ],
    [
      "the alert unexpected_message",
      hears("client", alert(10)),
      "alert",
      "the server ended the connection with the alert unexpected_message",
    ],
    [
      "a server without RFC 5746",
      hears("client", serverHello(3)),
      "protocol",
      'the handshake with "localhost" failed: unsafe legacy renegotiation disabled; the server does not know RFC 5746, secure renegotiation: its software is from before 2010; `legacyServerConnect` lets a client take it',
    ],
    [
      "TLS 1.1",
      hears("client", serverHello(2)),
      "protocol",
      'the handshake with "localhost" failed: unsupported protocol; the server has no version in common with us: this build has TLS 1.2 and 1.3, of which `minVersion` and `maxVersion` choose',
    ],
  ],
  "what a server hears": [
    [
      "HTTP",
      hears("server", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
      "not-tls",
      'the client does not speak TLS: it sent "GET / HTTP/1.1"; that is HTTP without TLS, perhaps from an http:// URL',
    ],
    ["noise", hears("server", [0, 1, 2, 3, 4, 5]), "not-tls", "the client does not speak TLS"],
    [
      "nothing, and the end",
      hears("server", ""),
      "truncated",
      "the client closed the transport before it began a handshake",
    ],
    [
      "nothing",
      hears("server", "", { handshakeTimeout: 50 }, false),
      "timeout",
      "no TLS handshake with the client within 50 ms",
    ],
    [
      "an alert first",
      hears("server", alert(40)),
      "protocol",
      "the handshake with the client failed: unexpected message; the client sent a message that does not belong there",
    ],
    [
      "an alert about our certificate",
      ends("server", () => ({ caCerts: env.certs.caPem })),
      "alert",
      "the client ended the connection with the alert unknown_ca; it did not accept our certificate: it does not trust the issuer, or `cert` lacks the intermediate certificates",
    ],
  ],
};
