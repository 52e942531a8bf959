/** Debian's archive as this machine's apt reaches it, and wasm/openssl.lock, for programs that are not build.sh. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { aptWith, mirrorsOf } from "./debian.mjs";
import { pinsOf } from "./lock.mjs";

const wasm = join(dirname(fileURLToPath(import.meta.url)), "..");
const scratch = mkdtempSync(join(tmpdir(), "wassl-debian-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

/** What wasm/openssl.lock pins. */
export const lock = () => pinsOf(join(wasm, "openssl.lock"));

let apt: { APT_CONFIG: string } | undefined;

/** Whether there are an apt and a mirror that answers. Asks it once, for all suites where a release could be. */
export function canAsk(): boolean {
  apt ??= aptWith(join(scratch, "apt"), lines());
  return readdirSync(join(scratch, "apt", "lists")).some((name) => name.includes("Sources"));
}

/** Of a sources.list: the pinned suite with its updates, and what comes after it. */
function lines(): string[] {
  const { DEBIAN_SUITE: suite = "" } = lock();
  const [main] = mirrorsOf("Debian");
  const [security] = mirrorsOf("Debian-Security");
  const places = [
    ...(main ? [suite, `${suite}-updates`, "forky", "sid"].map((name) => `${main} ${name}`) : []),
    ...(main && security ? [`${security} ${suite}-security`] : []),
  ];
  return places.flatMap((place) => [`deb ${place} main`, `deb-src ${place} main`]);
}

/** Runs a line of shell in which apt's tools see those suites; $scratch is a folder for what they fetch. */
export function debian(line: string): { ok: boolean; text: string } {
  if (!canAsk()) return { ok: false, text: "no Debian mirror answers" };
  // No answer within two minutes is none.
  const { status, stdout, stderr } = spawnSync("bash", ["-c", line], {
    encoding: "utf8",
    timeout: 120_000,
    env: { ...process.env, ...apt, scratch },
  });
  return { ok: status === 0, text: `${stdout}${stderr}` };
}

/** By Debian's own order, greatest first. */
export function newestFirst(versions: Iterable<string>): string[] {
  const isGreater = (a: string, b: string) =>
    spawnSync("dpkg", ["--compare-versions", a, "gt", b]).status === 0;
  return [...new Set(versions)].sort((a, b) => (a === b ? 0 : isGreater(a, b) ? -1 : 1));
}
