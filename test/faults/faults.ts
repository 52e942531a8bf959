/**
 * Memory runs out, at each allocation in turn: what is done meanwhile has its usual result, or fails with an error that
 * says so. Nothing traps, no peer is accepted that must be refused, nothing leaks, and the instance works on.
 *
 *     npm run faults -- [--only TEXT]… [--every N] [--samples N] [--scenarios N] [--seed N] [--at N]
 *
 * `--every N` takes each N-th allocation; `--samples N` so many of each scenario, chosen by the seed; `--at N` this one
 * alone; `--scenarios N` so many scenarios, chosen by the seed, beside those in which a mistake is worst. Freed memory
 * is filled. It runs openssl.wasm with the allocator of test/faults/allocator.c.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { parseArgs } from "node:util";
import { acceptTls, OpenSsl, startTls, TlsError } from "wassl";
import { pair } from "../fakes/pair.ts";
import { readAtLeast, sleep, utf8, write } from "../helpers/basics.ts";
import { client, clientCert, server } from "../helpers/both-ends.ts";
import { type Env, setEnv } from "../helpers/env.ts";
import { random } from "../helpers/random.ts";
import { makeCerts } from "../peers/certs.ts";
import { makeChains } from "../peers/chains.ts";
import { makeForged } from "../peers/forged.ts";
import { type Scenario, scenarios, world } from "./scenarios.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [""] },
    every: { type: "string", default: "1" },
    samples: { type: "string", default: "0" },
    scenarios: { type: "string", default: "0" },
    seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
    at: { type: "string", default: "0" },
  },
});
const [every, samples, seed, at] = [values.every, values.samples, values.seed, values.at].map(Number) as [
  number,
  number,
  number,
  number,
];
const next = random(seed);

/** malloc rounds what is in use now so, now so. */
const ROUNDING = 64;
/** A leak is seen once more each time. */
const AGAIN = 6;

const repository = join(import.meta.dirname, "..", "..");
const module = new WebAssembly.Module(
  readFileSync(join(repository, "node_modules", ".cache", "wassl-faults.wasm")),
);

interface Allocator {
  faults_fail(first: number, count: number): void;
  faults_counted(): number;
  faults_failed(): number;
  faults_fill(on: number): void;
}

interface Victim {
  readonly openssl: OpenSsl;
  readonly allocator: Allocator;
}

/** An instance whose allocator can be told to fail. */
function load(): Victim {
  const { Instance } = WebAssembly;
  let allocator: Allocator | undefined;
  WebAssembly.Instance = class extends Instance {
    constructor(...args: ConstructorParameters<typeof Instance>) {
      super(...args);
      allocator = this.exports as unknown as Allocator;
    }
  };
  try {
    const openssl = OpenSsl.loadSync(module);
    allocator!.faults_fill(1);
    return { openssl, allocator: allocator! };
  } finally {
    WebAssembly.Instance = Instance;
  }
}

let wrong = 0;
const told = new Map<string, number>();
function complain(where: string, what: string): void {
  wrong++;
  // One cause shows at many allocations.
  const kind = `${where.replace(/, allocation.*/, "")}: ${what.slice(0, 60)}`;
  const before = told.get(kind) ?? 0;
  told.set(kind, before + 1);
  if (before < 3) console.log(`WRONG: ${where}: ${what}`);
}

process.on("unhandledRejection", (reason) => complain("outside", String(reason)));

/** What is allocated when all that ended has let go, as far as it gets to `least`. */
async function settled(openssl: OpenSsl, least?: number): Promise<number> {
  if (least === undefined) {
    await sleep(10);
    return openssl.memory.used;
  }
  for (let i = 0; i < 20 && openssl.memory.used > least; i++) await setImmediate();
  for (let i = 0; i < 20 && openssl.memory.used > least + ROUNDING; i++) await sleep(5);
  return openssl.memory.used;
}

const clean = OpenSsl.loadSync(module);
let victim = load();

type Outcome = { answer: string } | { error: unknown };

async function attempt(scenario: Scenario): Promise<Outcome> {
  try {
    return { answer: await scenario.run(victim.openssl, clean) };
  } catch (error) {
    return { error };
  }
}

/** How it goes with all the memory there is, twice: OpenSSL keeps some things from the first time on. */
async function normal(scenario: Scenario): Promise<{ answer: string; used: number; allocations: number }> {
  let answer = "";
  let allocations = 0;
  for (let i = 0; i < 3; i++) {
    victim.allocator.faults_fail(0, 0);
    const outcome = await attempt(scenario);
    if ("error" in outcome) throw new Error(`${scenario.name} fails by itself`, { cause: outcome.error });
    answer = outcome.answer;
    if (scenario.expected?.test(answer) === false)
      throw new Error(`${scenario.name} comes to ${answer} by itself`);
    allocations = victim.allocator.faults_counted();
    await settled(victim.openssl);
  }
  return { answer, used: victim.openssl.memory.used, allocations };
}

function judge(scenario: Scenario, where: string, expected: string, outcome: Outcome): string {
  if ("answer" in outcome) {
    if (outcome.answer === expected) return "as without";
    if (scenario.orElse?.test(outcome.answer)) return "something less";
    complain(where, `it came to ${outcome.answer}, not ${expected}`);
    return "WRONG";
  }
  const { error } = outcome;
  if (!(error instanceof TlsError)) {
    complain(where, `no TlsError: ${error instanceof Error ? error.stack : error}`);
    return "no TlsError";
  }
  if (error.code === "wasm-crashed")
    complain(where, `${error.cause instanceof Error ? error.cause.stack : error}`);
  else if (scenario.verdict && error.code !== "out-of-memory")
    complain(where, `${error.code}: ${error.message}`);
  return error.code;
}

async function sweep(scenario: Scenario): Promise<void> {
  let { answer, used, allocations } = await normal(scenario);
  const numbers = at
    ? [at]
    : samples
      ? Array.from({ length: Math.min(samples, allocations) }, () => 1 + Math.floor(next() * allocations))
      : Array.from({ length: Math.ceil(allocations / every) }, (_, i) => 1 + i * every);
  const outcomes = new Map<string, number>();
  let tried = 0;
  for (const n of numbers) {
    // From then on nothing more is to be had; or it was that one alone.
    for (const count of [1, 0xffffffff]) {
      const where = `${scenario.name}, allocation ${n} of ${allocations}${count === 1 ? "" : " and all behind it"}`;
      const fail = async () => {
        victim.allocator.faults_fail(n, count);
        const outcome = await attempt(scenario);
        const failed = victim.allocator.faults_failed();
        victim.allocator.faults_fail(0, 0);
        return { outcome, failed };
      };
      const { outcome, failed } = await fail();
      tried++;
      const what = failed === 0 ? "not reached" : judge(scenario, where, answer, outcome);
      outcomes.set(what, (outcomes.get(what) ?? 0) + 1);
      if (what === "wasm-crashed") {
        victim = load();
        ({ answer, used, allocations } = await normal(scenario));
        continue;
      }
      // And now it works again, and all is as it was.
      const control = async () => {
        const after = await attempt(scenario);
        if ("error" in after || after.answer !== answer)
          complain(where, `afterwards: ${"error" in after ? after.error : after.answer}`);
        return settled(victim.openssl, used);
      };
      const first = await control();
      if (first <= used + ROUNDING && first >= used - ROUNDING) continue;
      if (first > used) {
        const grown: number[] = [];
        for (let i = 0, before = first; i < AGAIN; i++) {
          await fail();
          const now = await control();
          grown.push(now - before);
          before = now;
        }
        const least = Math.min(...grown);
        if (least > 0) complain(where, `${least} bytes leak`);
      }
      // Something is kept now that was not before, or the other way round.
      ({ used } = await normal(scenario));
    }
  }
  const list = [...outcomes].map(([what, count]) => `${count} ${what}`).join(", ");
  console.log(`${scenario.name}: ${allocations} allocations, ${tried} tried: ${list}`);
}

const folder = mkdtempSync(join(tmpdir(), "wassl-faults-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
console.log(`seed ${seed}`);
const certs = makeCerts("openssl", join(folder, "certs"));
const given = {
  givenRoot: certs.caPem,
  givenInter: certs.intermediatePem,
  expired: readFileSync(certs.file("expired", "cert"), "utf8"),
  notYetValid: readFileSync(certs.file("notYetValid", "cert"), "utf8"),
};
const chains = await makeChains("openssl", join(folder, "chains"), given, seed, 0);
const forged = makeForged(join(folder, "forged"));
setEnv({ certs, chains, forged, seed, runtime: "node", runtimes: ["node"] } as unknown as Env);
world.certs = certs;
{
  const [near, far] = pair();
  const options = { ...client(), ...clientCert(), openssl: clean, sessionStore: false as const };
  const [mine, theirs] = await Promise.all([
    startTls(near, options),
    acceptTls(far, { ...server(), openssl: clean }),
  ]);
  await write(theirs.writable, utf8("."));
  await readAtLeast(mine.readable, 1);
  world.session = mine.getSession()!;
  mine.abort();
  theirs.abort();
}

const began = performance.now();
const only = values.only as string[];
const wanted = [...scenarios()].filter(({ name }) => only.some((text) => name.includes(text)));
/** Where a peer might be accepted that must be refused. */
const worst =
  /^refused: .*(a wrong|of another CA|revoked by|OCSP: revoked|no certificate of|a session, then)/;
const share = Number(values.scenarios) / wanted.length || 1;
for (const scenario of wanted) {
  if (!worst.test(scenario.name) && next() >= share) continue;
  await sweep(scenario).catch((error) => complain(scenario.name, `${error} ${error?.cause?.stack ?? ""}`));
}
console.log(
  `${wrong === 0 ? "nothing wrong" : `${wrong} wrong`} in ${((performance.now() - began) / 1000).toFixed(0)} s`,
);
process.exit(wrong === 0 ? 0 : 1);
