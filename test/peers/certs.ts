/**
 * The certificates of one test run, made with the `openssl` CLI in a folder that is removed afterwards:
 *
 *     ca ── intermediate ── ecdsa · rsa · expired · notYetValid · wrongHost · wildcard · client · clientRsa · responder · p384 · ed25519
 *     otherCa ── untrusted        selfSigned
 *
 * `openssl ca` signs them all, because it alone (of OpenSSL 3.0) takes dates.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const local = "DNS:localhost,IP:127.0.0.1,IP:::1";
const leaves = {
  ecdsa: { san: local },
  rsa: { san: local, key: "rsa" },
  expired: { san: local, from: "20200101000000Z", to: "20200201000000Z" },
  notYetValid: { san: local, from: "20490101000000Z", to: "20490201000000Z" },
  wrongHost: { san: "DNS:elsewhere.wassl.test" },
  wildcard: { san: "DNS:*.wassl.test" },
  untrusted: { san: local, issuer: "otherCa" },
  selfSigned: { san: local, issuer: "selfSigned" },
  /** Of a client. */
  client: { san: "email:client@wassl.test", usage: "clientAuth" },
  clientRsa: { san: "email:client@wassl.test", usage: "clientAuth", key: "rsa" },
  /** Signs OCSP responses for the intermediate. */
  responder: { san: "DNS:ocsp.wassl.test", usage: "OCSPSigning" },
  p384: { san: local, key: "p384" },
  ed25519: { san: local, key: "ed25519" },
} satisfies Record<string, Leaf>;

export type OcspName =
  | "good"
  | "delegated"
  | "sha256"
  | "brief"
  | "revoked"
  | "unknown"
  | "ofAnother"
  | "byAnother"
  | "byLeaf";

interface Leaf {
  san?: string;
  usage?: "clientAuth" | "OCSPSigning";
  key?: "rsa" | "p384" | "ed25519";
  issuer?: string;
  from?: string;
  to?: string;
}

export type LeafName = keyof typeof leaves;
export const leafNames = Object.keys(leaves) as LeafName[];

/** What the tests are given. Keys stay with the servers, but for those that we are to use ourselves. */
export interface Certs {
  caPem: string;
  /** The same in DER, base64. */
  caDer: string;
  otherCaPem: string;
  intermediatePem: string;
  /** Leaf, then the intermediate. */
  chains: Record<LeafName, string>;
  keys: Record<"ecdsa" | "rsa" | "wildcard" | "client" | "clientRsa", string>;
  /** The same keys and some more in the one form that WebCrypto takes, PKCS #8 in DER, base64. */
  pkcs8: Record<"ecdsa" | "rsa" | "p384" | "ed25519" | "client" | "clientRsa", string>;
  /** OCSP responses, DER in base64: each is about `ecdsa` unless its name says otherwise. */
  ocsp: Record<OcspName, string>;
  /** Revocation lists, PEM: of the two issuers, and of the intermediate another one. */
  crls: Record<"ca" | "intermediate" | "revokesEcdsa", string>;
  /** `client`, its key and chain as PKCS #12, base64; the passphrase is "secret". */
  clientP12: string;
}

export interface CertFiles extends Certs {
  /** The path of a leaf's chain, of its certificate alone, or of its key. */
  file(leaf: LeafName, what: "chain" | "cert" | "key"): string;
  ocspFile(name: OcspName): string;
  caFile: string;
  intermediateFile: string;
}

export function makeCerts(openssl: string, folder: string): CertFiles {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = (name: string) => join(folder, name);
  const read = (name: string) => readFileSync(path(name), "utf8");
  const run = (...args: string[]) => execFileSync(openssl, args, { cwd: folder, stdio: "pipe" });

  writeFileSync(
    path("ca.cnf"),
    `[ca]
default_ca = default
[default]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
default_days = 30
policy = policy
copy_extensions = copy
[revoked]
database = revoked.txt
default_md = sha256
[policy]
commonName = supplied
organizationName = optional
[req]
distinguished_name = dn
prompt = no
[dn]
`,
  );
  writeFileSync(path("index.txt"), "");
  const yesterday = `${new Date(Date.now() - 86_400_000).toISOString().replace(/[-:T]|\.\d+/g, "")}`;

  const certify = (name: string, options: Leaf = {}) => {
    const issuer = options.issuer ?? name;
    const keyFile = ["-out", `${name}.key`];
    if (options.key === "rsa") run("genrsa", ...keyFile, "2048");
    else if (options.key === "ed25519") run("genpkey", "-algorithm", "ed25519", ...keyFile);
    else run("ecparam", "-name", options.key ? "secp384r1" : "prime256v1", "-genkey", "-noout", ...keyFile);
    const extensions = options.san
      ? [
          "basicConstraints=critical,CA:FALSE",
          `subjectAltName=${options.san}`,
          `extendedKeyUsage=${options.usage ?? "serverAuth"}`,
        ]
      : ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
    run(
      ...["req", "-new", "-config", "ca.cnf", "-key", `${name}.key`, "-out", `${name}.csr`],
      ...["-subj", `/O=Wassl tests/CN=${options.san ? name : `Wassl test ${name}`}`],
      ...extensions.flatMap((extension) => ["-addext", extension]),
    );
    run(
      ...["ca", "-batch", "-notext", "-config", "ca.cnf", "-in", `${name}.csr`, "-out", `${name}.pem`],
      ...(issuer === name ? ["-selfsign"] : ["-cert", `${issuer}.pem`]),
      ...["-keyfile", `${issuer}.key`],
      // From yesterday on, so that there is a time before the run at which they are good.
      ...["-startdate", options.from ?? yesterday],
      ...(options.to ? ["-enddate", options.to] : []),
    );
  };

  certify("ca");
  certify("otherCa");
  certify("intermediate", { issuer: "ca" });
  const chains = {} as Record<LeafName, string>;
  for (const name of leafNames) {
    const leaf: Leaf = leaves[name];
    certify(name, { issuer: "intermediate", ...leaf });
    chains[name] = read(`${name}.pem`) + (leaf.issuer ? "" : read("intermediate.pem"));
    writeFileSync(path(`${name}.chain.pem`), chains[name]);
  }
  run("x509", "-in", "ca.pem", "-outform", "DER", "-out", "ca.der");

  run(
    ...["pkcs12", "-export", "-in", "client.chain.pem", "-inkey", "client.key", "-out", "client.p12"],
    ...["-passout", "pass:secret"],
  );

  const pkcs8 = (name: LeafName) =>
    run("pkcs8", "-topk8", "-nocrypt", "-in", `${name}.key`, "-outform", "DER").toString("base64");

  /** In minutes: about as long as the certificates, or for a day. */
  const ocsp = (
    name: OcspName,
    signer = "intermediate",
    index = "index.txt",
    leaf = "ecdsa",
    extra: string[] = [],
  ) => {
    run(
      ...[
        "ocsp",
        "-index",
        index,
        "-CA",
        "intermediate.pem",
        "-rsigner",
        `${signer}.pem`,
        "-rkey",
        `${signer}.key`,
      ],
      ...["-nmin", name === "brief" ? "1440" : "40000", "-respout", `${name}.der`],
      ...[...extra, "-issuer", "intermediate.pem", "-cert", `${leaf}.pem`],
    );
    return readFileSync(path(`${name}.der`)).toString("base64");
  };
  const index = read("index.txt");
  const serial = run("x509", "-in", "ecdsa.pem", "-noout", "-serial").toString().trim().slice(7);
  writeFileSync(
    path("revoked.txt"),
    index.replace(new RegExp(`^V\t(\\w+)\t\t${serial}`, "m"), `R\t$1\t240101000000Z\t${serial}`),
  );
  writeFileSync(path("empty.txt"), "");

  const crl = (issuer: string, section = "default") =>
    run(
      ...["ca", "-gencrl", "-config", "ca.cnf", "-name", section, "-crldays", "30"],
      ...["-cert", `${issuer}.pem`, "-keyfile", `${issuer}.key`],
    ).toString();

  const certs: Certs = {
    caPem: read("ca.pem"),
    caDer: readFileSync(path("ca.der")).toString("base64"),
    otherCaPem: read("otherCa.pem"),
    intermediatePem: read("intermediate.pem"),
    chains,
    keys: {
      ecdsa: read("ecdsa.key"),
      rsa: read("rsa.key"),
      wildcard: read("wildcard.key"),
      client: read("client.key"),
      clientRsa: read("clientRsa.key"),
    },
    pkcs8: {
      ecdsa: pkcs8("ecdsa"),
      rsa: pkcs8("rsa"),
      p384: pkcs8("p384"),
      ed25519: pkcs8("ed25519"),
      client: pkcs8("client"),
      clientRsa: pkcs8("clientRsa"),
    },
    ocsp: {
      good: ocsp("good"),
      delegated: ocsp("delegated", "responder"),
      sha256: ocsp("sha256", undefined, undefined, undefined, ["-sha256"]),
      brief: ocsp("brief"),
      revoked: ocsp("revoked", undefined, "revoked.txt"),
      unknown: ocsp("unknown", undefined, "empty.txt"),
      ofAnother: ocsp("ofAnother", undefined, undefined, "rsa"),
      byAnother: ocsp("byAnother", "otherCa"),
      byLeaf: ocsp("byLeaf", "ecdsa"),
    },
    crls: {
      ca: crl("ca"),
      intermediate: crl("intermediate"),
      revokesEcdsa: crl("intermediate", "revoked"),
    },
    clientP12: readFileSync(path("client.p12")).toString("base64"),
  };
  return certFiles(certs, folder);
}

/** With the paths of what was made in that folder. */
export function certFiles(certs: Certs, folder: string): CertFiles {
  const endings = { chain: ".chain.pem", cert: ".pem", key: ".key" };
  const path = (name: string) => join(folder, name);
  return {
    ...certs,
    file: (leaf, what) => path(leaf + endings[what]),
    ocspFile: (name) => path(`${name}.der`),
    caFile: path("ca.pem"),
    intermediateFile: path("intermediate.pem"),
  };
}

/** Without them. */
export function publicOf({ file, ocspFile, caFile, intermediateFile, ...certs }: CertFiles): Certs {
  return certs;
}
