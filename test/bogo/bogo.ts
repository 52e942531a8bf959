/**
 * `npm run bogo`: BoringSSL's own tests of TLS, with `startTls` and `acceptTls` in place of BoringSSL.
 *
 *     npm run bogo -- [--test "GLOB;GLOB"] [--workers N]
 *
 * The runner is part of Debian's source package of BoringSSL, and is compiled by Debian's Go. Which tests say nothing
 * here, and which end otherwise and why, is in known.ts; any other failure is an exit code of 1. All tests run in this
 * process, each in an instance of OpenSSL of its own.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { OpenSsl } from "wassl/openssl";
import { canAsk, debian } from "../../wasm/build/debian.ts";
import { killAtEnd } from "../processes.ts";
import { excluded, known } from "./known.ts";
import { shim } from "./shim.ts";

const PACKAGE = "android-platform-external-boringssl";
const VERSION = "14.0.0+r45";
const SHA256 = "f9223e8c15ad5d9e3f1cd50861f4c272658864661e2332bea5d60952aa0930cd";
/** What the runner imports beside Go's own library. */
const MODULES = ["golang-golang-x-crypto-dev", "golang-golang-x-sys-dev"];

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: { test: { type: "string", default: "" }, workers: { type: "string", default: "2" } },
});

const cache = join(
  process.env.XDG_CACHE_HOME || join(homedir(), ".cache"),
  "wassl",
  "bogo",
  `${VERSION}-${SHA256.slice(0, 8)}`,
);
const folder = mkdtempSync(join(tmpdir(), "wassl-bogo-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

/** The runner's sources, its modules and itself. */
function ensureRunner(): string {
  if (existsSync(join(cache, "runner"))) return cache;
  if (!canAsk()) throw new Error("no Debian mirror answers, which BoGo's sources come from");
  const made = mkdtempSync(join(tmpdir(), "wassl-bogo-"));
  const get = (line: string) => {
    const { ok, text } = debian(`cd ${made} && ${line}`);
    if (!ok) throw new Error(`${line}: ${text}`);
    return text;
  };
  const versions = get(`apt-cache showsrc ${PACKAGE}`).matchAll(/^Version: (\S+)$/gm);
  const version = [...versions].map(([, each]) => each!).find((each) => each.startsWith(VERSION));
  if (version === undefined) throw new Error(`Debian has no ${PACKAGE} ${VERSION} any more`);
  console.log(`bogo: fetching ${PACKAGE} ${version} (30 MB)`);
  get(`apt-get -qq source --download-only --tar-only ${PACKAGE}=${version}`);
  const archive = readdirSync(made).find((name) => name.endsWith(".orig.tar.xz"));
  if (archive === undefined) throw new Error(`${PACKAGE} ${version} came without an archive`);
  const sum = createHash("sha256")
    .update(readFileSync(join(made, archive)))
    .digest("hex");
  if (sum !== SHA256) throw new Error(`${archive} has the checksum ${sum}`);
  const root = join(made, "gopath", "src", "boringssl.googlesource.com", "boringssl");
  mkdirSync(root, { recursive: true });
  const parts = ["*/src/ssl/test/runner", "*/src/util/testresult"];
  execFileSync("tar", [
    "xf",
    join(made, archive),
    "-C",
    root,
    "--strip-components=2",
    "--wildcards",
    ...parts,
  ]);
  rmSync(join(made, archive));
  for (const each of MODULES) {
    // Of the machine's own suite, as its Go is.
    execFileSync("apt-get", ["-qq", "download", each], { cwd: made, stdio: "inherit" });
    const file = readdirSync(made).find((name) => name.startsWith(each) && name.endsWith(".deb"));
    execFileSync("dpkg-deb", ["-x", join(made, file!), made]);
  }
  const environment = {
    ...process.env,
    GO111MODULE: "off",
    GOFLAGS: "",
    GOPATH: `${join(made, "gopath")}:${join(made, "usr", "share", "gocode")}`,
  };
  const go = (args: string[], cwd: string) =>
    execFileSync("go", args, { cwd, env: environment, stdio: "inherit" });
  go(["test", "-c", "-o", join(made, "runner"), "."], join(root, "ssl", "test", "runner"));
  mkdirSync(dirname(cache), { recursive: true });
  execFileSync("cp", ["-r", made, `${cache}.${process.pid}`]);
  rmSync(made, { recursive: true });
  renameSync(`${cache}.${process.pid}`, cache);
  return cache;
}

/** Go, which Debian has. */
function ensureGo(): void {
  try {
    execFileSync("go", ["version"], { stdio: "ignore" });
  } catch {
    if (process.getuid?.() !== 0) throw new Error("BoGo needs Go: on Debian, apt-get install golang-go");
    console.log("bogo: installing golang-go");
    execFileSync("apt-get", ["-qq", "install", "-y", "--no-install-recommends", "golang-go"], {
      stdio: "inherit",
    });
  }
}

interface Results {
  tests: Record<string, { actual: string }>;
}

async function main(): Promise<number> {
  ensureGo();
  const runner = ensureRunner();
  execFileSync("go", ["build", "-o", join(folder, "shim"), join(here, "shim.go")], { stdio: "inherit" });
  const module = await OpenSsl.compile();
  const socket = join(folder, "socket");
  const server = createServer({ allowHalfOpen: true }, (conn) => {
    conn.on("error", () => {});
    createInterface({ input: conn }).once("line", async (line) => {
      conn.end(`${JSON.stringify(await shim(JSON.parse(line) as string[], module))}\n`);
    });
  }).listen(socket);
  await once(server, "listening");

  const config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify({ DisabledTests: excluded, HalfRTTTickets: 0 }));
  const output = join(folder, "results.json");
  const sources = join(runner, "gopath/src/boringssl.googlesource.com/boringssl/ssl/test/runner");
  const child = spawn(
    join(runner, "runner"),
    [
      ...["-shim-path", join(folder, "shim"), "-shim-config", config, "-json-output", output],
      ...[
        ...["-resource-dir", sources, "-idle-timeout", "60s"],
        "-loose-errors",
        "-allow-unimplemented",
        "-pipe",
        "-num-workers",
        values.workers,
        "-test.timeout",
        "30m",
      ],
      ...(values.test ? ["-test", values.test] : []),
    ],
    { cwd: sources, env: { ...process.env, BOGO_SOCKET: socket }, stdio: ["ignore", "pipe", "pipe"] },
  );
  killAtEnd(child);
  const said = new Map<string, string>();
  let failing: string | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      const [, name] = /^FAILED \((.*)\)$/.exec(line) ?? [];
      if (name !== undefined) failing = name;
      else if (/^(PASSED|UNIMPLEMENTED|STARTED)/.test(line)) failing = undefined;
      else if (failing !== undefined) said.set(failing, `${said.get(failing) ?? ""}    ${line}\n`);
    });
  }
  await once(child, "close");
  server.close();
  if (!existsSync(output)) throw new Error(`the runner has said nothing: ${[...said.values()].join("")}`);

  const { tests } = JSON.parse(readFileSync(output, "utf8")) as Results;
  const of = (actual: string) => Object.keys(tests).filter((name) => tests[name]!.actual === actual);
  const [passed, failed, unimplemented] = [of("PASS"), of("FAIL"), of("SKIP")];
  const reasonOf = (name: string) => known.find(({ tests }) => tests.test(name))?.why;
  const unknown = failed.filter((name) => reasonOf(name) === undefined);
  for (const name of unknown) console.log(`FAIL ${name}\n${said.get(name) ?? ""}`);
  for (const { tests, why } of known) {
    const count = failed.filter((name) => tests.test(name)).length;
    if (count > 0) console.log(`otherwise than BoringSSL, ${count}: ${why}`);
    else if (!values.test) console.log(`none ends otherwise any more: ${why} (${tests})`);
  }
  console.log(
    `bogo: ${passed.length} passed, ${failed.length - unknown.length} known to end otherwise, ` +
      `${unimplemented.length} for what this package lacks, ${unknown.length} failed`,
  );
  return unknown.length === 0 && passed.length > 0 ? 0 : 1;
}

process.exitCode = 1;
process.exit(await main());
