/**
 * Chains of certificates that are good, or bad in one way each:
 *
 *     root ── inter ── leaf · revoked · weakKey · weakSignature · …      otherRoot ── stranger
 *          ├─ crossOther (the key of otherRoot)                          self
 *          ├─ one ── two ── three ── long
 *          └─ constrained ── within · outside · excluded · …
 */

import { random } from "../helpers/random.ts";

/** What `verifyChain` is asked, with names for certificates, and seconds for a time. */
export interface ChainCase {
  leaf: string;
  intermediates?: string[];
  roots: string[];
  hostname?: string;
  ip?: string;
  email?: string;
  /** Seconds since 1970. */
  time?: number;
  purpose?: string;
  depth?: number;
  partialChain?: boolean;
  crls?: string[];
  flags?: string[];
  policies?: string[];
  securityLevel?: number;
  /** Intermediates that are good without the others: `openssl verify`, which follows one path, is asked with these. */
  path?: string[];
}

const ca = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
const server = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth"];
const san = (names: string) => `subjectAltName=${names}`;
const hex = (text: string) => Array.from(text, (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
const host = [...server, san("DNS:host.wassl.test")];

export interface Recipe {
  issuer?: string;
  /** Common name; default the certificate's name. */
  cn?: string;
  subject?: string;
  extensions: string[];
  /** Whose key it has; default one of its own. */
  keyOf?: string;
  key?: "p256" | "p384" | "ed25519" | "rsa1024" | "rsapss";
  digest?: "sha1" | "sha384";
  /** The authority key identifier is left out. */
  anonymousIssuer?: boolean;
  /** For how many days it is good; default 3,650 for a CA, 30 for others. */
  days?: number;
}

/** In levels: each is signed by one of an earlier level, or by itself. */
export const recipes: Record<string, Recipe>[] = [
  {
    root: { extensions: ca },
    otherRoot: { extensions: ca },
    edRoot: { extensions: ca, key: "ed25519" },
    p384Root: { extensions: ca, key: "p384", digest: "sha384" },
    pssRoot: { extensions: ca, key: "rsapss" },
    self: { extensions: host },
    // The same name as `root`, and another key: found by the name, not by the key identifier.
    rootTwin: { cn: "root", extensions: ca },
  },
  {
    inter: { issuer: "root", extensions: ca },
    policyCa: { issuer: "root", extensions: [...ca, "certificatePolicies=1.2.3.4,1.2.3.5"] },
    anyPolicyCa: { issuer: "root", extensions: [...ca, "certificatePolicies=2.5.29.32.0"] },
    explicitCa: {
      issuer: "root",
      extensions: [
        ...ca,
        "certificatePolicies=1.2.3.4",
        "policyConstraints=critical,requireExplicitPolicy:0",
      ],
    },
    crossOther: { issuer: "root", cn: "otherRoot", keyOf: "otherRoot", extensions: ca },
    stranger: { issuer: "otherRoot", extensions: host },
    one: { issuer: "root", extensions: ca },
    noPath: { issuer: "root", extensions: [`${ca[0]},pathlen:0`, ca[1]!] },
    noSigner: { issuer: "root", extensions: [ca[0]!, "keyUsage=critical,digitalSignature"] },
    constrained: {
      issuer: "root",
      extensions: [
        ...ca,
        "nameConstraints=critical,permitted;DNS:allowed.test,excluded;DNS:secret.allowed.test,permitted;IP:192.0.2.0/255.255.255.0,permitted;email:.allowed.test",
      ],
    },
    clientCa: { issuer: "root", extensions: [...ca, "extendedKeyUsage=clientAuth"] },
    // One authority with four certificates, and another one of that name.
    bridge: { issuer: "root", extensions: ca },
    bridgeOther: { issuer: "otherRoot", cn: "bridge", keyOf: "bridge", extensions: ca },
    bridgeLimited: {
      issuer: "root",
      cn: "bridge",
      keyOf: "bridge",
      extensions: [...ca, "nameConstraints=critical,excluded;DNS:host.wassl.test"],
    },
    bridgeClients: {
      issuer: "root",
      cn: "bridge",
      keyOf: "bridge",
      extensions: [...ca, "extendedKeyUsage=clientAuth"],
    },
    bridgeTwin: { issuer: "root", cn: "bridge", extensions: ca },
    impostor: { issuer: "otherRoot", cn: "inter", extensions: ca },
    weakCa: { issuer: "root", extensions: ca, key: "rsa1024" },
    sha1Ca: { issuer: "root", extensions: ca, digest: "sha1" },
    edLeaf: { issuer: "edRoot", extensions: host, key: "ed25519" },
    p384Leaf: { issuer: "p384Root", extensions: host, key: "p384", digest: "sha384" },
    pssLeaf: { issuer: "pssRoot", extensions: host, keyOf: "pssRoot" },
    oldMismatch: { issuer: "rootTwin", extensions: host, anonymousIssuer: true },
    version: { issuer: "root", extensions: [] },
  },
  {
    leaf: {
      issuer: "inter",
      extensions: [
        server[0]!,
        "extendedKeyUsage=serverAuth,clientAuth",
        san(
          "DNS:host.wassl.test,DNS:*.wild.wassl.test,DNS:f*.part.wassl.test,DNS:*.x.*.wassl.test,DNS:xn--bcher-kva.wassl.test,IP:192.0.2.7,IP:2001:db8::7,email:user@wassl.test",
        ),
      ],
    },
    revoked: { issuer: "inter", extensions: host },
    policyLeaf: { issuer: "policyCa", extensions: [...host, "certificatePolicies=1.2.3.4"] },
    otherPolicyLeaf: { issuer: "policyCa", extensions: [...host, "certificatePolicies=1.2.3.5"] },
    anyPolicyLeaf: { issuer: "anyPolicyCa", extensions: [...host, "certificatePolicies=1.2.3.4"] },
    explicitLeaf: { issuer: "explicitCa", extensions: [...host, "certificatePolicies=1.2.3.4"] },
    noPolicyLeaf: { issuer: "explicitCa", extensions: host },
    crossed: { issuer: "bridge", extensions: host },
    crossedAnonymous: { issuer: "bridge", extensions: host, anonymousIssuer: true },
    // One alternative name of 11 bytes, "a.test", a line break, and what would read as another name.
    lineBreak: {
      issuer: "inter",
      extensions: [...server, `subjectAltName=DER:300d820b${hex("a.test\nDNS:")}`],
    },
    cnOnly: { issuer: "inter", cn: "cn.wassl.test", extensions: server },
    cnBesides: { issuer: "inter", cn: "cn.wassl.test", extensions: host },
    mailOnly: {
      issuer: "inter",
      subject: "/CN=mail/emailAddress=old@wassl.test",
      extensions: [server[0]!, "extendedKeyUsage=emailProtection"],
    },
    weakKey: { issuer: "inter", extensions: host, key: "rsa1024" },
    weakSignature: { issuer: "inter", extensions: host, digest: "sha1" },
    clientOnly: { issuer: "inter", extensions: [server[0]!, "extendedKeyUsage=clientAuth"] },
    signOnly: { issuer: "inter", extensions: [server[0]!, "keyUsage=critical,keyCertSign"] },
    underClientCa: { issuer: "clientCa", extensions: host },
    underLeaf: { issuer: "self", extensions: host },
    underNoPath: { issuer: "noPath", extensions: ca },
    underNoSigner: { issuer: "noSigner", extensions: host },
    underWeakCa: { issuer: "weakCa", extensions: host },
    underSha1Ca: { issuer: "sha1Ca", extensions: host },
    forged: { issuer: "impostor", extensions: host, anonymousIssuer: true },
    critical: { issuer: "inter", extensions: [...host, "1.2.3.4=critical,ASN1:UTF8String:x"] },
    two: { issuer: "one", extensions: ca },
    within: {
      issuer: "constrained",
      extensions: [...server, san("DNS:www.allowed.test,IP:192.0.2.8,email:a@b.allowed.test")],
    },
    outside: { issuer: "constrained", extensions: [...server, san("DNS:allowed.test.evil.test")] },
    excluded: { issuer: "constrained", extensions: [...server, san("DNS:www.secret.allowed.test")] },
    outsideIp: { issuer: "constrained", extensions: [...server, san("IP:198.51.100.1")] },
    outsideMail: { issuer: "constrained", extensions: [...server, san("email:a@evil.test")] },
    outsideCn: { issuer: "constrained", cn: "cn.evil.test", extensions: server },
  },
  {
    three: { issuer: "two", extensions: ca },
    tooDeep: { issuer: "underNoPath", extensions: host },
  },
  { long: { issuer: "three", extensions: host } },
];

interface CrlRecipe {
  issuer: string;
  /** The key that signs it; by default the issuer's, as it should be. */
  signer?: string;
  revokes: string[];
  stale?: boolean;
  /** Of yesterday; else of now. */
  older?: boolean;
}

export const crls: Record<string, CrlRecipe> = {
  interCrl: { issuer: "inter", revokes: ["revoked"] },
  rootCrl: { issuer: "root", revokes: [] },
  rootRevokes: { issuer: "root", revokes: ["inter"] },
  interStale: { issuer: "inter", revokes: [], stale: true },
  interForged: { issuer: "inter", signer: "impostor", revokes: [] },
  rootOlder: { issuer: "root", revokes: [], older: true },
  rootRevokedOnce: { issuer: "root", revokes: ["inter"], older: true },
};

const day = 86_400;
const now = Math.floor(Date.now() / 1000);
const usual = { intermediates: ["inter"], roots: ["root"] };
/** The names of the certificates that `makeChains` is given. */
const given = { intermediates: ["givenInter"], roots: ["givenRoot"] };
const crlAll = ["interCrl", "rootCrl"];

/** In whatever order. */
function newerCounts(): Record<string, ChainCase> {
  const lists = {
    "revokes, an older one did not": ["rootRevokes", "rootOlder"],
    "does not revoke, an older one did": ["rootCrl", "rootRevokedOnce"],
    "revokes, a stale one did not": ["interCrl", "interStale"],
  };
  return Object.fromEntries(
    Object.entries(lists).flatMap(([name, [newer, older]]) =>
      [
        [newer!, older!],
        [older!, newer!],
      ].map((crls, i) => [
        `of two lists the newer ${name}${i === 0 ? "" : ", the other way round"}`,
        { leaf: "revoked", ...usual, crls: [...crls, newer === "interCrl" ? "rootCrl" : "interCrl"] },
      ]),
    ),
  );
}

/**
 * An authority is trusted twice: as a root, and as what another root has certified, which leads nowhere here. OpenSSL
 * takes the one that was given first, whatever else is trusted, and between them.
 */
function sameAnchor(): Record<string, ChainCase> {
  const more = ["stranger", "edRoot", "one", "bridge", "self", "p384Root", "pssRoot", "noPath"];
  return Object.fromEntries(
    [
      ["otherRoot", "crossOther"],
      ["crossOther", "otherRoot"],
    ].flatMap((pair) =>
      Array.from({ length: more.length + 1 }, (_, i) => [
        `an authority is trusted twice: ${pair}, and ${i} others`,
        {
          leaf: "impostor",
          roots: [pair[0]!, ...more.slice(0, i), pair[1]!, ...(i % 2 ? more.slice(i) : [])],
          purpose: "any",
        },
      ]),
    ),
  );
}

export const cases: Record<string, ChainCase> = {
  ...newerCounts(),
  "a good chain": { leaf: "leaf", ...usual },
  "the root is sent too": { leaf: "leaf", intermediates: ["inter", "root"], roots: ["root"] },
  "too many intermediates, in any order": {
    leaf: "leaf",
    intermediates: ["three", "crossOther", "root", "inter", "leaf"],
    roots: ["otherRoot", "root"],
  },
  Ed25519: { leaf: "edLeaf", roots: ["edRoot"], hostname: "host.wassl.test" },
  "P-384": { leaf: "p384Leaf", roots: ["p384Root"], hostname: "host.wassl.test" },
  "RSA-PSS": { leaf: "pssLeaf", roots: ["pssRoot"], hostname: "host.wassl.test" },

  "the name": { leaf: "leaf", ...usual, hostname: "host.wassl.test" },
  "the name, in capitals": { leaf: "leaf", ...usual, hostname: "HOST.Wassl.Test" },
  "another name": { leaf: "leaf", ...usual, hostname: "elsewhere.wassl.test" },
  "a name below": { leaf: "leaf", ...usual, hostname: "a.host.wassl.test" },
  "a name above": { leaf: "leaf", ...usual, hostname: "wassl.test" },
  "an internationalised name": { leaf: "leaf", ...usual, hostname: "xn--bcher-kva.wassl.test" },
  "a wildcard": { leaf: "leaf", ...usual, hostname: "a.wild.wassl.test" },
  "a wildcard is one label": { leaf: "leaf", ...usual, hostname: "a.b.wild.wassl.test" },
  "a wildcard is a label": { leaf: "leaf", ...usual, hostname: "wild.wassl.test" },
  "a wildcard for an A-label": { leaf: "leaf", ...usual, hostname: "xn--bcher-kva.wild.wassl.test" },
  "a partial wildcard": { leaf: "leaf", ...usual, hostname: "foo.part.wassl.test" },
  "a partial wildcard, and another name": { leaf: "leaf", ...usual, hostname: "bar.part.wassl.test" },
  "two wildcards are none": { leaf: "leaf", ...usual, hostname: "a.x.b.wassl.test" },
  "the common name, without alternative names": { leaf: "cnOnly", ...usual, hostname: "cn.wassl.test" },
  "the common name, beside alternative names": { leaf: "cnBesides", ...usual, hostname: "cn.wassl.test" },
  "an IPv4 address": { leaf: "leaf", ...usual, ip: "192.0.2.7" },
  "another IPv4 address": { leaf: "leaf", ...usual, ip: "192.0.2.8" },
  "an IPv6 address": { leaf: "leaf", ...usual, ip: "2001:db8:0:0::7" },
  "another IPv6 address": { leaf: "leaf", ...usual, ip: "2001:db8::8" },
  "a mail address": { leaf: "leaf", ...usual, email: "user@wassl.test" },
  "a mail address, its domain in capitals": { leaf: "leaf", ...usual, email: "user@WASSL.test" },
  "a mail address, its name in capitals": { leaf: "leaf", ...usual, email: "User@wassl.test" },
  "another mail address": { leaf: "leaf", ...usual, email: "other@wassl.test" },
  "a mail address in the subject": {
    leaf: "mailOnly",
    ...usual,
    email: "old@wassl.test",
    purpose: "smimesign",
  },
  "a name, an address and mail": {
    leaf: "leaf",
    ...usual,
    hostname: "host.wassl.test",
    ip: "192.0.2.7",
    email: "user@wassl.test",
  },
  "the right name, and a wrong address": {
    leaf: "leaf",
    ...usual,
    hostname: "host.wassl.test",
    ip: "192.0.2.9",
  },

  "before it is valid": { leaf: "leaf", ...usual, time: now - day },
  "when the leaf has expired": { leaf: "leaf", ...usual, time: now + 60 * day },
  "when all have expired": { leaf: "leaf", ...usual, time: now + 20 * 365 * day },
  "in 1969": { leaf: "leaf", ...usual, time: -day },
  expired: { leaf: "expired", ...given },
  "expired, then": { leaf: "expired", ...given, time: Date.UTC(2020, 0, 15) / 1000 },
  "expired, and times are not looked at": {
    leaf: "expired",
    ...given,
    flags: ["X509_V_FLAG_NO_CHECK_TIME"],
  },
  "not yet valid": { leaf: "notYetValid", ...given },
  "expired, and for another name": {
    leaf: "leaf",
    ...usual,
    time: now + 60 * day,
    hostname: "elsewhere.wassl.test",
  },

  "a missing intermediate": { leaf: "leaf", roots: ["root"] },
  "the wrong intermediate": { leaf: "leaf", intermediates: ["one"], roots: ["root"] },
  "an unknown root": { leaf: "leaf", intermediates: ["inter"], roots: ["otherRoot"] },
  "an unknown root that is sent": {
    leaf: "leaf",
    intermediates: ["inter", "root"],
    roots: ["otherRoot"],
  },
  "no roots": { leaf: "leaf", intermediates: ["inter", "root"], roots: [] },
  "self-signed": { leaf: "self", roots: ["root"], hostname: "host.wassl.test" },
  "self-signed, and trusted": { leaf: "self", roots: ["self"], hostname: "host.wassl.test" },
  "two roots of one name": { leaf: "leaf", intermediates: ["inter"], roots: ["rootTwin", "root"] },
  "a root of that name with another key": {
    leaf: "leaf",
    intermediates: ["inter"],
    roots: ["rootTwin"],
  },
  "two roots of one name, no key identifier": { leaf: "oldMismatch", roots: ["root", "rootTwin"] },
  // What was right with one key is not right with another.
  "no key identifier": { leaf: "oldMismatch", roots: ["rootTwin"] },
  "no key identifier, a root of that name with another key": { leaf: "oldMismatch", roots: ["root"] },
  ...sameAnchor(),
  "signed by an impostor": { leaf: "forged", ...usual },
  "signed by an impostor who is sent": {
    leaf: "forged",
    intermediates: ["impostor", "otherRoot"],
    roots: ["root"],
  },

  "a root as intermediate, cross-signed": {
    leaf: "stranger",
    intermediates: ["crossOther"],
    roots: ["root"],
  },
  "cross-signed, either root": {
    leaf: "stranger",
    intermediates: ["crossOther"],
    roots: ["root", "otherRoot"],
  },
  "cross-signed, the old root": {
    leaf: "stranger",
    intermediates: ["crossOther"],
    roots: ["otherRoot"],
  },
  "cross-signed, neither root": { leaf: "stranger", intermediates: ["crossOther"], roots: ["edRoot"] },
  ...Object.fromEntries(
    ["bridgeOther", "bridgeLimited", "bridgeClients"].flatMap((bad) => [
      [
        `two ways, one good: ${bad}`,
        { leaf: "crossed", intermediates: [bad, "bridge"], roots: ["root"], path: ["bridge"] },
      ],
      [
        `two ways, both bad: ${bad}`,
        { leaf: "crossed", intermediates: [bad, "bridgeOther"], roots: ["root"] },
      ],
    ]),
  ),
  "four ways, the last one good": {
    leaf: "crossed",
    intermediates: ["bridgeOther", "bridgeLimited", "bridgeClients", "bridge"],
    roots: ["root"],
    path: ["bridge"],
  },
  "an issuer of that name with another key, and the right one": {
    leaf: "crossedAnonymous",
    intermediates: ["bridgeTwin", "bridge"],
    roots: ["root"],
    path: ["bridge"],
  },
  "two ways, one good, another name": {
    leaf: "crossed",
    intermediates: ["bridgeOther", "bridge"],
    roots: ["root"],
    hostname: "elsewhere.wassl.test",
  },
  "two ways, one good, the leaf has expired": {
    leaf: "crossed",
    intermediates: ["bridgeOther", "bridge"],
    roots: ["root"],
    time: now + 60 * day,
  },
  "an intermediate is trusted": { leaf: "leaf", roots: ["inter"] },
  "an intermediate is trusted, partial chain": { leaf: "leaf", roots: ["inter"], partialChain: true },
  "the leaf is trusted": { leaf: "leaf", roots: ["leaf"] },
  "the leaf is trusted, partial chain": { leaf: "leaf", roots: ["leaf"], partialChain: true },
  "the root is trusted, partial chain": { leaf: "leaf", ...usual, partialChain: true },
  "a wrong intermediate is trusted, partial chain": {
    leaf: "leaf",
    roots: ["one"],
    partialChain: true,
  },

  "a long chain": { leaf: "long", intermediates: ["three", "two", "one"], roots: ["root"] },
  "a long chain, depth 3": {
    leaf: "long",
    intermediates: ["three", "two", "one"],
    roots: ["root"],
    depth: 3,
  },
  "a long chain, depth 2": {
    leaf: "long",
    intermediates: ["three", "two", "one"],
    roots: ["root"],
    depth: 2,
  },
  "depth 0": { leaf: "leaf", ...usual, depth: 0 },
  "depth 0, straight from the root": { leaf: "edLeaf", roots: ["edRoot"], depth: 0 },
  "longer than a CA allows": {
    leaf: "tooDeep",
    intermediates: ["underNoPath", "noPath"],
    roots: ["root"],
  },

  "a client's certificate for a server": { leaf: "clientOnly", ...usual },
  "a client's certificate for a client": { leaf: "clientOnly", ...usual, purpose: "sslclient" },
  "a server's certificate for mail": { leaf: "revoked", ...usual, purpose: "smimesign" },
  "a server's certificate for timestamps": { leaf: "revoked", ...usual, purpose: "timestampsign" },
  "a server's certificate for anything": { leaf: "clientOnly", ...usual, purpose: "any" },
  "a key usage that no server has": { leaf: "signOnly", ...usual },
  "a CA that is for clients": { leaf: "underClientCa", intermediates: ["clientCa"], roots: ["root"] },
  "a CA that is none": { leaf: "underLeaf", intermediates: ["self"], roots: ["self"] },
  "a CA that may not sign": {
    leaf: "underNoSigner",
    intermediates: ["noSigner"],
    roots: ["root"],
  },
  "a CA as a server": { leaf: "inter", roots: ["root"] },
  "no extensions at all": { leaf: "version", roots: ["root"] },
  "an unknown critical extension": { leaf: "critical", ...usual },
  "an unknown critical extension, let pass": {
    leaf: "critical",
    ...usual,
    flags: ["X509_V_FLAG_IGNORE_CRITICAL"],
  },

  "within the name constraints": {
    leaf: "within",
    intermediates: ["constrained"],
    roots: ["root"],
    hostname: "www.allowed.test",
  },
  ...Object.fromEntries(
    ["outside", "excluded", "outsideIp", "outsideMail", "outsideCn"].map((leaf) => [
      `name constraints: ${leaf}`,
      { leaf, intermediates: ["constrained"], roots: ["root"] },
    ]),
  ),

  "a weak key": { leaf: "weakKey", ...usual },
  "a weak key, level 1": { leaf: "weakKey", ...usual, securityLevel: 1 },
  "a weak key of a CA": { leaf: "underWeakCa", intermediates: ["weakCa"], roots: ["root"] },
  "a weak signature": { leaf: "weakSignature", ...usual },
  "a weak signature, level 1": { leaf: "weakSignature", ...usual, securityLevel: 1 },
  "a weak signature, level 0": { leaf: "weakSignature", ...usual, securityLevel: 0 },
  "a weak signature of a CA": { leaf: "underSha1Ca", intermediates: ["sha1Ca"], roots: ["root"] },
  "level 3": { leaf: "leaf", ...usual, securityLevel: 3 },
  "level 4": { leaf: "leaf", ...usual, securityLevel: 4 },
  "level 4, P-384": { leaf: "p384Leaf", roots: ["p384Root"], securityLevel: 4 },
  "level 5": { leaf: "leaf", ...usual, securityLevel: 5 },

  "not revoked": { leaf: "leaf", ...usual, crls: crlAll },
  revoked: { leaf: "revoked", ...usual, crls: crlAll },
  "revoked, and nobody asks": { leaf: "revoked", ...usual },
  "revoked, the leaf alone is checked": {
    leaf: "revoked",
    ...usual,
    crls: ["interCrl"],
    flags: ["X509_V_FLAG_CRL_CHECK"],
  },
  "the leaf alone is checked": {
    leaf: "leaf",
    ...usual,
    crls: ["interCrl"],
    flags: ["X509_V_FLAG_CRL_CHECK"],
  },
  "the intermediate is revoked": { leaf: "leaf", ...usual, crls: ["interCrl", "rootRevokes"] },
  "the intermediate is revoked, the leaf alone is checked": {
    leaf: "leaf",
    ...usual,
    crls: ["interCrl", "rootRevokes"],
    flags: ["X509_V_FLAG_CRL_CHECK"],
  },
  "no CRL of the root": { leaf: "leaf", ...usual, crls: ["interCrl"] },
  "no CRL at all": { leaf: "leaf", ...usual, flags: ["X509_V_FLAG_CRL_CHECK"] },
  "a CRL that has expired": { leaf: "leaf", ...usual, crls: ["interStale", "rootCrl"] },
  "a CRL that has expired, at its time": {
    leaf: "leaf",
    ...usual,
    crls: ["interStale"],
    flags: ["X509_V_FLAG_CRL_CHECK"],
    time: Date.UTC(2020, 0, 15) / 1000,
  },
  "a CRL that somebody else signed": { leaf: "leaf", ...usual, crls: ["interForged", "rootCrl"] },

  strict: { leaf: "leaf", ...usual, flags: ["X509_V_FLAG_X509_STRICT"] },
  "strict, without key identifiers": { leaf: "version", roots: ["root"], flags: ["X509_V_FLAG_X509_STRICT"] },
  ...Object.fromEntries(
    ["policyLeaf", "otherPolicyLeaf", "anyPolicyLeaf", "explicitLeaf", "noPolicyLeaf"].flatMap((leaf) =>
      [undefined, ["1.2.3.4"], ["1.2.3.5", "1.2.3.6"], ["1.2.3.4", "1.2.3.6"], ["2.5.29.32.0"]].flatMap(
        (policies) =>
          [[], ["X509_V_FLAG_EXPLICIT_POLICY"], ["X509_V_FLAG_POLICY_CHECK"]].map((flags) => [
            `policies: ${leaf}, ${policies ?? "any"}, ${flags}`,
            {
              ...{ leaf, intermediates: ["policyCa", "anyPolicyCa", "explicitCa"], roots: ["root"], flags },
              ...(policies ? { policies } : {}),
            },
          ]),
      ),
    ),
  ),
  "an explicit policy is asked for": { leaf: "leaf", ...usual, flags: ["X509_V_FLAG_EXPLICIT_POLICY"] },
  "the root's own signature": { leaf: "leaf", ...usual, flags: ["X509_V_FLAG_CHECK_SS_SIGNATURE"] },
  "Suite B 128": { leaf: "leaf", ...usual, flags: ["X509_V_FLAG_SUITEB_128_LOS"] },
  "Suite B 192": { leaf: "leaf", ...usual, flags: ["X509_V_FLAG_SUITEB_192_LOS"] },
  "Suite B 192, P-384": {
    leaf: "p384Leaf",
    roots: ["p384Root"],
    flags: ["X509_V_FLAG_SUITEB_192_LOS"],
  },
};

/**
 * Authorities that certify each other, and some that are not trusted: each certificate is an edge, and most have a
 * defect.
 *
 *     leaf ── A ⇄ B ⇄ C ⇄ D, each of them also under `root`, under `otherRoot`, and under a twin of each of that name with another key
 */
const subjects = ["A", "B", "C", "D"];
const defects: Partial<Recipe>[] = [
  {},
  {},
  {},
  { days: 1 },
  { extensions: ["basicConstraints=critical,CA:FALSE", ca[1]!] },
  { extensions: [ca[0]!, "keyUsage=critical,cRLSign"] },
  { extensions: [...ca, "extendedKeyUsage=clientAuth"] },
  { extensions: [...ca, "nameConstraints=critical,excluded;DNS:host.wassl.test"] },
  { extensions: [...ca, "1.2.3.4=critical,ASN1:UTF8String:x"] },
  { extensions: [`${ca[0]},pathlen:0`, ca[1]!] },
  { extensions: ca, digest: "sha1" },
];

/** These have no defect, so that there is a good way whatever the seed. */
const sound = ["crossAB", "crossBC", "crossCroot"];

/** By level, as `recipes`, and all edges but the leaf's. */
export function crossSigned(seed: number): {
  levels: Record<string, Recipe>[];
  edges: { name: string; from: string; to: string }[];
} {
  const next = random(seed);
  const one = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  const holders: Record<string, Recipe> = {};
  for (const each of subjects) {
    // What has a key is a certificate; these are none of the edges.
    holders[`cross${each}`] = { cn: `cross ${each}`, extensions: ca };
    holders[`twin${each}`] = { cn: `cross ${each}`, extensions: ca };
  }
  const level: Record<string, Recipe> = {
    crossLeaf: { issuer: "crossA", extensions: host },
    // It does not say by which key it was signed.
    crossLeafAnonymous: { issuer: "crossA", extensions: host, anonymousIssuer: true },
  };
  const edges: { name: string; from: string; to: string }[] = [];
  for (const from of subjects) {
    for (const to of [...subjects, "root", "otherRoot"]) {
      if (from === to) continue;
      const name = `cross${from}${to}`;
      const issuer = subjects.includes(to) ? `cross${to}` : to;
      const defect = one(defects);
      level[name] = { cn: `cross ${from}`, keyOf: `cross${from}`, issuer, extensions: ca };
      if (!sound.includes(name)) Object.assign(level[name], defect);
      edges.push({ name, from, to });
    }
    const twin = `twin${from}Root`;
    level[twin] = { cn: `cross ${from}`, keyOf: `twin${from}`, issuer: "root", extensions: ca };
    edges.push({ name: twin, from, to: "root" });
  }
  return { levels: [holders, level], edges };
}

/** All ways from the leaf to `root` that go through no authority twice. */
export function waysOf(
  edges: readonly { name: string; from: string; to: string }[],
  at = "A",
  seen: string[] = [],
): string[][] {
  return edges
    .filter(({ from, to }) => from === at && !seen.includes(to) && to !== "otherRoot")
    .flatMap(({ name, to }) =>
      to === "root" ? [[name]] : waysOf(edges, to, [...seen, at]).map((way) => [name, ...way]),
    );
}

/**
 * Some of the edges, in any order, with the moment: now, or when those that are good for a day have expired. Of four
 * cases one has the sound way for certain, and one has no way to the root.
 */
export function crossCases(seed: number, count: number): ChainCase[] {
  const { edges } = crossSigned(seed);
  const next = random(seed + 1);
  return Array.from({ length: count }, (_, i) => {
    const share = 0.2 + next() * 0.6;
    const chosen = edges.filter(
      ({ name, to }) =>
        (next() < share || (i % 4 === 0 && sound.includes(name))) && !(i % 4 === 1 && to === "root"),
    );
    const order = chosen.map(({ name }) => ({ name, at: next() }));
    return {
      leaf: next() < 0.7 ? "crossLeaf" : "crossLeafAnonymous",
      intermediates: order.sort((a, b) => a.at - b.at).map(({ name }) => name),
      roots: ["root"],
      hostname: "host.wassl.test",
      ...(next() < 0.5 ? { time: now + 3 * day } : {}),
    };
  });
}

/**
 * Of two lists of one issuer the newer counts. Of those that are equally new it is the first for `openssl verify`; in
 * an X509_STORE it depends on how that sorts them, which is by issuer alone.
 */
function unambiguous(names: string[]): string[] {
  const kind = (name: string) => [crls[name]?.issuer, crls[name]?.older, crls[name]?.stale].join();
  return names.filter((name, i) => !names.slice(0, i).some((other) => kind(other) === kind(name)));
}

/** What `openssl verify` calls them. */
export const cliFlags: Record<string, string> = {
  X509_V_FLAG_CRL_CHECK: "-crl_check",
  X509_V_FLAG_IGNORE_CRITICAL: "-ignore_critical",
  X509_V_FLAG_X509_STRICT: "-x509_strict",
  X509_V_FLAG_EXPLICIT_POLICY: "-explicit_policy",
  X509_V_FLAG_POLICY_CHECK: "-policy_check",
  X509_V_FLAG_INHIBIT_ANY: "-inhibit_any",
  X509_V_FLAG_CHECK_SS_SIGNATURE: "-check_ss_sig",
  X509_V_FLAG_SUITEB_128_LOS: "-suiteB_128",
  X509_V_FLAG_SUITEB_192_LOS: "-suiteB_192",
  X509_V_FLAG_NO_CHECK_TIME: "-no_check_time",
};

/**
 * Cases at random, beyond those that were thought of: any of the certificates, trusted, sent along and in question, and
 * any options.
 */
export function randomCases(seed: number, count: number): Record<string, ChainCase> {
  const next = random(seed);
  const chance = (probability: number) => next() < probability;
  const one = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  const some = <T>(list: readonly T[], most: number) => {
    const picked = Array.from({ length: Math.floor(next() * (most + 1)) }, () => one(list));
    return [...new Set(picked)];
  };
  const made = recipes.flatMap((level) => Object.entries(level));
  const all = made.map(([name]) => name);
  const issuers = [...new Set(made.map(([name, { issuer }]) => issuer ?? name))];
  const make = (): ChainCase => {
    const [leaf, recipe] = one(made);
    // Most chains would lead nowhere: so what leads on is there more often than not.
    const above: string[] = [];
    for (let at = recipe.issuer; at; at = Object.fromEntries(made)[at]?.issuer) above.push(at);
    const intermediates = [...above.filter(() => chance(0.85)), ...some(issuers, 3)];
    const roots = [...above.slice(-1).filter(() => chance(0.8)), ...some(chance(0.7) ? issuers : all, 2)];
    return {
      leaf,
      intermediates: [...new Set(intermediates)],
      roots: [...new Set(roots)],
      ...(chance(0.4) ? { hostname: one(["host.wassl.test", "a.wild.wassl.test", "cn.wassl.test"]) } : {}),
      ...(chance(0.1) ? { ip: one(["192.0.2.7", "192.0.2.8"]) } : {}),
      ...(chance(0.1) ? { email: one(["user@wassl.test", "old@wassl.test"]) } : {}),
      ...(chance(0.2) ? { time: now + one([-day, day, 60 * day, 20 * 365 * day]) } : {}),
      ...(chance(0.5) ? { purpose: one(["sslclient", "smimesign", "any", "crlsign"]) } : {}),
      ...(chance(0.2) ? { depth: one([0, 1, 2, 3]) } : {}),
      ...(chance(0.3) ? { partialChain: true } : {}),
      ...(chance(0.3) ? { crls: unambiguous(some(Object.keys(crls), 4)) } : {}),
      ...(chance(0.3) ? { flags: some(Object.keys(cliFlags), 2) } : {}),
      ...(chance(0.5) ? { securityLevel: one([0, 1, 2, 3]) } : {}),
      ...(chance(0.2) ? { policies: [one(["1.2.3.4", "1.2.3.5", "2.5.29.32.0"])] } : {}),
    };
  };
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`random case ${i}`, make()]));
}
