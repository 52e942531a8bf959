/**
 * `npm test`: packs the project, and runs one contract suite against the packed tarball in Node.js, Deno and headless
 * Chromium, and a part of it in WebKit, Firefox and Bun, against independent TLS servers and fakes. "matrix" is the part
 * of `npm run matrix` that is for every time, and "drivers" that of `npm run drivers`.
 *
 *     tsx test/run.ts [--runtime node|bun|deno|workerd|chromium|webkit|firefox|demo|matrix|drivers]… [--node FILE] [--grep TEXT] [--seed N] [--verbose]
 *     tsx test/run.ts --quick [--grep TEXT] [--seed N] [--verbose]
 *
 * The second one is `npm run test:quick`: `src` as it is, without types and not packed, in Node.js; test/contract
 * alone, or of all suites what has that text in its name ("module: test", or as a run reports it). With `--grep`, both
 * take the certificates of an earlier run, if there are any.
 *
 * A test that failed in a run of everything is run again, alone, if at most one other failed. The closing lines tell.
 *
 * The last line is `N passed, N failed`; the exit code says the same. Nothing waits without a bound, and whatever was
 * started is stopped.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { getPriority, setPriority, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { WebSocket } from "ws";
import { type Browser, startChromium, startFirefox, startWebKit } from "./browsers.ts";
import { bundle, programName, type Suite, type Target } from "./bundle.ts";
import { often as clients, tryClients } from "./drivers/trials.ts";
import { cells } from "./matrix/cells.ts";
import { runCells } from "./matrix/matrix.ts";
import { install } from "./matrix/projects.ts";
import { installPackage, installSource } from "./pack.ts";
import { publicOf } from "./peers/certs.ts";
import { Peers } from "./peers/index.ts";
import { keptOrMade, make } from "./peers/made.ts";
import { freePort, start, waitForPort } from "./peers/program.ts";
import { killAtEnd } from "./processes.ts";
import { type Report, Results } from "./report.ts";
import type { Message } from "./runtimes/common.ts";
import { absent, limits } from "./runtimes/limits.ts";
import { startServer } from "./server.ts";
import { setUp, type Tools } from "./setup.ts";

const browsers = ["chromium", "webkit", "firefox"] as const;
type BrowserName = (typeof browsers)[number];
const runtimes = ["node", "bun", "deno", "workerd", ...browsers] as const;
type RuntimeName = (typeof runtimes)[number];
/**
 * Without --runtime. The last three then run those suites that an engine's own streams, sockets and workers have the
 * most part in.
 */
const byDefault = ["node", "deno", "chromium", "demo", "matrix", "drivers", "webkit", "firefox", "bun"];
const SAMPLED = ["webkit", "firefox", "bun"];
const SAMPLE = "/^(streams|loading|transports|blocking: independent)/";
/** The folders of suites that are for this runtime; each runs by itself. */
const suitesOf = (name: RuntimeName): Suite[] => (name === "node" ? ["contract", "node"] : ["contract"]);
const isBrowser = (name: RuntimeName): name is BrowserName => browsers.includes(name as BrowserName);
const targetOf = (name: RuntimeName): Target =>
  isBrowser(name) ? "page" : name === "bun" ? "node" : (name as Target);

/** A filter of QUnit's, or nothing. */
const withoutAbsent = (name: string) => (absent[name] ? `!/${Object.keys(absent[name]).join("|")}/i` : "");

const repository = join(dirname(fileURLToPath(import.meta.url)), "..");
const runtimeTimeout = 600_000;
const pageTimeout = 60_000;
const demoTimeout = 300_000;

const { values: options } = parseArgs({
  options: {
    runtime: { type: "string", multiple: true },
    quick: { type: "boolean", default: false },
    node: { type: "string", default: process.execPath },
    grep: { type: "string", default: "" },
    seed: { type: "string" },
    verbose: { type: "boolean", default: false },
  },
});
const whole = options.runtime !== undefined;
const asked = options.quick ? ["node"] : (options.runtime ?? byDefault);
const isSampled = (name: string) => !whole && SAMPLED.includes(name);

const results = new Results(options.verbose);
let seed: number;
const folder = mkdtempSync(join(tmpdir(), "wassl-test-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
async function main(): Promise<void> {
  const tools = setUp();
  // What has to be installed for these is installed before anything runs that would have to wait. Without them their
  // cells are left out.
  const matrix = asked.includes("matrix") && !options.grep;
  const missing = new Map<string, string>();
  for (const name of ["webkit", "firefox"] as const) {
    if (!matrix && !asked.includes(name)) continue;
    try {
      tools[name]();
    } catch (error) {
      missing.set(name, (error as Error).message);
    }
  }
  let bun = "";
  if (asked.includes("bun"))
    try {
      bun = join(await install("bun"), "node_modules", "bun", "bin", "bun.exe");
    } catch (error) {
      missing.set("bun", (error as Error).message);
    }
  if (tools.keytool !== undefined) process.env.WASSL_KEYTOOL = tools.keytool;
  else if (asked.includes("node") && !options.grep)
    results.leaveOut("PKCS #12 files of Java", "there is no keytool");
  // Not part of what is packed. Of a few tests each asks for what it needs.
  if (asked.includes("node") && !options.quick && !options.grep)
    execFileSync("bash", ["build.sh", "kernels", "faults", "named"], { cwd: repository, stdio: "inherit" });
  // These two need nothing of what follows, and start meanwhile.
  const demo = asked.includes("demo") && !options.grep ? runDemo() : Promise.resolve();
  const installed = options.quick ? installSource(folder) : installPackage(folder);
  installed.catch(() => {});
  const given = options.seed === undefined ? undefined : Number(options.seed);
  const made =
    options.quick || options.grep
      ? await keptOrMade(tools.openssl, folder, given)
      : make(tools.openssl, folder, given ?? Math.floor(Math.random() * 2 ** 31));
  const { certs } = made;
  seed = made.seed;
  console.log(`seed ${seed}`);
  const peers = new Peers({ tools, certs, folder });
  const wanted = runtimes.filter((name) => asked.includes(name) && !missing.has(name));
  if (!options.grep)
    for (const name of wanted)
      for (const [what, why] of Object.entries(absent[name] ?? {}))
        results.leaveOut(`[${name}] all with "${what}" in their names`, why);
  for (const [name, why] of missing) if (asked.includes(name)) results.leaveOut(name, why);
  const config = made.chains.then((chains) => ({
    ...{
      seed,
      made: made.made,
      certs: publicOf(certs),
      chains,
      forged: made.forged,
      unsupported: made.unsupported,
    },
    runtimes: wanted.filter((name) => !isSampled(name)),
  }));
  // Every use of it reports the failure.
  config.catch(() => {});
  await installed;
  const web = join(folder, "web");
  const programs = wanted.flatMap((name) =>
    suitesOf(name)
      .filter((suite) => suite === "contract" || !options.quick || options.grep)
      .map((suite) => ({ name, suite })),
  );
  const targets = new Map(programs.map((each) => [programName(targetOf(each.name), each.suite), each]));
  await Promise.all(
    [...targets.values()].map(({ name, suite }) =>
      bundle({
        ...{ target: targetOf(name), suite, folder, grep: options.grep || withoutAbsent(name) },
        ...(isBrowser(name) && { outdir: web }),
      }),
    ),
  );
  // Where `new URL("./openssl.wasm", import.meta.url)` looks for it, in the page.
  const wasm = join(folder, "node_modules", "wassl", "dist", "binding", "openssl.wasm");
  mkdirSync(web, { recursive: true });
  if (existsSync(wasm)) cpSync(wasm, join(web, "openssl.wasm"));
  const onPage = new Map<string, (page: WebSocket) => void>();
  const server = await startServer({
    config,
    peers,
    files: web,
    onPage: (browser, page) => onPage.get(browser)?.(page),
  });

  let all = 0;
  const run = async (name: RuntimeName, suite: Suite) => {
    const started = Date.now();
    let tests = 0;
    const report: Report = (...result) => {
      tests++;
      all++;
      results.report(...result);
    };
    try {
      if (isBrowser(name)) {
        const page = new Promise<WebSocket>((resolve) => onPage.set(name, resolve));
        await runBrowser(name, await startBrowser(name, tools, server.origin), page, report);
      } else if (name === "workerd") await runWorkerd(server.origin, report);
      else
        await runChild(name, command(name, suite, { ...tools, bun }, server.origin), tools.chromium, report);
    } catch (error) {
      report(name, "the runtime itself", error);
    }
    if (tests === 0 && !options.grep) report(name, `test/${suite}`, new Error("not a single test ran"));
    console.log(`${name}, test/${suite}: ${tests} tests in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  };
  const runDrivers = async () => {
    if (!asked.includes("drivers") || options.grep) return;
    const started = Date.now();
    // The daemons that run as another user have their homes in it.
    const home = mkdtempSync(join(tmpdir(), "wassl-drivers-"));
    chmodSync(home, 0o755);
    process.once("exit", () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
    await tryClients(
      clients,
      { world: { tools, certs, folder: home }, folder },
      ({ client, engine, failure }) => results.report("drivers", `${client} in ${engine}`, failure),
    ).catch((error) => results.report("drivers", "the drivers themselves", error));
    console.log(`drivers: ${clients.length} clients in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  };
  const runMatrix = async () => {
    if (!matrix) return;
    const often = cells.filter((cell) => cell.often);
    const given = { tools, certs, modules: join(folder, "node_modules"), folder };
    const started = Date.now();
    await runCells(often, given, ({ cell, failure, leftOut }) => {
      if (leftOut) results.leaveOut(cell.name, leftOut);
      else results.report("matrix", cell.name, failure);
    }).catch((error) => results.report("matrix", "the matrix itself", error));
    console.log(`matrix: ${often.length} cells in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  };
  // All at once: much of a test is waiting, and a program that had to wait for another one would run alone at the end.
  // Only the samples and the matrix come behind, so that whole suites have no more to share the processor with.
  const later = programs.filter(({ name }) => isSampled(name));
  const runAll = (some: typeof programs) => some.map(({ name, suite }) => run(name, suite));
  await Promise.all([demo, ...runAll(programs.filter((each) => !later.includes(each)))]);
  await Promise.all([runMatrix().then(runDrivers), ...runAll(later)]);
  if (options.grep && all === 0)
    results.report("runner", "--grep", new Error(`no test has "${options.grep}" in its name`));
  server.close();
  peers.close();
}

/** The package reads its own openssl.wasm, the suite needs the network, and QUnit looks for its settings. */
const denoPermissions = [
  "--no-prompt",
  "--unstable-kv",
  "--allow-read=node_modules/wassl/dist,deno-blocking.js",
  "--allow-net=127.0.0.1",
  "--allow-env=qunit_config_*,NODE_DISABLE_COLORS,NO_COLOR,FORCE_COLOR,TERM",
];
const denoOffline = ["--no-remote", "--cached-only", "--node-modules-dir=manual"];

function command(
  name: Exclude<RuntimeName, BrowserName | "workerd">,
  suite: Suite,
  { deno, bun }: { deno: string; bun: string },
  origin: string,
): string[] {
  const programs = {
    node: [options.node, "--expose-gc", "--enable-source-maps"],
    bun: [bun, "--expose-gc"],
    deno: [process.execPath, deno, "run", ...denoPermissions, ...denoOffline, "--v8-flags=--expose-gc"],
  };
  return [...programs[name], join(folder, `${programName(targetOf(name), suite)}.js`), origin];
}

/** Turns the messages of a runtime into results. */
function listener(runtime: string, report: Report) {
  let current: string | undefined;
  let ended = false;
  return {
    receive(message: Message): void {
      if (message.type === "begin") current = message.name;
      else if (message.type === "test") {
        current = undefined;
        const { name, failures, milliseconds } = message;
        const limit = limits[runtime]?.[name];
        const why = typeof limit === "object" ? limit.atTimes : limit;
        if (why && failures.length > 0) results.leaveOut(`[${runtime}] ${name}`, why);
        else if (typeof limit === "string")
          report(runtime, name, `it passes, and is in test/runtimes/limits.ts: ${limit}`);
        else report(runtime, name, failures.length > 0 ? failures.join("\n\n") : undefined);
        if (milliseconds > 5000) console.log(`slow [${runtime}] ${name}: ${Math.round(milliseconds)} ms`);
      } else if (message.type === "error") report(runtime, "outside of any test", message.text);
      else ended = true;
    },
    /** When no more messages can come. */
    finish(how: string): void {
      if (!ended) report(runtime, current ?? "between tests", new Error(`${how} before the suite had ended`));
    },
  };
}

async function runChild(
  name: RuntimeName,
  command: string[],
  chromiumPath: string,
  report: Report,
): Promise<void> {
  const child = spawn(command[0]!, command.slice(1), {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...process.env,
      // For the suites that look at the sources too.
      WASSL_REPOSITORY: repository,
      WASSL_GREP: isSampled(name) && !options.grep ? SAMPLE : options.grep,
      WASSL_CHROMIUM: chromiumPath,
      DENO_DIR: join(folder, "deno-cache"),
      DENO_NO_UPDATE_CHECK: "1",
      NO_COLOR: "1",
    },
  });
  killAtEnd(child);
  // Chromium takes longest, and goes first.
  // Never up: a run that was started with less priority has no right to more.
  if (child.pid && getPriority() < 5) setPriority(child.pid, 5);
  const { receive, finish } = listener(name, report);
  let how = "the process exited";
  const timer = setTimeout(() => {
    how = `the process was killed after ${runtimeTimeout} ms,`;
    child.kill("SIGKILL");
  }, runtimeTimeout);
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith("\u0001")) receive(JSON.parse(line.slice(1)) as Message);
    else console.log(`[${name}] ${line}`);
  }
  const code = await exited;
  clearTimeout(timer);
  finish(`${how} (${code})`);
  if (code !== 0) report(name, "the exit code", new Error(`${name} exited with ${code}`));
}

/** A Worker has no output of its own: what it tells is the answer to a request. */
async function runWorkerd(origin: string, report: Report): Promise<void> {
  const { receive, finish } = listener("workerd", report);
  const config = join(folder, "workerd.capnp");
  cpSync(join(repository, "test", "runtimes", "workerd.capnp"), config);
  cpSync(join(folder, "node_modules/wassl/dist/binding/openssl.wasm"), join(folder, "openssl.wasm"));
  const port = await freePort();
  const program = createRequire(import.meta.url).resolve("workerd/bin/workerd");
  const child = start(program, ["serve", `--socket-addr=http=127.0.0.1:${port}`, config]);
  try {
    await waitForPort(port, child);
    const response = await fetch(`http://127.0.0.1:${port}/?origin=${encodeURIComponent(origin)}`, {
      signal: AbortSignal.timeout(runtimeTimeout),
    });
    for await (const line of createInterface({ input: Readable.fromWeb(response.body as ReadableStream) }))
      receive(JSON.parse(line) as Message);
    finish("the answer ended");
  } catch (error) {
    finish(`the answer failed (${(error as Error).message})`);
  } finally {
    child.kill();
  }
}

/** A test may open another page. */
async function startBrowser(name: BrowserName, tools: Tools, origin: string): Promise<Browser> {
  const sample = isSampled(name) && !options.grep ? `&sample=${encodeURIComponent(SAMPLE)}` : "";
  const url = `${origin}/?browser=${name}${sample}`;
  const profile = join(folder, name);
  if (name === "firefox") return startFirefox(tools.firefox(), profile, url);
  if (name === "webkit") {
    const { browser, xvfb } = tools.webkit();
    return startWebKit(browser, xvfb, profile, url);
  }
  // Logs say what pages write to their consoles.
  const flags = ["--js-flags=--expose-gc", "--disable-popup-blocking", "--enable-logging=stderr"];
  return startChromium(tools.chromium, profile, url, flags);
}

/** As long as its connection to us lasts, the page is there; nothing else would say that it crashed. */
async function runBrowser(
  name: BrowserName,
  child: Browser,
  page: Promise<WebSocket>,
  report: Report,
): Promise<void> {
  const { receive, finish } = listener(name, report);
  createInterface({ input: child.stderr }).on("line", (line) => {
    // Chromium tells itself of every failed connection as an error; failing is what many tests are about.
    if (line.includes(options.verbose ? "CONSOLE" : ":INFO:CONSOLE")) console.log(`[${name}] ${line}`);
  });
  const timers: NodeJS.Timeout[] = [];
  const after = (milliseconds: number, how: string) =>
    new Promise<string>((resolve) => {
      timers.push(setTimeout(() => resolve(how), milliseconds));
    });
  try {
    const exited = new Promise<string>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve(`${name} exited (${code ?? signal})`));
    });
    const connected = await Promise.race([
      page,
      exited,
      after(pageTimeout, `the page had not started after ${pageTimeout} ms`),
    ]);
    if (typeof connected === "string") return finish(connected);
    connected.on("message", (data) => receive(JSON.parse(String(data)) as Message));
    const closed = once(connected, "close").then(() => "the page was gone");
    finish(await Promise.race([closed, exited, after(runtimeTimeout, `${runtimeTimeout} ms had passed`)]));
  } finally {
    for (const timer of timers) clearTimeout(timer);
    child.kill("SIGKILL");
  }
}

/** The demo's own test brings its browser and servers along. */
async function runDemo(): Promise<void> {
  const file = join(repository, "test", "demo.test.ts");
  if (!existsSync(file)) return;
  let timer: NodeJS.Timeout | undefined;
  try {
    const { run } = (await import(pathToFileURL(file).href)) as { run(report: Report): Promise<void> };
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`not done after ${demoTimeout} ms`)), demoTimeout);
    });
    await Promise.race([run(results.report), timeout]);
  } catch (error) {
    results.report("demo", "the demo's test itself", error);
  }
  clearTimeout(timer);
}

/** The same seed; of the demo, the matrix and the drivers all of it, since they know no names. */
async function passesAlone(runtime: string, name: string): Promise<boolean> {
  if (!byDefault.includes(runtime)) return false;
  console.log(`again [${runtime}] ${name}`);
  const grep = runtimes.includes(runtime as RuntimeName) ? ["--grep", name] : [];
  const program = [
    ...process.execArgv,
    process.argv[1]!,
    "--runtime",
    runtime,
    "--seed",
    String(seed),
    ...grep,
  ];
  const child = spawn(process.execPath, program, { cwd: repository, stdio: "inherit" });
  killAtEnd(child);
  const [code] = await once(child, "exit");
  return code === 0;
}

// Should the event loop run dry in the middle, all is not well.
process.exitCode = 1;
try {
  await main();
  if (!whole && !options.quick && !options.grep) await results.again(passesAlone);
} catch (error) {
  results.report("runner", "the run itself", error);
}
process.exit(results.close());
