/**
 * `npm run fuzz`: inputs that are nearly right, made with knowledge of the formats, through the public API. Changed
 * trees of ASN.1 are signed again, and changed handshakes encrypted again, so that they get behind the first check.
 *
 *     npm run fuzz -- [--minutes N] [--seed S] [--only TEXT]… [--jobs N]
 *     npm run fuzz -- --seed S --case N
 *
 * A case is wrong if it traps, hangs, throws anything but a TlsError, takes more than 250 ms of CPU, leaves something
 * in linear memory, or is accepted; or if the instance judges otherwise afterwards. Each case follows from the seed and
 * its number. A case that fails is printed with the command that replays it, and the exit code is 1.
 */
import { fork } from "node:child_process";
import { writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { OpenSsl } from "wassl";
import { settled } from "../helpers/damage.ts";
import { Dice } from "./dice.ts";
import { describe, Failure, type Run, showing, type Target } from "./target.ts";
import { certificates, impostors, revocationLists, startSentinel } from "./targets/certificates.ts";
import { anchors, keys, pemTexts, pkcs12, sessions, tickets } from "./targets/formats.ts";
import { datagrams, handshakes, ocsp, records, streams } from "./targets/handshakes.ts";
import { abi, channels, redis } from "./targets/interfaces.ts";

const targets: readonly Target[] = [
  certificates,
  impostors,
  revocationLists,
  handshakes,
  records,
  streams,
  datagrams,
  ocsp,
  sessions,
  tickets,
  keys,
  pkcs12,
  pemTexts,
  anchors,
  abi,
  redis,
  channels,
];

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    case: { type: "string" },
    only: { type: "string", multiple: true, default: [] },
    jobs: { type: "string", default: String(Math.min(availableParallelism(), 8)) },
    lane: { type: "string" },
  },
});
const seed = Number(values.seed);
const minutes = Number(values.minutes);
const jobs = Number(values.jobs);
for (const [name, value] of Object.entries({ seed, minutes, jobs, case: Number(values.case ?? 0) })) {
  if (!(value >= 0)) throw new Error(`--${name} must be a number`);
}
const wanted = targets.filter(
  ({ name }) => values.only.length === 0 || values.only.some((text) => name.includes(text)),
);
if (wanted.length === 0) throw new Error(`--only: there are ${targets.map(({ name }) => name).join(", ")}`);

/** Cases that share an instance: what one of them leaves behind shows in those after it. */
const BATCH = 256;
/** One case may take so much CPU, in milliseconds. */
const CPU_LIMIT = 250;
/** A process that says nothing for so long hangs. */
const SILENCE = 40_000;
/** What rounding and what OpenSSL keeps once may add, in bytes. */
const SLACK = 64;

// ---- one lane: a process that runs batches ------------------------------------------------------------------------

/** What a lane tells. */
type Message =
  | { begin: number; target: string }
  | { failed: number; target: string; what: string }
  | { done: Record<string, number>; slowest: { number: number; target: string; cpu: number } };

/** Entropy that follows from the case, so that its handshakes are the same in a replay. */
let entropy = new Dice(seed, 0);
function fixEntropy(): void {
  const getRandomValues = <T extends ArrayBufferView>(view: T): T => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    for (let i = 0; i < bytes.length; i++) bytes[i] = entropy.below(256);
    return view;
  };
  Object.defineProperty(globalThis.crypto, "getRandomValues", { value: getRandomValues });
}

function targetOf(dice: Dice): Target {
  const at = dice.next() * wanted.reduce((sum, { share }) => sum + share, 0);
  let sum = 0;
  for (const target of wanted) {
    sum += target.share;
    if (at < sum) return target;
  }
  return wanted.at(-1)!;
}

let compiled: WebAssembly.Module | undefined;

/** One instance and all that the targets need in it. */
class Stage {
  readonly openssl: OpenSsl;
  readonly #runs = new Map<Target, Run>();
  #sentinel: (() => Promise<void>) | undefined;

  private constructor(openssl: OpenSsl) {
    this.openssl = openssl;
  }

  static async make(): Promise<Stage> {
    compiled ??= await WebAssembly.compile(await moduleBytes());
    return new Stage(await OpenSsl.load({ source: compiled }));
  }

  /** Runs it, and says what is wrong; and how much CPU it took. */
  async run(number: number): Promise<{ target: Target; cpu: number; wrong?: string }> {
    const target = targetOf(new Dice(seed, number));
    const { openssl } = this;
    try {
      entropy = new Dice(seed, -1);
      this.#sentinel ??= await startSentinel(openssl, seed);
      let run = this.#runs.get(target);
      if (!run) {
        run = await target.start(openssl, seed);
        this.#runs.set(target, run);
      }
      const once = async () => {
        const dice = new Dice(seed, number);
        targetOf(dice);
        entropy = new Dice(~seed, number);
        const used = openssl.memory.used;
        const [before, began] = [process.cpuUsage(), performance.now()];
        await run(dice);
        const { user, system } = process.cpuUsage(before);
        // The engine's own threads, which compile and collect, count for the process; what is too slow is slow by
        // either clock.
        const cpu = Math.min((user + system) / 1000, performance.now() - began);
        return { cpu, grown: openssl.memory.used - used };
      };
      let { cpu, grown } = await once();
      // What is slow is so again.
      for (let again = 0; again < 10 && cpu > CPU_LIMIT; again++) cpu = Math.min(cpu, (await once()).cpu);
      // What is kept once is not kept twice; and each of the sixteen places in OpenSSL's queue of errors keeps the
      // longest text that it had.
      for (let again = 0; again < 20 && grown > SLACK && !target.keeps; again++) {
        ({ grown } = await once());
        if (grown > SLACK) {
          const before = await settled(openssl);
          await once();
          grown = (await settled(openssl)) - before;
        }
      }
      if (cpu > CPU_LIMIT) return { target, cpu, wrong: `it takes ${cpu.toFixed(0)} ms of CPU` };
      if (grown > SLACK && !target.keeps)
        return { target, cpu, wrong: `${grown} bytes stay behind each time` };
      await this.#sentinel();
      return { target, cpu };
    } catch (error) {
      return {
        target,
        cpu: 0,
        wrong: error instanceof Failure ? error.message : `it throws ${describe(error)}`,
      };
    }
  }
}

async function moduleBytes(): Promise<Uint8Array<ArrayBuffer>> {
  const { readFile } = await import("node:fs/promises");
  return Uint8Array.from(await readFile(fileURLToPath(import.meta.resolve("wassl/openssl.wasm"))));
}

/** The batches `first`, `first + step`, … until the time is over. */
async function lane(first: number, step: number, tell: (message: Message) => void): Promise<void> {
  const counts: Record<string, number> = {};
  let slowest = { number: -1, target: "", cpu: 0 };
  const end = Date.now() + minutes * 60_000;
  for (let batch = first; Date.now() < end; batch += step) {
    let stage = await Stage.make();
    for (let number = batch * BATCH; number < (batch + 1) * BATCH && Date.now() < end; number++) {
      tell({ begin: number, target: targetOf(new Dice(seed, number)).name });
      const { target, cpu, wrong } = await stage.run(number);
      counts[target.name] = (counts[target.name] ?? 0) + 1;
      if (cpu > slowest.cpu) slowest = { number, target: target.name, cpu };
      if (wrong === undefined) continue;
      tell({ failed: number, target: target.name, what: wrong });
      // Whatever it did, the next one is not to suffer.
      stage = await Stage.make();
    }
  }
  tell({ done: counts, slowest });
}

/** Alone, and if nothing is wrong then behind those that shared its instance. */
async function replay(number: number): Promise<boolean> {
  const alone = await (await Stage.make()).run(number);
  if (alone.wrong) {
    console.log(`${alone.target.name}: ${alone.wrong}`);
    return true;
  }
  console.log(
    `alone it is right (${alone.target.name}, ${alone.cpu.toFixed(0)} ms); behind the others of its batch:`,
  );
  showing.show = undefined;
  const stage = await Stage.make();
  for (let each = number - (number % BATCH); each <= number; each++) {
    const { target, wrong } = await stage.run(each);
    if (wrong) console.log(`case ${each}: ${target.name}: ${wrong}`);
    if (wrong && each === number) return true;
  }
  return false;
}

// ---- all lanes ----------------------------------------------------------------------------------------------------

async function all(): Promise<boolean> {
  console.log(`fuzz: seed ${seed}, ${minutes} minutes, ${jobs} processes`);
  let failures = 0;
  const counts: Record<string, number> = {};
  let slowest = { number: -1, target: "", cpu: 0 };
  const seen = new Map<string, number>();
  const fail = (number: number, target: string, what: string) => {
    failures++;
    // The same again is counted; a few of it are enough to look at.
    const kind = `${target}: ${what.replace(/\d+/g, "")}`;
    const times = (seen.get(kind) ?? 0) + 1;
    seen.set(kind, times);
    if (times > 3) return;
    const only = values.only.map((text) => ` --only "${text}"`).join("");
    console.log(
      `WRONG: ${target}: ${what}\n  replay: npm run fuzz -- --seed ${seed}${only} --case ${number}`,
    );
  };
  const one = (index: number) =>
    new Promise<void>((resolve) => {
      const child = fork(fileURLToPath(import.meta.url), [
        ...process.argv.slice(2),
        "--seed",
        String(seed),
        "--lane",
        String(index),
      ]);
      let last = { begin: -1, target: "none yet" };
      let timer: NodeJS.Timeout | undefined;
      let over = false;
      const watch = () => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          over = true;
          fail(last.begin, last.target, `it hangs for ${SILENCE / 1000} s`);
          child.kill("SIGKILL");
        }, SILENCE);
      };
      watch();
      child.on("message", (message: Message) => {
        watch();
        if ("begin" in message) last = message;
        else if ("failed" in message) fail(message.failed, message.target, message.what);
        else {
          over = true;
          for (const [name, count] of Object.entries(message.done))
            counts[name] = (counts[name] ?? 0) + count;
          if (message.slowest.cpu > slowest.cpu) slowest = message.slowest;
        }
      });
      child.once("exit", (code, signal) => {
        clearTimeout(timer);
        if (!over) fail(last.begin, last.target, `the process ended (${code ?? signal})`);
        resolve();
      });
    });
  await Promise.all(Array.from({ length: jobs }, (_, index) => one(index)));
  const list = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  console.log(`fuzz: ${total.toLocaleString("en")} cases: ${list.join(", ")}`);
  if (slowest.number >= 0)
    console.log(
      `the slowest: ${slowest.cpu.toFixed(0)} ms of CPU, ${slowest.target}, case ${slowest.number}`,
    );
  console.log(
    failures === 0 ? `fuzz: nothing wrong (seed ${seed})` : `fuzz: ${failures} wrong (seed ${seed})`,
  );
  return failures > 0;
}

if (values.lane !== undefined) {
  fixEntropy();
  await lane(Number(values.lane), jobs, (message) => process.send?.(message));
  process.exit(0);
} else if (values.case !== undefined) {
  fixEntropy();
  console.log(`fuzz: seed ${seed}, case ${values.case}`);
  showing.show = (what, input) => {
    const text = typeof input === "string" ? input : Buffer.from(input).toString("base64");
    // At once: what follows may never end.
    writeSync(1, `  ${what}: ${text}\n`);
  };
  process.exit((await replay(Number(values.case))) ? 1 : 0);
} else {
  process.exit((await all()) ? 1 : 0);
}
