/** From the command line to the library's options. */
import { Buffer } from "node:buffer";
import { readFile } from "node:fs/promises";
import type {
  ConnectionOptions,
  ContextOptions,
  Identity,
  PreSharedKey,
  ServerIdentity,
  TlsVersion,
  TrustAnchors,
  VerifyFlag,
  VerifyOptions,
} from "wassl";
import type { Io } from "./io.js";
import { type CommonValues, choice, integer } from "./options.js";
import { UsageError } from "./report.js";
import { SecretFile } from "./secret-file.js";

/** What many connections may have in common. */
export async function contextOptions(values: CommonValues, io: Io): Promise<ContextOptions & Shared> {
  const versions = { "1.2": "TLSv1.2", "1.3": "TLSv1.3" } as const satisfies Record<string, TlsVersion>;
  const version = (name: "min" | "max") => {
    const value = choice(name, values[name]?.replace(/^TLSv?/i, ""), ["1.2", "1.3"]);
    return value && versions[value];
  };
  const crls = await filesOf("crl", values.crl, io);
  return defined({
    ...(await identity(values, io)),
    verifyOptions: verifyOptions(values, crls),
    ...(await preSharedKeys(values, io)),
    alpnProtocols: values.alpn?.split(","),
    minVersion: version("min"),
    maxVersion: version("max"),
    ciphers: values.ciphers,
    cipherSuites: values.ciphersuites,
    groups: values.groups,
    signatureAlgorithms: values.sigalgs,
    securityLevel: integer("seclevel", values.seclevel),
    maxSendFragment: integer("max-send-frag", values["max-send-frag"]),
    maxCertificateList: integer("max-cert-list", values["max-cert-list"]),
    keylog: keylog(values.keylog),
  });
}

/** Each line is written at once: what comes just before a crash matters most. */
function keylog(path: string | undefined): ((line: string) => void) | undefined {
  if (path === undefined) return undefined;
  const file = new SecretFile("keylog", path, "append");
  const encoder = new TextEncoder();
  return (line) => file.write(encoder.encode(`${line}\n`));
}

function verifyOptions(
  { policy, flag }: CommonValues,
  crls: Uint8Array[] | undefined,
): VerifyOptions | undefined {
  const options = defined({ crls, policies: policy, flags: flag as VerifyFlag[] | undefined });
  return Object.keys(options).length > 0 ? options : undefined;
}

type Shared = Pick<ServerIdentity, IdentityName | "verifyOptions">;

/** The options of one connection. */
export function connectionOptions(values: CommonValues): ConnectionOptions {
  return defined({
    eofPolicy: choice("eof-policy", values["eof-policy"], ["strict", "record-boundary", "ignore"]),
    bioPairSize: integer("bio-pair-size", values["bio-pair-size"], 1),
    trace: values.trace,
  });
}

/** The library takes the same names for the first identity and for the list of the others. */
export async function identity(values: CommonValues, io: Io): Promise<Pick<ServerIdentity, IdentityName>> {
  const { cert: certs = [], key: keys = [], p12 } = values;
  if (p12 !== undefined && (certs.length > 0 || keys.length > 0)) {
    throw new UsageError("--p12 stands for --cert and --key; give either");
  }
  if (keys.length > certs.length) throw new UsageError("--key needs --cert");
  const passphrase = await secret("pass", values.pass, io);
  const all = await Promise.all(
    certs.map(async (cert, i) =>
      defined({
        cert: await fileOf("cert", cert, io),
        key: await fileOf("key", keys[i] ?? cert, io),
        passphrase,
      }),
    ),
  );
  const [first, ...identities] = all;
  if (first) return identities.length > 0 ? { ...first, identities } : first;
  return defined({ pkcs12: await fileOf("p12", p12, io), passphrase });
}

type IdentityName = keyof Identity | "identities";

async function preSharedKeys(values: CommonValues, io: Io): Promise<Pick<ContextOptions, "psk" | "psks">> {
  const hash = choice("psk-hash", values["psk-hash"], ["sha256", "sha384"]);
  const secrets = values.psk ?? [];
  if (hash !== undefined && secrets.length === 0) throw new UsageError("--psk-hash needs --psk");
  const all: PreSharedKey[] = [];
  for (const each of secrets) {
    const [, name, hex] = (await secret("psk", each, io))?.match(/^(.+):((?:[0-9a-f]{2})+)$/is) ?? [];
    if (name === undefined || hex === undefined) throw new UsageError("--psk is IDENTITY:HEX");
    const key = Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
    all.push({ identity: name, key, hash: hash === "sha384" ? "SHA-384" : "SHA-256" });
  }
  const [psk] = all;
  return all.length > 1 ? { psks: all } : psk ? { psk } : {};
}

/** As openssl-passphrase-options(1) has them, so that a secret need not be in the list of processes. */
async function secret(name: string, value: string | undefined, io: Io): Promise<string | undefined> {
  const [, kind, rest = ""] = value?.match(/^(env|file|pass):(.*)$/s) ?? [];
  if (kind === "env") {
    const found = io.env(rest);
    if (found === undefined) throw new UsageError(`--${name}: there is no ${rest} in the environment`);
    return found;
  }
  if (kind === "file") {
    const [line] = new TextDecoder().decode(await fileOf(name, rest, io)).split(/\r?\n/);
    return line;
  }
  if (value !== undefined && kind === undefined) {
    throw new UsageError(`--${name} is env:NAME, file:PATH or pass:TEXT`);
  }
  return kind === undefined ? undefined : rest;
}

/** The trust anchors: the files of --ca alone, or Mozilla's. */
export async function trustAnchors(
  paths: string[] | undefined,
  io: Io,
): Promise<Uint8Array[] | TrustAnchors> {
  return (await filesOf("ca", paths, io)) ?? (await import("wassl/roots")).mozillaRoots;
}

export async function filesOf(
  name: string,
  paths: string[] | undefined,
  io: Io,
): Promise<Uint8Array[] | undefined> {
  return paths && (await Promise.all(paths.map((path) => fileOf(name, path, io))));
}

/** The path decides whether there are bytes; "-" is standard input. */
export function fileOf(name: string, path: string, io: Io): Promise<Uint8Array>;
export function fileOf(name: string, path: string | undefined, io: Io): Promise<Uint8Array | undefined>;
export async function fileOf(
  name: string,
  path: string | undefined,
  io: Io,
): Promise<Uint8Array | undefined> {
  if (path === undefined) return undefined;
  try {
    return path === "-" ? await standardInput(name, io) : new Uint8Array(await readFile(path));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${optionOf(name)}: ${(error as Error).message}`);
  }
}

/** What was read from standard input, and for which option. */
const taken = new WeakMap<Io, { name: string; bytes: Promise<Uint8Array> }>();

/** It comes once. A certificate and its key may be in it together. */
async function standardInput(name: string, io: Io): Promise<Uint8Array> {
  const before = taken.get(io);
  if (before && !(before.name === "cert" && name === "key")) {
    throw new UsageError(`${optionOf(name)} -: ${optionOf(before.name)} has standard input already`);
  }
  const bytes = before?.bytes ?? allOf(io.stdin);
  taken.set(io, { name, bytes });
  return await bytes;
}

async function allOf(stdin: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stdin) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

const optionOf = (name: string) => (name === "FILE" ? name : `--${name}`);

/** Without what is undefined: to the library an option is there or not. */
export function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
