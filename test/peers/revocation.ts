/** OCSP responses and revocation lists, by hand: what a client has to make of each. Independent of OpenSSL. */
import { createHash, sign as signWith } from "node:crypto";
import {
  bits,
  commonName,
  extension,
  generalizedTime,
  integer,
  NULL,
  octets,
  oid,
  pem,
  sequence,
  tlv,
} from "../der.ts";
import {
  ALGORITHMS,
  authorityKeyId,
  certificate,
  crl,
  type Key,
  keyBits,
  keyId,
  newKey,
  pss,
  subjectKeyId,
} from "./handmade.ts";

export interface OcspCase {
  /** PEM, of the server. */
  chain: string;
  key: string;
  roots: string;
  /** DER in base64; if it is absent, no response is stapled. */
  response?: string;
  /** "ok", or the client's verifyError. */
  soft: string;
  /** By default as `soft`. */
  require?: string;
  partialChain?: boolean;
  /** Milliseconds since 1970. */
  time?: number;
  /** A part of the message. */
  says?: string;
}

export interface CrlCase {
  leaf: string;
  intermediates: string[];
  roots: string;
  crls: string[];
  flags: string[];
  /** "ok", or all errors that verifyChain must tell, among others. */
  error: string;
}

export interface Revocation {
  /** The private key of every leaf here, PEM. */
  key: string;
  ocsp: Record<string, OcspCase>;
  crls: Record<string, CrlCase>;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ROOT = "Revocation root";
const CA = "Revocation intermediate";
const NEEDED = "X509_V_ERR_OCSP_VERIFY_NEEDED";
const FAILED = "X509_V_ERR_OCSP_VERIFY_FAILED";
const REVOKED = "X509_V_ERR_CERT_REVOKED";
const SERIAL = 0x4711n;
const SHA1 = "1.3.14.3.2.26";
const SHA256 = "2.16.840.1.101.3.4.2.1";
const NEVER_HEARD_OF = "1.3.6.1.4.1.99999.1";
const tlsFeature = (value: Uint8Array) => extension("1.3.6.1.5.5.7.1.24", value);
const unknownCritical = extension(NEVER_HEARD_OF, NULL, true);
const unknown = extension(NEVER_HEARD_OF, NULL);
const forOcsp = extension("2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.9")));

interface Entry {
  status?: "good" | "revoked" | "unknown";
  serial?: bigint;
  /** Whose certificate it is about; by default that of CA. */
  issuer?: { name?: string; spki?: Uint8Array };
  hash?: string;
  from?: number;
  until?: number | null;
  extensions?: Uint8Array[];
}

export function makeRevocation(): Revocation {
  const rootKey = newKey();
  const caKey = newKey("rsa");
  const leafKey = newKey();
  const root = certificate({
    issuer: ROOT,
    subject: ROOT,
    spki: rootKey.spki,
    by: rootKey,
    ca: true,
    extra: [subjectKeyId(rootKey)],
  });
  const ca = certificate({
    ...{ issuer: ROOT, subject: CA, spki: caKey.spki, by: rootKey, ca: true, serial: 0x1001n },
    extra: [subjectKeyId(caKey), authorityKeyId(rootKey)],
  });
  const leafOf = (extra: Uint8Array[] = []) =>
    certificate({
      ...{ issuer: CA, subject: "leaf", spki: leafKey.spki, by: caKey, san: "localhost", serial: SERIAL },
      extra: [authorityKeyId(caKey), ...extra],
    });
  const leaf = leafOf();
  const chain = (...certificates: Uint8Array[]) => certificates.map((each) => pem(each)).join("");
  const roots = pem(root);

  // ---- OCSP --------------------------------------------------------------------------------------------------------
  const now = Date.now();
  const entryOf = ({
    status = "good",
    serial = SERIAL,
    issuer = {},
    hash = SHA1,
    from = now - HOUR,
    until = now + DAY,
    extensions = [],
  }: Entry) => {
    const digest = (data: Uint8Array) =>
      createHash(hash === SHA256 ? "sha256" : hash === SHA1 ? "sha1" : "md5")
        .update(data)
        .digest();
    const { name: issuerName = CA, spki = caKey.spki } = issuer;
    const keyHash = hash === SHA1 ? keyId(spki) : digest(keyBits(spki));
    const id = sequence(
      sequence(oid(hash), NULL),
      octets(digest(commonName(issuerName))),
      octets(keyHash),
      integer(serial),
    );
    const said =
      status === "good"
        ? tlv(0x80)
        : status === "unknown"
          ? tlv(0x82)
          : tlv(0xa1, generalizedTime(new Date(from)));
    return sequence(
      id,
      said,
      generalizedTime(new Date(from)),
      ...(until === null ? [] : [tlv(0xa0, generalizedTime(new Date(until)))]),
      ...(extensions.length > 0 ? [tlv(0xa1, sequence(...extensions))] : []),
    );
  };
  interface Response {
    entries?: Entry[];
    extensions?: Uint8Array[];
    by?: Pick<Key, "sign" | "algorithm" | "spki">;
    certificates?: Uint8Array[];
  }
  const responseOf = ({ entries = [{}], extensions = [], by = caKey, certificates = [] }: Response = {}) => {
    const data = sequence(
      tlv(0xa2, octets(keyId(by.spki))),
      generalizedTime(new Date(now)),
      sequence(...entries.map(entryOf)),
      ...(extensions.length > 0 ? [tlv(0xa1, sequence(...extensions))] : []),
    );
    const basic = sequence(
      data,
      by.algorithm,
      bits(by.sign(data)),
      ...(certificates.length > 0 ? [tlv(0xa0, sequence(...certificates))] : []),
    );
    const whole = sequence(
      tlv(0x0a, Buffer.of(0)),
      tlv(0xa0, sequence(oid("1.3.6.1.5.5.7.48.1.1"), octets(basic))),
    );
    return Buffer.from(whole).toString("base64");
  };
  const served = { chain: chain(leaf, ca), key: leafKey.pem, roots };
  const ocsp: Record<string, OcspCase> = {};
  const judged = (title: string, response: Response, soft: string, more: Partial<OcspCase> = {}) => {
    ocsp[title] = { ...served, response: responseOf(response), soft, ...more };
  };
  judged("good", {}, "ok");
  judged("good, by SHA-256", { entries: [{ hash: SHA256 }] }, "ok");
  judged(
    "good, and something that needs no knowing",
    { extensions: [unknown], entries: [{ extensions: [unknown] }] },
    "ok",
  );
  judged(
    "good, and what is critical about another",
    { entries: [{ serial: 1n, extensions: [unknownCritical], status: "revoked" }, {}] },
    "ok",
  );
  judged("two entries, good", { entries: [{}, { hash: SHA256 }] }, "ok");

  const worse: [string, Entry, string, string][] = [
    ["revoked", { status: "revoked" }, REVOKED, "revoked"],
    ["revoked, by SHA-256", { status: "revoked", hash: SHA256 }, REVOKED, "revoked"],
    [
      "revoked, and stale",
      { status: "revoked", from: now - 9 * DAY, until: now - 8 * DAY },
      REVOKED,
      "revoked",
    ],
    ["revoked, and critical", { status: "revoked", extensions: [unknownCritical] }, REVOKED, "revoked"],
    ["unknown", { status: "unknown" }, "X509_V_ERR_OCSP_CERT_UNKNOWN", "does not know"],
    ["stale", { from: now - 9 * DAY, until: now - 8 * DAY }, FAILED, "stale"],
    ["of the future", { from: now + DAY, until: now + 2 * DAY }, FAILED, "stale"],
    ["old, and open-ended", { from: now - 30 * DAY, until: null }, FAILED, "stale"],
    ["critical", { extensions: [unknownCritical] }, FAILED, "critical extension"],
    ["by an unknown hash", { hash: NEVER_HEARD_OF }, FAILED, "by a hash"],
    ["by MD5", { hash: "1.2.840.113549.2.5" }, FAILED, "by a hash"],
  ];
  for (const [title, entry, soft, says] of worse) {
    judged(title, { entries: [entry] }, soft, { says });
    judged(`good, then ${title}`, { entries: [{}, entry] }, soft, { says });
    judged(`${title}, then good`, { entries: [entry, {}] }, soft, { says });
  }
  judged("a critical extension of the response", { extensions: [unknown, unknownCritical] }, FAILED, {
    says: "critical extension",
  });
  // A certificate is known by its serial number, and by its issuer's name and key.
  const others: [string, Entry][] = [
    ["another certificate", { serial: 1n }],
    ["the same serial of another issuer", { issuer: { name: ROOT, spki: rootKey.spki } }],
    ["the same serial of another name with the same key", { issuer: { name: ROOT } }],
    ["the same serial of the same name with another key", { issuer: { spki: rootKey.spki } }],
  ];
  for (const [which, other] of others)
    for (const [how, hash] of [
      ["", SHA1],
      [", by SHA-256", SHA256],
    ] as const) {
      const about = { ...other, hash };
      judged(`about ${which}${how}`, { entries: [about] }, FAILED, { says: "another certificate" });
      judged(
        `revoked, and then good about ${which}${how}`,
        { entries: [{ status: "revoked" }, about] },
        REVOKED,
        {
          says: "revoked",
        },
      );
      judged(
        `good, and revoked about ${which}${how}`,
        { entries: [{ ...about, status: "revoked" }, {}] },
        "ok",
      );
    }
  judged(
    "good, and by an unknown hash about another certificate",
    { entries: [{ serial: 1n, hash: NEVER_HEARD_OF }, {}] },
    "ok",
  );
  judged("about nothing", { entries: [] }, FAILED, { says: "another certificate" });
  ocsp["something stands behind it"] = {
    ...served,
    response: Buffer.concat([Buffer.from(responseOf(), "base64"), NULL]).toString("base64"),
    soft: FAILED,
    says: "malformed",
  };

  const weak = (hash: string, algorithm: Uint8Array, padding = 1) => ({
    by: {
      ...caKey,
      algorithm,
      sign: (data: Uint8Array) =>
        signWith(hash, data, {
          key: caKey.private,
          padding,
          ...(padding === 6 ? { saltLength: hash === "sha1" ? 20 : 32 } : {}),
        }),
    },
  });
  judged("signed with SHA-1", weak("sha1", ALGORITHMS.rsaSha1), FAILED, { says: "too weak" });
  judged("signed with RSA-PSS and SHA-1", weak("sha1", pss("sha1"), 6), FAILED, { says: "too weak" });
  judged("signed with RSA-PSS and SHA-256", weak("sha256", pss("sha256"), 6), "ok");
  judged("signed by nobody", { by: { ...caKey, sign: newKey("rsa").sign } }, FAILED, {
    says: "not signed by the issuer",
  });
  judged("signed by the leaf", { by: leafKey, certificates: [leaf] }, FAILED, {
    says: "not signed by the issuer",
  });
  judged("signed by the root", { by: rootKey, certificates: [root] }, FAILED, {
    says: "not signed by the issuer",
  });

  const responderKey = newKey();
  const responder = (
    extra: Uint8Array[],
    more: { by?: Key; issuer?: string; from?: Date; to?: Date; usage?: number } = {},
  ) => certificate({ issuer: CA, subject: "responder", spki: responderKey.spki, by: caKey, ...more, extra });
  const delegated = (
    title: string,
    certificates: Uint8Array[],
    soft: string,
    more: Partial<OcspCase> = {},
    response: Response = {},
  ) =>
    judged(`a responder ${title}`, { by: responderKey, certificates, ...response }, soft, {
      ...(soft === FAILED ? { says: "not signed by the issuer" } : {}),
      ...more,
    });
  delegated("that the issuer authorized", [responder([forOcsp])], "ok");
  delegated("that says what it is for", [responder([forOcsp], { usage: 0x80 })], "ok");
  delegated("that is for something else", [responder([])], FAILED);
  delegated(
    "that is for anything",
    [responder([extension("2.5.29.37", sequence(oid("2.5.29.37.0")))])],
    FAILED,
  );
  delegated("whose key is for something else", [responder([forOcsp], { usage: 0x20 })], FAILED);
  delegated("that the root authorized", [responder([forOcsp], { by: rootKey, issuer: ROOT })], FAILED);
  delegated(
    "that a responder authorized",
    [responder([forOcsp], { by: leafKey, issuer: "leaf" }), leaf],
    FAILED,
  );
  delegated("that somebody else authorized", [responder([forOcsp], { by: newKey("rsa") })], FAILED);
  delegated("that has an unknown critical extension", [responder([forOcsp, unknownCritical])], FAILED);
  const past = { from: new Date(now - 20 * DAY), to: new Date(now - 10 * DAY) };
  delegated("that has expired", [responder([forOcsp], past)], FAILED);
  // As of a moment at which all of them are good: judged now, this responder's certificate has not begun.
  const then = now + 20 * DAY;
  const later = { from: new Date(now + 15 * DAY), to: new Date(now + 25 * DAY) };
  const atThen = { entries: [{ from: then - HOUR, until: then + HOUR }] };
  delegated("of a later time, at that time", [responder([forOcsp], later)], "ok", { time: then }, atThen);
  delegated(
    "of today, at a later time",
    [responder([forOcsp], { to: new Date(now + DAY) })],
    FAILED,
    { time: then },
    atThen,
  );
  for (const [title, response] of [
    ["the issuer signed", {}],
    ["a responder signed", { by: responderKey, certificates: [responder([forOcsp])] }],
  ] as [string, Response][]) {
    // The intermediate is the trust anchor, and nothing above it is known.
    judged(`a partial chain, ${title}`, response, "ok", { roots: pem(ca), partialChain: true });
  }

  const promises: [string, Uint8Array[], Uint8Array[], string][] = [
    ["the leaf", [tlsFeature(sequence(integer(5)))], [], NEEDED],
    ["the leaf, among others", [tlsFeature(sequence(integer(17), integer(5)))], [], NEEDED],
    ["the leaf, of something else", [tlsFeature(sequence(integer(17)))], [], "ok"],
    ["the leaf, unreadably", [tlsFeature(octets())], [], NEEDED],
    [
      "the leaf, behind what can be read",
      [tlsFeature(Buffer.concat([sequence(integer(17)), NULL]))],
      [],
      NEEDED,
    ],
    [
      "the leaf, the second time",
      [tlsFeature(sequence(integer(17))), tlsFeature(sequence(integer(5)))],
      [],
      NEEDED,
    ],
    ["its issuer", [], [tlsFeature(sequence(integer(5)))], NEEDED],
  ];
  for (const [who, ofLeaf, ofCa, soft] of promises) {
    const other = certificate({
      ...{ issuer: ROOT, subject: CA, spki: caKey.spki, by: rootKey, ca: true },
      extra: [subjectKeyId(caKey), authorityKeyId(rootKey), ...ofCa],
    });
    const own = { ...served, chain: chain(leafOf(ofLeaf), other) };
    ocsp[`a promise by ${who}: none came`] = {
      ...own,
      soft,
      require: NEEDED,
      ...(soft === "ok" ? {} : { says: "sent no response" }),
    };
    ocsp[`a promise by ${who}: good`] = { ...own, response: responseOf(), soft: "ok" };
  }

  // ---- revocation lists
  // -----------------------------------------------------------------------------------------------
  const number = (n: number) => extension("2.5.29.20", integer(n));
  const deltaOf = (n: number) => extension("2.5.29.27", integer(n), true);
  const freshest = extension(
    "2.5.29.46",
    sequence(sequence(tlv(0xa0, tlv(0xa0, tlv(0x86, Buffer.from("http://crl.test/")))))),
  );
  const someReasons = extension("2.5.29.28", sequence(tlv(0x83, Buffer.of(1, 0x7e))), true);
  const ofRoot = pem(crl({ issuer: ROOT, by: rootKey }), "X509 CRL");
  const crls: Record<string, CrlCase> = {};
  const EXTENDED = "X509_V_FLAG_EXTENDED_CRL_SUPPORT";
  const DELTAS = "X509_V_FLAG_USE_DELTAS";
  const listed = (title: string, lists: Uint8Array[], error: string, more: Partial<CrlCase> = {}) => {
    crls[title] = {
      ...{ leaf: pem(leaf), intermediates: [pem(ca)], roots, flags: [], error },
      crls: [...lists.map((each) => pem(each, "X509 CRL")), ofRoot],
      ...more,
    };
  };
  const base = (revokes: bigint[] = [], extensions: Uint8Array[] = []) =>
    crl({
      issuer: CA,
      by: caKey,
      revokes,
      extensions: [number(1), ...extensions],
      from: new Date(now - 3 * DAY),
    });
  const delta = (revokes: bigint[] = [], extensions: Uint8Array[] = []) =>
    crl({
      issuer: CA,
      by: caKey,
      revokes,
      extensions: [number(2), deltaOf(1), ...extensions],
      from: new Date(now - DAY),
    });
  const NONE = "X509_V_ERR_UNABLE_TO_GET_CRL";
  for (const flags of [[], [EXTENDED], [DELTAS], [EXTENDED, DELTAS]]) {
    const which = flags.length > 0 ? flags.map((flag) => flag.slice(12)).join(" and ") : "no flags";
    listed(`a complete list, ${which}`, [base()], "ok", { flags });
    listed(`a delta alone, ${which}`, [delta()], NONE, { flags });
    listed(`a delta of some reasons alone, ${which}`, [delta([], [someReasons])], NONE, { flags });
    listed(
      `a list that revokes, and a newer delta without it, ${which}`,
      [base([SERIAL]), delta()],
      REVOKED,
      { flags },
    );
    const seen = flags.includes(DELTAS);
    listed(`a delta that revokes, ${which}`, [base([], [freshest]), delta([SERIAL])], seen ? REVOKED : "ok", {
      flags,
    });
  }

  // A program that cannot read what a list is about must not take it for a list about everything.
  const unread: Record<string, Uint8Array[]> = {
    "a scope": [number(1), extension("2.5.29.28", tlv(0x02, Buffer.of(3)), true)],
    "two scopes": [number(1), someReasons, extension("2.5.29.28", sequence(tlv(0x82, Buffer.of(255))), true)],
    "a base": [number(2), extension("2.5.29.27", octets(Buffer.of(1)), true)],
    "two bases": [number(2), deltaOf(1), deltaOf(1)],
    "a number": [extension("2.5.29.20", octets(Buffer.of(1)))],
  };
  for (const [what, extensions] of Object.entries(unread))
    for (const flags of [[], [EXTENDED], [DELTAS]])
      listed(
        `${what} that cannot be read, ${flags}`,
        [crl({ issuer: CA, by: caKey, extensions })],
        "X509_V_ERR_INVALID_EXTENSION",
        { flags },
      );

  // What is signed names the algorithm, and what stands beside the signature must be the same (RFC 5280 §5.1.1.2).
  for (const [title, parameters] of Object.entries({ none: [], "a sequence": [sequence()] }))
    listed(
      `the algorithm beside the signature has other parameters: ${title}`,
      [crl({ issuer: CA, by: caKey, outer: sequence(oid("1.2.840.113549.1.1.11"), ...parameters) })],
      "X509_V_ERR_CRL_SIGNATURE_FAILURE",
    );

  // A key of the same name, for revocation lists alone, with a certificate and so with a path of its own.
  const crlKey = newKey();
  const issuerOf = (more: Partial<Parameters<typeof certificate>[0]> = {}) =>
    certificate({
      ...{
        issuer: ROOT,
        subject: CA,
        spki: crlKey.spki,
        by: rootKey,
        ca: true,
        usage: 0x02,
        serial: 0x2002n,
      },
      extra: [subjectKeyId(crlKey), authorityKeyId(rootKey)],
      ...more,
    });
  const list = (revokes: bigint[] = []) => crl({ issuer: CA, by: crlKey, revokes });
  const separate = (
    title: string,
    issuer: Uint8Array,
    lists: Uint8Array[],
    error: string,
    rootList = ofRoot,
  ) =>
    listed(`by a key of its own: ${title}`, [], error, {
      flags: [EXTENDED],
      intermediates: [pem(ca), pem(issuer)],
      crls: [...lists.map((each) => pem(each, "X509 CRL")), rootList],
    });
  const PATH = "X509_V_ERR_CRL_PATH_VALIDATION_ERROR";
  separate("good", issuerOf(), [list()], "ok");
  separate("it revokes", issuerOf(), [list([SERIAL])], REVOKED);
  separate(
    "the list is forged",
    issuerOf(),
    [crl({ issuer: CA, by: crlKey, sign: newKey().sign })],
    "X509_V_ERR_CRL_SIGNATURE_FAILURE",
  );
  separate(
    "its certificate is forged",
    issuerOf({ by: { ...rootKey, sign: newKey().sign } }),
    [list()],
    PATH,
  );
  separate("its certificate has expired", issuerOf(past), [list()], PATH);
  separate(
    "its certificate is revoked",
    issuerOf(),
    [list()],
    PATH,
    pem(crl({ issuer: ROOT, by: rootKey, revokes: [0x2002n] }), "X509 CRL"),
  );
  separate("its certificate is not for lists", issuerOf({ usage: 0x04 }), [list()], PATH);
  separate(
    "its certificate has an unknown critical extension",
    issuerOf({ extra: [subjectKeyId(crlKey), authorityKeyId(rootKey), unknownCritical] }),
    [list()],
    PATH,
  );
  const otherRootKey = newKey();
  const selfMade = issuerOf({
    issuer: CA,
    by: crlKey,
    extra: [subjectKeyId(crlKey), authorityKeyId(crlKey)],
  });
  separate("nobody has certified it", selfMade, [list()], PATH);
  const otherRoot = certificate({
    issuer: "Another root",
    subject: "Another root",
    spki: otherRootKey.spki,
    by: otherRootKey,
    ca: true,
    extra: [subjectKeyId(otherRootKey)],
  });
  separate(
    "another root has certified it",
    issuerOf({
      issuer: "Another root",
      by: otherRootKey,
      extra: [subjectKeyId(crlKey), authorityKeyId(otherRootKey)],
    }),
    [list(), crl({ issuer: "Another root", by: otherRootKey })],
    PATH,
  );
  crls["by a key of its own: another root has certified it"]!.roots += pem(otherRoot);

  return { key: leafKey.pem, ocsp, crls };
}
