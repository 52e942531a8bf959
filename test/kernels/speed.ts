/**
 * What a gibibyte in records of 16 KiB costs: with the kernels, with OpenSSL's own C, and in node:crypto.
 *
 *     npm run kernels -- --speed
 */
import { createCipheriv } from "node:crypto";
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
    const seen = new Map<string, number[]>(Object.keys(ways).map((way) => [way, []]));
    // So many that a measurement takes some 50 ms.
    const records = Object.fromEntries(
      Object.entries(ways).map(([way, seal]) => {
        cpu(() => seal(200));
        return [way, Math.max(50, Math.round((100 * 0.05) / cpu(() => seal(100))))];
      }),
    );
    for (let round = 0; round < ROUNDS; round++) {
      for (const [way, seal] of Object.entries(ways)) {
        const count = records[way]!;
        seen.get(way)!.push((cpu(() => seal(count)) / count / RECORD) * 2 ** 30);
      }
    }
    const cells = [...seen].map(
      ([way, times]) => `${way} ${times.sort((a, b) => a - b)[ROUNDS >> 1]!.toFixed(2)}`,
    );
    console.log(`${name}: ${cells.join("; ")}`);
  }
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
