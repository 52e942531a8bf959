import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A certificate chain (leaf first) and its key: as text, and as files for programs that want a path. */
export interface Credentials {
  readonly chain: string;
  readonly key: string;
  readonly leafFile: string;
  /** The certificates above the leaf. */
  readonly issuersFile: string;
  readonly chainFile: string;
  readonly keyFile: string;
}

export interface Certificates {
  /** The root's PEM: the one trust anchor of the demo. */
  readonly caPem: string;
  /** For localhost and 127.0.0.1. */
  readonly good: Credentials;
  /** For another name. */
  readonly misnamed: Credentials;
  /** For localhost, but out of date. */
  readonly expired: Credentials;
  readonly directory: string;
}

const configuration = `
[req]
distinguished_name = name
prompt = no
[name]
CN = unused
[ca]
default_ca = signer
[signer]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
default_days = 7
policy = policy
unique_subject = no
[policy]
organizationName = optional
commonName = supplied
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[good]
subjectAltName = DNS:localhost, IP:127.0.0.1
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
[misnamed]
subjectAltName = DNS:elsewhere.example
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
`;

/**
 * Makes a root, an intermediate and three leaves with the `openssl` command, in a new directory that only this
 * user can read. The keys live as long as the demo.
 */
export async function makeCertificates(): Promise<Certificates> {
  const directory = await mkdtemp(join(tmpdir(), "wassl-demo-"));
  try {
    await chmod(directory, 0o700);
    await writeFile(join(directory, "openssl.cnf"), configuration);
    await writeFile(join(directory, "index.txt"), "");
    const openssl = async (...parameters: string[]) => {
      await run("openssl", parameters, { cwd: directory, timeout: 30_000 });
    };

    await newKey(openssl, "root", "/O=Wassl demo/CN=Wassl demo root");
    await openssl(
      ...["req", "-x509", "-config", "openssl.cnf", "-extensions", "root", "-days", "7", "-key", "root.key"],
      ...["-subj", "/O=Wassl demo/CN=Wassl demo root", "-out", "root.pem"],
    );
    await newKey(openssl, "intermediate", "/O=Wassl demo/CN=Wassl demo intermediate");
    await sign(openssl, "intermediate", "root", "intermediate");
    await newKey(openssl, "good", "/CN=localhost");
    await sign(openssl, "good", "intermediate", "good");
    await newKey(openssl, "misnamed", "/CN=elsewhere.example");
    await sign(openssl, "misnamed", "intermediate", "misnamed");
    await newKey(openssl, "expired", "/CN=localhost");
    await sign(openssl, "expired", "intermediate", "good", ["20240101000000Z", "20240131000000Z"]);
    // Nothing more is to be signed.
    await rm(join(directory, "root.key"));
    await rm(join(directory, "intermediate.key"));

    const intermediate = await readFile(join(directory, "intermediate.pem"), "utf8");
    const credentials = async (name: string): Promise<Credentials> => {
      const file = (extension: string) => join(directory, name + extension);
      const chain = (await readFile(file(".pem"), "utf8")) + intermediate;
      await writeFile(file(".chain.pem"), chain);
      const key = await readFile(file(".key"), "utf8");
      return {
        chain,
        key,
        leafFile: file(".pem"),
        issuersFile: join(directory, "intermediate.pem"),
        chainFile: file(".chain.pem"),
        keyFile: file(".key"),
      };
    };
    return {
      caPem: await readFile(join(directory, "root.pem"), "utf8"),
      good: await credentials("good"),
      misnamed: await credentials("misnamed"),
      expired: await credentials("expired"),
      directory,
    };
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw explained(error);
  }
}

type OpenSslCommand = (...parameters: string[]) => Promise<void>;

async function newKey(openssl: OpenSslCommand, name: string, subject: string): Promise<void> {
  await openssl(
    ...["req", "-new", "-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ...["-nodes", "-keyout", `${name}.key`, "-subj", subject, "-out", `${name}.csr`],
  );
}

/** `openssl ca` and not `openssl x509 -req`, because only the former could always set both dates. */
async function sign(
  openssl: OpenSslCommand,
  name: string,
  issuer: string,
  extensions: string,
  dates?: readonly [from: string, to: string],
): Promise<void> {
  await openssl(
    ...["ca", "-config", "openssl.cnf", "-batch", "-notext", "-extensions", extensions],
    ...["-cert", `${issuer}.pem`, "-keyfile", `${issuer}.key`, "-in", `${name}.csr`, "-out", `${name}.pem`],
    ...(dates === undefined ? [] : ["-startdate", dates[0], "-enddate", dates[1]]),
  );
}

function explained(error: unknown): Error {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") {
    return new Error(
      "the demo makes its certificates with the `openssl` command, which is not installed.\n" +
        "Debian, Ubuntu: apt-get install openssl · Fedora: dnf install openssl · macOS: brew install openssl",
      { cause: error },
    );
  }
  return error instanceof Error ? error : new Error(String(error));
}
