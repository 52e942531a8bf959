/**
 * What a gibibyte in records of 16 KiB costs, and what a private key of RSA: with the kernels, with OpenSSL's own C,
 * and in node:crypto.
 *
 *     npm run kernels -- --speed
 */
import { constants, createCipheriv, generateKeyPairSync, privateDecrypt } from "node:crypto";
import { type Context, ctrl, Kernels } from "./module.ts";

const RECORD = 16_384;
const ROUNDS = 9;

export function printSpeed(folder: string): void {
  const modules = {
    kernels: new Kernels(folder),
    "OpenSSL's C": new Kernels(folder, "plain.wasm"),
  };
  const names = [
    "aes-128-gcm",
    "aes-256-gcm",
    "chacha20-poly1305",
    "aes-128-ccm",
    "aes-128-cbc",
    "aes-128-ctr",
  ];
  console.log("CPU seconds for 1 GiB: the median of rounds, the machine's other load included");
  for (const name of names) {
    const ways: Record<string, (records: number) => void> = {};
    for (const [what, kernels] of Object.entries(modules)) {
      for (const encrypt of [true, false]) {
        ways[`${what}, ${encrypt ? "encrypt" : "decrypt"}`] = inWasm(kernels, name, encrypt);
      }
    }
    ways["node:crypto, encrypt"] = inNode(name);
    compare(name, ways, 100, 2 ** 30 / RECORD);
  }
  console.log("CPU milliseconds for RSA's two powers, in node:crypto with what else its private key does");
  for (const bits of [2048, 3072, 4096]) {
    const ways: Record<string, (times: number) => void> = {};
    for (const [what, kernels] of Object.entries(modules)) ways[what] = powersInWasm(kernels, bits / 128);
    ways["node:crypto"] = powersInNode(bits);
    compare(`RSA-${bits}`, ways, 5, 1000);
  }
}

/**
 * Prints the median of what one time takes, in units of which a CPU second has `scale`. `few` times tell how many to
 * take.
 */
function compare(
  name: string,
  ways: Record<string, (times: number) => void>,
  few: number,
  scale: number,
): void {
  const seen = new Map<string, number[]>(Object.keys(ways).map((way) => [way, []]));
  // So many that a measurement takes some 50 ms.
  const counts = Object.fromEntries(
    Object.entries(ways).map(([way, work]) => {
      cpu(() => work(2 * few));
      return [way, Math.max(few >> 1, Math.round((few * 0.05) / cpu(() => work(few))))];
    }),
  );
  for (let round = 0; round < ROUNDS; round++) {
    for (const [way, work] of Object.entries(ways)) {
      const count = counts[way]!;
      seen.get(way)!.push((cpu(() => work(count)) / count) * scale);
    }
  }
  const cells = [...seen].map(
    ([way, times]) => `${way} ${times.sort((a, b) => a - b)[ROUNDS >> 1]!.toFixed(2)}`,
  );
  console.log(`${name}: ${cells.join("; ")}`);
}

function cpu(work: () => void): number {
  const begun = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1e6;
}

/** As TLS 1.3 uses a cipher: a new IV, five bytes of additional data, a record in place. */
function inWasm(kernels: Kernels, name: string, encrypt: boolean): (records: number) => void {
  const context = kernels.newContext();
  const key = new Uint8Array(name.startsWith("chacha") ? 32 : Number(name.split("-")[1]) / 8).fill(7);
  const tag = new Uint8Array(16);
  const iv = new Uint8Array(name.endsWith("cbc") || name.endsWith("ctr") ? 16 : 12);
  context.init(name, encrypt);
  if (/gcm|ccm|poly/.test(name)) context.ctrl(ctrl.setIvLength, 12);
  const ccm = name.endsWith("ccm");
  if (ccm && encrypt) context.ctrl(ctrl.setTag, 16);
  context.init(undefined, encrypt, key, iv);
  context.setPadding(false);
  return (records) => {
    for (let i = 0; i < records; i++) one(context);
  };
  function one(context: Context): void {
    if (!encrypt && /gcm|ccm|poly/.test(name)) context.ctrl(ctrl.setTag, 16, tag);
    context.init(undefined, encrypt, undefined, iv);
    if (ccm) context.update(0, 0, RECORD);
    if (/gcm|ccm|poly/.test(name)) context.update(0, kernels.arena, 5);
    context.update(kernels.arena, kernels.arena, RECORD);
    // Opening fails, since the tag is wrong; what it costs is the same.
    context.final(kernels.arena);
  }
}

function inNode(name: string): (records: number) => void {
  const data = Buffer.alloc(RECORD);
  const key = Buffer.alloc(name.startsWith("chacha") ? 32 : Number(name.split("-")[1]) / 8, 7);
  const aead = /gcm|ccm|poly/.test(name);
  const iv = Buffer.alloc(aead ? 12 : 16);
  return (records) => {
    for (let i = 0; i < records; i++) {
      const cipher = createCipheriv(name as "aes-128-ccm", key, iv, { authTagLength: 16 });
      if (aead) cipher.setAAD(Buffer.alloc(5), { plaintextLength: RECORD });
      cipher.update(data);
      cipher.final();
    }
  };
}

function powersInWasm(kernels: Kernels, words: number): (times: number) => void {
  // Any odd numbers will do.
  const [out, base, exponent, modulus] = [0, 1, 2, 3].map((i) => kernels.arena + 4096 * i);
  kernels.view(base!, 16 * words).fill(0x55);
  kernels.view(exponent!, 16 * words).fill(0xa7);
  kernels.view(modulus!, 16 * words).fill(0xe5);
  return (times) => {
    for (let i = 0; i < times; i++) kernels.call.raise_words!(out!, base!, exponent!, modulus!, words, words);
  };
}

function powersInNode(bits: number): (times: number) => void {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: bits });
  const key = { key: privateKey, padding: constants.RSA_NO_PADDING };
  const data = Buffer.alloc(bits / 8, 0x55);
  return (times) => {
    for (let i = 0; i < times; i++) privateDecrypt(key, data);
  };
}
