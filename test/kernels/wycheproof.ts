/**
 * Project Wycheproof's vectors: what implementations have got wrong before. Values at the edges of the arithmetic, tags
 * and signatures that are almost right, encodings that are not the only one, points that are not on the curve.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ctrl, type Kernels } from "./module.ts";

export const wycheproofFiles = [
  "aes_gcm",
  "chacha20_poly1305",
  "ecdh_secp256r1_ecpoint",
  "ecdsa_secp256r1_sha256",
  "rsa_signature_2048_sha256",
  "rsa_signature_3072_sha256",
  "rsa_signature_4096_sha256",
  "rsa_pss_2048_sha256_mgf1_32",
] as const;

/** The fields of all files together; which are there depends on the type. */
interface Group {
  type: "AeadTest" | "EcdhEcpointTest" | "EcdsaVerify" | "RsassaPkcs1Verify" | "RsassaPssVerify";
  keySize: number;
  tagSize: number;
  sLen: number;
  publicKey: { uncompressed: string };
  publicKeyDer: string;
  tests: Test[];
}

type Field = "key" | "iv" | "aad" | "msg" | "ct" | "tag" | "sig" | "public" | "private" | "shared";
type Test = Record<Field, string> & {
  tcId: number;
  comment: string;
  result: "valid" | "invalid" | "acceptable";
};

const P256 = 415;
const UNCOMPRESSED = 4;
const RSA_PKCS1_PADDING = 1;
const RSA_PKCS1_PSS_PADDING = 6;

const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));

/** OpenSSL takes an IV of 128 bytes at most. */
const isTooLong = ({ iv = "" }: Test) => iv.length > 2 * 128;

/** How many vectors of a file were tried, and which went wrong. */
export function tryWycheproof(kernels: Kernels, folder: string, file: string) {
  const { testGroups, numberOfTests } = JSON.parse(
    readFileSync(join(folder, `${file}_test.json`), "utf8"),
  ) as { testGroups: Group[]; numberOfTests: number };
  const wrong: string[] = [];
  let tried = 0;
  for (const group of testGroups) {
    for (const test of group.tests) {
      tried++;
      const accepted = accepts(kernels, file, group, test);
      kernels.call.ERR_clear_error!();
      const valid = test.result === "valid" && !isTooLong(test);
      if (test.result !== "acceptable" && accepted !== valid)
        wrong.push(`${file}, ${test.tcId}: ${test.result}: ${test.comment}`);
    }
  }
  if (tried !== numberOfTests) wrong.push(`${file}: ${tried} of ${numberOfTests} tried`);
  return { tried, wrong };
}

function accepts(kernels: Kernels, file: string, group: Group, test: Test): boolean {
  switch (group.type) {
    case "AeadTest":
      return aead(
        kernels,
        file === "aes_gcm" ? `aes-${group.keySize}-gcm` : "chacha20-poly1305",
        group,
        test,
      );
    case "EcdhEcpointTest":
      return ecdh(kernels, test);
    case "EcdsaVerify":
      return ecdsa(kernels, group, test);
    case "RsassaPkcs1Verify":
      return rsa(kernels, group, test, RSA_PKCS1_PADDING);
    case "RsassaPssVerify":
      return rsa(kernels, group, test, RSA_PKCS1_PSS_PADDING);
  }
}

/** Sealing makes it, and opening takes it; or neither. */
function aead(kernels: Kernels, name: string, { tagSize }: Group, test: Test): boolean {
  const context = kernels.newContext();
  const begin = (encrypt: boolean) => {
    const iv = bytesOf(test.iv);
    context.init(name, encrypt);
    if (context.ctrl(ctrl.setIvLength, iv.length) !== 1) return false;
    if (context.init(undefined, encrypt, bytesOf(test.key), iv) !== 1) return false;
    return test.aad === "" || update(0, test.aad) !== undefined;
  };
  const update = (out: number, hex: string) => {
    const bytes = bytesOf(hex);
    kernels.view(kernels.arena, bytes.length).set(bytes);
    const length = context.update(out, kernels.arena, bytes.length);
    return length === bytes.length ? kernels.copyOut(kernels.arena, length) : undefined;
  };
  const isIt = (bytes: Uint8Array | undefined, hex: string) =>
    bytes !== undefined && Buffer.from(bytes).equals(bytesOf(hex));
  try {
    const seals =
      begin(true) &&
      isIt(update(kernels.arena, test.msg), test.ct) &&
      context.final(kernels.arena) === 0 &&
      isIt(context.tag(tagSize / 8), test.tag);
    const opens =
      begin(false) &&
      context.ctrl(ctrl.setTag, tagSize / 8, bytesOf(test.tag)) === 1 &&
      isIt(update(kernels.arena, test.ct), test.msg) &&
      context.final(kernels.arena) === 0;
    if (seals !== opens) throw new Error(`${name}, ${test.tcId}: ${seals ? "sealed" : "opened"} only`);
    return seals;
  } finally {
    context.free();
  }
}

function ecdh(kernels: Kernels, test: Test): boolean {
  const { call, arena } = kernels;
  const group = call.EC_GROUP_new_by_curve_name!(P256);
  const point = call.EC_POINT_new!(group);
  const theirs = bytesOf(test.public);
  // There may be zeros before it.
  const secret = bytesOf(test.private.padStart(64, "0")).slice(-32);
  const k = call.BN_bin2bn!(kernels.scratch(secret), secret.length, 0);
  const ok =
    call.EC_POINT_oct2point!(group, point, kernels.scratch(theirs), theirs.length, 0) === 1 &&
    call.EC_POINT_mul!(group, point, 0, point, k, 0) === 1 &&
    call.EC_POINT_point2oct!(group, point, UNCOMPRESSED, arena, 65, 0) === 65 &&
    Buffer.from(kernels.copyOut(arena + 1, 32)).toString("hex") === test.shared;
  call.BN_free!(k);
  call.EC_POINT_free!(point);
  call.EC_GROUP_free!(group);
  return ok;
}

const sha256 = (hex: string) => createHash("sha256").update(bytesOf(hex)).digest();

/** The digest and the signature, in the arena. */
function setSigned(kernels: Kernels, { msg, sig }: Test) {
  const signature = bytesOf(sig);
  const [digest, at] = [kernels.arena, kernels.arena + 32];
  kernels.view(digest, 32).set(sha256(msg));
  kernels.view(at, signature.length).set(signature);
  return { digest, at, length: signature.length };
}

function ecdsa(kernels: Kernels, group: Group, test: Test): boolean {
  const { call } = kernels;
  const point = bytesOf(group.publicKey.uncompressed);
  const key = call.EC_KEY_new_by_curve_name!(P256);
  const { digest, at, length } = setSigned(kernels, test);
  const ok =
    call.EC_KEY_oct2key!(key, kernels.scratch(point), point.length, 0) === 1 &&
    call.ECDSA_verify!(0, digest, 32, at, length, key) === 1;
  call.EC_KEY_free!(key);
  return ok;
}

function rsa(kernels: Kernels, group: Group, test: Test, padding: number): boolean {
  const { call, arena } = kernels;
  const der = bytesOf(group.publicKeyDer);
  const pointer = arena + 4096;
  kernels.view(arena, der.length).set(der);
  new DataView(call.memory.buffer).setUint32(pointer, arena, true);
  const key = call.d2i_PUBKEY!(0, pointer, der.length);
  const context = call.EVP_PKEY_CTX_new!(key, 0);
  const { digest, at, length } = setSigned(kernels, test);
  const ok =
    call.EVP_PKEY_verify_init!(context) === 1 &&
    call.EVP_PKEY_CTX_set_rsa_padding!(context, padding) === 1 &&
    call.EVP_PKEY_CTX_set_signature_md!(context, call.EVP_sha256!()) === 1 &&
    (padding === RSA_PKCS1_PADDING || call.EVP_PKEY_CTX_set_rsa_pss_saltlen!(context, group.sLen) === 1) &&
    call.EVP_PKEY_verify!(context, at, length, digest, 32) === 1;
  call.EVP_PKEY_CTX_free!(context);
  call.EVP_PKEY_free!(key);
  return ok;
}
