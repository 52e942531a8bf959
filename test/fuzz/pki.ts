/**
 * Certificates, revocation lists, OCSP responses, keys and PKCS #12 files, built by hand. Keys and signatures follow
 * from the seed, so that a case is the same bytes whenever it is replayed. Every reader of this file has the keys too:
 * nothing here is secret.
 */
import {
  createCipheriv,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  pbkdf2Sync,
  sign as signWith,
} from "node:crypto";
import { join } from "../der.ts";
import {
  bits,
  bool,
  context,
  type Der,
  enumerated,
  implicit,
  int,
  nul,
  octets,
  oid,
  seq,
  set,
  text,
  wrapped,
  write,
} from "./der.ts";

// ---- keys --------------------------------------------------------------------------------------------------------

export interface Key {
  /** SubjectPublicKeyInfo. */
  readonly spki: Der;
  /** By which certificates name it, if not the hash of it. */
  readonly id?: Uint8Array;
  readonly algorithm: Der;
  /** PKCS #8. */
  readonly pkcs8: Der;
  sign(bytes: Uint8Array): Uint8Array;
}

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const GENERATOR_X = 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n;

const hash = (...parts: (string | Uint8Array)[]) => {
  const sum = createHash("sha256");
  for (const part of parts) sum.update(part);
  return Uint8Array.from(sum.digest());
};
const number = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
const P256 = () => oid("1.2.840.10045.3.1.7");

/** ECDSA with the nonce 1, by which a signature is one multiplication (and gives the key away). */
export function ecKey(name: string): Key {
  const secret = hash("P-256", name);
  const d = number(secret);
  const curve = createECDH("prime256v1");
  curve.setPrivateKey(secret);
  const point = Uint8Array.from(curve.getPublicKey());
  const kind = () => seq(oid("1.2.840.10045.2.1"), P256());
  const sec1 = seq(int(1), octets(secret), context(1, bits(point)));
  return {
    spki: seq(kind(), bits(point)),
    algorithm: seq(oid("1.2.840.10045.4.3.2")),
    pkcs8: seq(int(0), kind(), wrapped(sec1)),
    sign: (bytes) =>
      write(seq(int(GENERATOR_X % ORDER), int((number(hash(bytes)) + GENERATOR_X * d) % ORDER))),
  };
}

/**
 * A key whose point is that of another one, on a curve that is P-256 but for its generator, which is that point too; so
 * its secret is 1 (CVE-2020-0601).
 */
export function twin(of: Key): Key {
  const point = of.spki.kids![1]!.bytes!.slice(1);
  const hex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
  const prime = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
  const a = hex("ffffffff00000001000000000000000000000000fffffffffffffffffffffffc");
  const b = hex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b");
  const curve = seq(
    int(1),
    seq(oid("1.2.840.10045.1.1"), int(prime)),
    seq(octets(a), octets(b)),
    octets(point),
    int(ORDER),
    int(1),
  );
  const r = number(point.subarray(1, 33)) % ORDER;
  return {
    ...of,
    id: keyId(of),
    spki: seq(seq(oid("1.2.840.10045.2.1"), curve), bits(point)),
    sign: (bytes) => write(seq(int(r), int((number(hash(bytes)) + r) % ORDER))),
  };
}

/** The same key as SEC 1 has it. */
export const sec1Of = ({ pkcs8 }: Key): Der => {
  const [version, secret, point] = pkcs8.kids![2]!.kids![0]!.kids!;
  return seq(version!, secret!, context(0, P256()), point!);
};

export function edKey(name: string): Key {
  const id = () => seq(oid("1.3.101.112"));
  const pkcs8 = seq(int(0), id(), wrapped(octets(hash("Ed25519", name))));
  const key = createPrivateKey({ key: Buffer.from(write(pkcs8)), format: "der", type: "pkcs8" });
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return {
    spki: seq(id(), bits(Uint8Array.from(spki.subarray(-32)))),
    algorithm: id(),
    pkcs8,
    sign: (bytes) => Uint8Array.from(signWith(null, bytes, key)),
  };
}

/** For a key that the caller made, which does not follow from a seed. */
export function rsaKey(key: KeyObject, parse: (der: Uint8Array) => Der | undefined): Key {
  const exported = (what: KeyObject, type: "spki" | "pkcs8") =>
    parse(Uint8Array.from(what.export({ format: "der", type: type as "spki" }) as Buffer))!;
  return {
    spki: exported(createPublicKey(key), "spki"),
    algorithm: seq(oid("1.2.840.113549.1.1.11"), nul()),
    pkcs8: exported(key, "pkcs8"),
    sign: (bytes) => Uint8Array.from(signWith("sha256", bytes, key)),
  };
}

// ---- certificates ------------------------------------------------------------------------------------------------

export const name = (cn: string): Der =>
  seq(set(seq(oid("2.5.4.10"), text("Wassl fuzz"))), set(seq(oid("2.5.4.3"), text(cn))));

const time = (value: string): Der => text(value, 0x17);
const extension = (id: string, value: Der, critical = false): Der =>
  seq(oid(id), ...(critical ? [bool(true)] : []), wrapped(value));
export const keyId = (key: Key) => key.id ?? hash(write(key.spki)).subarray(0, 20);
const usage = (...octet: number[]) => ({ tag: Uint8Array.of(3), bytes: Uint8Array.of(...octet) });
const dns = (value: string, tag = 2) => implicit(tag, new TextEncoder().encode(value));

/** What `key` signs, as certificates and CRLs are put together: what is signed, the algorithm, the signature. */
export function signed(what: Der, key: Key): Der {
  return seq(what, key.algorithm, bits(key.sign(write(what))));
}

/** Signs again what is first in `tree`, whatever became of it. */
export function resign(tree: Der, key: Key): void {
  const what = tree.kids?.[0];
  if (!what || tree.kids!.length < 3) return;
  tree.kids![2] = bits(key.sign(write(what)));
}

export interface Subject {
  cn: string;
  key: Key;
  issuer: { cn: string; key: Key };
  serial: number;
  ca: boolean;
  hostname?: string;
  more?: Der[];
}

export function certificate({ cn, key, issuer, serial, ca, hostname, more = [] }: Subject): Der {
  const extensions = [
    extension("2.5.29.19", ca ? seq(bool(true)) : seq(), true),
    extension("2.5.29.15", ca ? usage(1, 6) : usage(7, 0x80), true),
    ...(ca ? [] : [extension("2.5.29.37", seq(oid("1.3.6.1.5.5.7.3.1"), oid("1.3.6.1.5.5.7.3.2")))]),
    ...(hostname ? [extension("2.5.29.17", seq(dns(hostname), dns(`*.${hostname}`)))] : []),
    extension("2.5.29.14", octets(keyId(key))),
    extension("2.5.29.35", seq(implicit(0, keyId(issuer.key)))),
    ...more,
  ];
  const what = seq(
    context(0, int(2)),
    int(serial),
    issuer.key.algorithm,
    name(issuer.cn),
    seq(time("200101000000Z"), time("491231235959Z")),
    name(cn),
    key.spki,
    context(3, seq(...extensions)),
  );
  return signed(what, issuer.key);
}

/** What else stands in certificates and lists, for mutations to put somewhere. */
export function pool(): Der[] {
  const any = oid("2.5.29.32.0");
  const policy = (n: number) => oid(`1.3.6.1.4.1.99999.${n}`);
  const subtree = (value: string) => seq(dns(value));
  const uri = dns("http://127.0.0.1/x", 6);
  const address = implicit(7, Uint8Array.of(127, 0, 0, 1));
  const mail = dns("a@example.org", 1);
  const directory = context(4, name("x"));
  const other = context(0, oid("1.3.6.1.5.5.7.8.9"), context(0, text("ä@example.org")));
  const point = seq(context(0, context(0, uri)), implicit(1, Uint8Array.of(1, 2)), context(2, directory));
  return [
    extension(
      "2.5.29.30",
      seq(context(0, subtree("localhost"), subtree(".example")), context(1, subtree("other"))),
    ),
    extension(
      "2.5.29.30",
      seq(context(0, seq(implicit(7, Uint8Array.of(127, 0, 0, 0, 255, 0, 0, 0))), seq(mail))),
    ),
    extension("2.5.29.30", seq(context(1, seq(directory), seq(other), seq(uri)))),
    extension(
      "2.5.29.32",
      seq(seq(any), seq(policy(1), seq(seq(oid("1.3.6.1.5.5.7.2.1"), text("cps", 22)))), seq(policy(2))),
    ),
    extension("2.5.29.33", seq(seq(policy(1), policy(2)), seq(policy(2), policy(1))), true),
    extension("2.5.29.36", seq(implicit(0, Uint8Array.of(0)), implicit(1, Uint8Array.of(1))), true),
    extension("2.5.29.54", int(0), true),
    extension("2.5.29.31", seq(point)),
    extension("2.5.29.46", seq(point)),
    extension("2.5.29.18", seq(dns("issuer.example"), mail)),
    extension(
      "1.3.6.1.5.5.7.1.1",
      seq(seq(oid("1.3.6.1.5.5.7.48.1"), uri), seq(oid("1.3.6.1.5.5.7.48.2"), uri)),
    ),
    extension("1.3.6.1.5.5.7.1.11", seq(seq(oid("1.3.6.1.5.5.7.48.3"), uri))),
    extension("1.3.6.1.5.5.7.1.24", seq(int(5))),
    extension("1.3.6.1.5.5.7.1.14", seq(int(0), seq(oid("1.3.6.1.5.5.7.21.1"))), true),
    extension("1.3.6.1.5.5.7.1.7", seq(seq(octets(Uint8Array.of(0, 1)), seq(usage(0, 10)))), true),
    extension("1.3.6.1.4.1.11129.2.4.2", octets(new Uint8Array(120).fill(1))),
    extension("2.16.840.1.113730.1.1", usage(0, 0x40)),
    extension("2.5.29.16", seq(implicit(0, new TextEncoder().encode("20200101000000Z")))),
    extension("2.5.29.37", seq(oid("2.5.29.37.0"))),
    extension(
      "2.5.29.35",
      seq(implicit(0, new Uint8Array(20)), context(1, directory), implicit(2, Uint8Array.of(1))),
    ),
    extension("2.5.29.28", seq(context(0, context(0, uri)), implicit(1, Uint8Array.of(0xff))), true),
    extension("2.5.29.28", seq(implicit(4, Uint8Array.of(0xff))), true),
    extension(
      "2.5.29.28",
      seq(context(0, { ...set(seq(oid("2.5.4.3"), text("x"))), tag: Uint8Array.of(0xa1) })),
      true,
    ),
    extension("2.5.29.27", int(0), true),
    extension("2.5.29.21", enumerated(8)),
    extension("2.5.29.24", text("20200101000000Z", 0x18)),
    extension("1.3.6.1.4.1.99999.9", seq(), true),
    dns("localhost"),
    dns("*.localhost"),
    dns("localhost\0.example"),
    address,
    mail,
    uri,
    directory,
    other,
    set(seq(oid("2.5.4.3"), text("localhost"))),
    seq(oid("1.2.840.113549.1.1.10"), seq()),
    seq(
      oid("1.2.840.10045.2.1"),
      seq(
        int(1),
        seq(oid("1.2.840.10045.1.1"), int(23)),
        seq(octets(Uint8Array.of(1)), octets(Uint8Array.of(1))),
        octets(new Uint8Array(33).fill(2)),
        int(23),
      ),
    ),
    oid("1.2.840.113549.1.1.4"),
    oid("1.2.840.113549.1.1.5"),
    oid("1.3.101.112"),
    oid("1.3.132.0.34"),
    P256(),
    nul(),
    int(0),
    seq(),
  ];
}

export function crl(issuer: { cn: string; key: Key }, serials: number[], more: Der[] = []): Der {
  const entries = serials.map((serial) =>
    seq(int(serial), time("240101000000Z"), seq(extension("2.5.29.21", enumerated(1)))),
  );
  const what = seq(
    int(1),
    issuer.key.algorithm,
    name(issuer.cn),
    time("240101000000Z"),
    time("491231235959Z"),
    ...(entries.length > 0 ? [seq(...entries)] : []),
    context(
      0,
      seq(
        extension("2.5.29.20", int(7)),
        extension("2.5.29.35", seq(implicit(0, keyId(issuer.key)))),
        ...more,
      ),
    ),
  );
  return signed(what, issuer.key);
}

/** About one certificate of `issuer`: good, or revoked. */
export function ocspResponse(issuer: { cn: string; key: Key }, serial: number, good: boolean): Der {
  const sha1 = (bytes: Uint8Array) => Uint8Array.from(createHash("sha1").update(bytes).digest());
  const id = seq(
    seq(oid("1.3.14.3.2.26"), nul()),
    octets(sha1(write(name(issuer.cn)))),
    octets(sha1(issuer.key.spki.kids![1]!.bytes!.subarray(1))),
    int(serial),
  );
  const generalized = (value: string) => text(value, 0x18);
  const status = good ? implicit(0, new Uint8Array(0)) : context(1, generalized("20240101000000Z"));
  const next = context(0, generalized("20491231235959Z"));
  const what = seq(
    context(1, name(issuer.cn)),
    generalized("20240101000000Z"),
    seq(seq(id, status, generalized("20240101000000Z"), next)),
  );
  const basic = signed(what, issuer.key);
  return seq(enumerated(0), context(0, seq(oid("1.3.6.1.5.5.7.48.1.1"), wrapped(basic))));
}

/** The BasicOCSPResponse in one. */
export const basicOf = (response: Der): Der | undefined =>
  response.kids?.[1]?.kids?.[0]?.kids?.[1]?.kids?.[0];

// ---- PKCS #12 and encrypted keys ---------------------------------------------------------------------------------

const ROUNDS = 3;
const SALT = new Uint8Array(8).fill(5);
const IV = new Uint8Array(16).fill(6);

/** PBES2 with PBKDF2 and AES-256-CBC: the algorithm, and what it makes of `plain`. */
export function encrypted(plain: Uint8Array, passphrase: string): { algorithm: Der; bytes: Uint8Array } {
  const key = pbkdf2Sync(passphrase, SALT, ROUNDS, 32, "sha256");
  const cipher = createCipheriv("aes-256-cbc", key, IV);
  // The caller chose the rounds, and bears their cost.
  const rounds = { ...int(ROUNDS), fixed: true };
  const derive = seq(octets(SALT), rounds, seq(oid("1.2.840.113549.2.9"), nul()));
  return {
    algorithm: seq(
      oid("1.2.840.113549.1.5.13"),
      seq(seq(oid("1.2.840.113549.1.5.12"), derive), seq(oid("2.16.840.1.101.3.4.1.42"), octets(IV))),
    ),
    bytes: join(cipher.update(plain), cipher.final()),
  };
}

export function encryptedKey(key: Key, passphrase: string): Der {
  const { algorithm, bytes } = encrypted(write(key.pkcs8), passphrase);
  return seq(algorithm, octets(bytes));
}

/** The key derivation of RFC 7292 appendix B, for SHA-256 and a MAC. */
function macKey(passphrase: string): Uint8Array {
  const filled = (bytes: Uint8Array) =>
    Uint8Array.from({ length: 64 * Math.ceil(bytes.length / 64) }, (_, i) => bytes[i % bytes.length]!);
  const wide = Buffer.from(`${passphrase}\0`, "utf16le").swap16();
  let key = hash(new Uint8Array(64).fill(3), filled(SALT), filled(wide));
  for (let i = 1; i < ROUNDS; i++) key = hash(key);
  return key;
}

const DATA = "1.2.840.113549.1.7.1";

export interface Safe {
  bags: Der;
  certificates: Der;
}

/** What is in the file, before it is encrypted: the key's bag, and those of the certificates. */
export function safeOf(key: Key, certificates: readonly Der[], passphrase: string): Safe {
  const id = set(
    seq(oid("1.2.840.113549.1.9.21"), set(octets(Uint8Array.of(1)))),
    seq(oid("1.2.840.113549.1.9.20"), set(text("name", 30))),
  );
  return {
    bags: seq(seq(oid("1.2.840.113549.1.12.10.1.2"), context(0, encryptedKey(key, passphrase)), id)),
    certificates: seq(
      ...certificates.map((each) =>
        seq(
          oid("1.2.840.113549.1.12.10.1.3"),
          context(0, seq(oid("1.2.840.113549.1.9.22.1"), context(0, wrapped(each)))),
          id,
        ),
      ),
    ),
  };
}

/** The whole file, its MAC right. */
export function pkcs12(safe: Safe, passphrase: string, change: (authenticated: Der) => void = () => {}): Der {
  const { algorithm, bytes } = encrypted(write(safe.certificates), passphrase);
  const authenticated = seq(
    seq(oid("1.2.840.113549.1.7.6"), context(0, seq(int(0), seq(oid(DATA), algorithm, implicit(0, bytes))))),
    seq(oid(DATA), context(0, wrapped(safe.bags))),
  );
  change(authenticated);
  const content = write(authenticated);
  const mac = createHmac("sha256", macKey(passphrase)).update(content).digest();
  return seq(
    int(3),
    seq(oid(DATA), context(0, octets(content))),
    seq(seq(seq(oid("2.16.840.1.101.3.4.2.1"), nul()), octets(Uint8Array.from(mac))), octets(SALT), {
      ...int(ROUNDS),
      fixed: true,
    }),
  );
}

export function pem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der)
    .toString("base64")
    .replace(/.{1,64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${base64}-----END ${label}-----\n`;
}
