/**
 * The vectors in OpenSSL's own test data: NIST's for AES, GCM (the cases of McGrew and Viega among them) and CCM, those
 * of RFC 8439 for ChaCha20, Poly1305 and their AEAD, and Poly1305's hard cases by several authors.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Context, ctrl, Kernels } from "./module.ts";

export const vectorFiles = [
  "evpciph_aes_common.txt",
  "evpciph_aes_ccm_cavs.txt",
  "evpciph_chacha.txt",
  "evpmac_poly1305.txt",
];

/** `Name = value` lines up to a blank one. */
type Vector = Map<string, string> & { line: number };

function parse(text: string): Vector[] {
  const vectors: Vector[] = [];
  let fields: Vector | undefined;
  for (const [i, line] of text.split("\n").entries()) {
    const match = line.match(/^(\w+)\s*=\s*(.*?)\s*$/);
    if (line === "") fields = undefined;
    if (!match || match[1] === "Title") continue;
    if (!fields) {
      fields = Object.assign(new Map<string, string>(), { line: i + 1 });
      vectors.push(fields);
    }
    fields.set(match[1]!, match[2]!);
  }
  return vectors;
}

function bytesOf(text: string): Uint8Array {
  const quoted = text.match(/^"(.*)"$/);
  return quoted ? new TextEncoder().encode(quoted[1]) : new Uint8Array(Buffer.from(text, "hex"));
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** How many vectors of a file were tried, in how many ways, and what was wrong. */
export function tryVectors(kernels: Kernels, folder: string, file: string) {
  const wrong: string[] = [];
  let tried = 0;
  for (const vector of parse(readFileSync(join(folder, file), "utf8"))) {
    if ((vector.get("Availablein") ?? "default") !== "default") continue;
    tried++;
    for (const complaint of vector.has("MAC") ? tryMac(kernels, vector) : tryCipher(kernels, vector)) {
      wrong.push(`${file}:${vector.line}: ${complaint}`);
    }
  }
  return { tried, wrong };
}

function* tryCipher(kernels: Kernels, vector: Vector): Generator<string> {
  const known = "Cipher Key IV NextIV AAD Tag Plaintext Ciphertext Operation Result SetTagLate Availablein";
  for (const name of vector.keys()) if (!known.split(" ").includes(name)) yield `what is "${name}"?`;
  const get = (name: string) => {
    const text = vector.get(name);
    return text === undefined ? undefined : bytesOf(text);
  };
  const name = vector.get("Cipher")!;
  const inPieces = !/ccm|xts/i.test(name);
  for (const encrypt of [true, false]) {
    const operation = vector.get("Operation");
    if (operation !== undefined && operation !== (encrypt ? "ENCRYPT" : "DECRYPT")) continue;
    for (const piece of inPieces ? [Number.POSITIVE_INFINITY, 1, 17] : [Number.POSITIVE_INFINITY]) {
      const context = kernels.newContext();
      const job = {
        ...{ name, encrypt, piece, key: get("Key")!, iv: get("IV"), aad: get("AAD"), tag: get("Tag") },
        input: get(encrypt ? "Plaintext" : "Ciphertext") ?? new Uint8Array(),
        tagLate: vector.has("SetTagLate"),
      };
      const { failed, output, tag } = run(kernels, context, job);
      const nextIv = failed || !vector.has("NextIV") ? undefined : hex(context.updatedIv);
      context.free();
      const how = `${name}, ${encrypt ? "encrypting" : "decrypting"} ${piece} at a time`;
      if (failed !== vector.get("Result"))
        yield `${how}: ${failed ?? "it works"}, not ${vector.get("Result")}`;
      if (failed) continue;
      const expected = get(encrypt ? "Ciphertext" : "Plaintext") ?? new Uint8Array();
      if (hex(output) !== hex(expected)) yield `${how}: ${hex(output)}, not ${hex(expected)}`;
      if (encrypt && job.tag && tag && hex(tag) !== hex(job.tag))
        yield `${how}: the tag is ${hex(tag)}, not ${hex(job.tag)}`;
      const expectedNext = get("NextIV");
      if (nextIv && expectedNext && nextIv !== hex(expectedNext)) yield `${how}: the next IV is ${nextIv}`;
    }
  }
}

interface Job {
  name: string;
  encrypt: boolean;
  piece: number;
  key: Uint8Array;
  iv: Uint8Array | undefined;
  aad: Uint8Array | undefined;
  tag: Uint8Array | undefined;
  tagLate: boolean;
  input: Uint8Array;
}

/** As OpenSSL's evp_test does it, and with its names for what fails. */
function run(kernels: Kernels, context: Context, job: Job) {
  const failure = (failed: string) => ({ failed, output: new Uint8Array(), tag: undefined });
  const ccm = /ccm/i.test(job.name);
  const output: number[] = [];
  const setTag = () => job.encrypt || !job.tag || context.ctrl(ctrl.setTag, job.tag.length, job.tag) === 1;

  if (context.init(job.name, job.encrypt) !== 1) return failure("CIPHERINIT_ERROR");
  if (job.tag && job.iv && context.ctrl(ctrl.setIvLength, job.iv.length) !== 1)
    return failure("INVALID_IV_LENGTH");
  const lengthFirst = ccm && (job.encrypt || job.tagLate);
  if (lengthFirst && context.ctrl(ctrl.setTag, job.tag!.length) !== 1) return failure("TAG_LENGTH");
  if (!job.tagLate && !setTag()) return failure("TAG_LENGTH");
  if (context.init(undefined, job.encrypt, job.key, job.iv) !== 1) return failure("KEY_SET_ERROR");
  context.setPadding(false);
  if (ccm && context.update(0, 0, job.input.length) < 0) return failure("LENGTH");
  if (job.aad && !feed(job.aad, undefined)) return failure("AAD");
  if (job.tagLate && !setTag()) return failure("TAG_LENGTH");
  if (!feed(job.input, output)) return failure("CIPHERUPDATE_ERROR");
  if (!ccm || job.encrypt) {
    const last = context.final(kernels.arena + Kernels.ROOM);
    if (last < 0) return failure("CIPHERFINAL_ERROR");
    output.push(...kernels.view(kernels.arena + Kernels.ROOM, last));
  }
  const tag = job.encrypt && job.tag ? context.tag(job.tag.length) : undefined;
  return { failed: undefined, output: new Uint8Array(output), tag };

  /** Without `to` it is additional data. */
  function feed(bytes: Uint8Array, to: number[] | undefined): boolean {
    const out = to ? kernels.arena + Kernels.ROOM : 0;
    for (let i = 0; i < bytes.length || (i === 0 && ccm && to); i += job.piece) {
      const piece = bytes.subarray(i, i + job.piece);
      kernels.view(kernels.arena, piece.length).set(piece);
      const written = context.update(out, kernels.arena, piece.length);
      if (written < 0) return false;
      to?.push(...kernels.view(out, written));
    }
    return true;
  }
}

/** Poly1305 by its own functions, all at once and in pieces. */
function* tryMac(kernels: Kernels, vector: Vector): Generator<string> {
  const input = bytesOf(vector.get("Input") ?? "");
  const expected = vector.get("Output")!.toLowerCase();
  for (const piece of [Number.POSITIVE_INFINITY, 1, 15, 33]) {
    const mac = hex(poly1305(kernels, bytesOf(vector.get("Key")!), input, piece));
    if (mac !== expected) yield `Poly1305, ${piece} at a time: ${mac}, not ${expected}`;
  }
}

/** The kernel alone. What follows its context in memory must stay as it is. */
export function poly1305(
  kernels: Kernels,
  key: Uint8Array,
  input: Uint8Array,
  piece = Number.POSITIVE_INFINITY,
) {
  const { Poly1305_ctx_size, Poly1305_Init, Poly1305_Update, Poly1305_Final } = kernels.call;
  const size = Poly1305_ctx_size!();
  const at = kernels.arena + Kernels.ROOM;
  const out = (at + size + 23) & ~7;
  kernels.view(at, size + 64).fill(0xa5);
  Poly1305_Init!(at, kernels.scratch(key));
  for (let i = 0; i < input.length; i += piece) {
    const bytes = input.subarray(i, i + piece);
    kernels.view(kernels.arena + 1, bytes.length).set(bytes);
    Poly1305_Update!(at, kernels.arena + 1, bytes.length);
  }
  Poly1305_Final!(at, out);
  if (kernels.view(at + size, 8).some((byte) => byte !== 0xa5))
    throw new Error("Poly1305 wrote beyond its context");
  return kernels.copyOut(out, 16);
}
