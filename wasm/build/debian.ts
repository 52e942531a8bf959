/** Debian's archive as this machine's apt reaches it, and wasm/openssl.lock, for programs that are not build.sh. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { pinsOf } from "./lock.mjs";

const wasm = join(dirname(fileURLToPath(import.meta.url)), "..");
const scratch = mkdtempSync(join(tmpdir(), "wassl-debian-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

/** What wasm/openssl.lock pins. */
export const lock = () => pinsOf(join(wasm, "openssl.lock"));

let asked: boolean | undefined;

/** Whether there are an apt and a mirror that answers. Asks it once, for all suites where a release could be. */
export function canAsk(): boolean {
  if (asked !== undefined) return asked;
  const script = `
    main=$(debian_mirrors Debian | head -n 1) security=$(debian_mirrors Debian-Security | head -n 1)
    [[ -n $main ]] || exit 1
    lines=()
    for suite in "$DEBIAN_SUITE" "$DEBIAN_SUITE-updates" forky sid; do lines+=("deb $main $suite main" "deb-src $main $suite main"); done
    [[ -z $security ]] || lines+=("deb $security $DEBIAN_SUITE-security main" "deb-src $security $DEBIAN_SUITE-security main")
    debian_apt_with "\${lines[@]}"
    compgen -G "$scratch/apt/lists/*Sources*" >/dev/null`;
  asked = bash(script).status === 0;
  return asked;
}

/** Runs a line of shell in which apt's tools see those suites. */
export function debian(line: string): { ok: boolean; text: string } {
  if (!canAsk()) return { ok: false, text: "no Debian mirror answers" };
  const { status, stdout, stderr } = bash(`export APT_CONFIG=$scratch/apt/apt.conf; ${line}`);
  return { ok: status === 0, text: `${stdout}${stderr}` };
}

function bash(script: string) {
  const before = 'scratch=$1; . "$2/openssl.lock"; . "$2/build/toolchain.sh"; ';
  // No answer within two minutes is none.
  return spawnSync("bash", ["-c", before + script, "debian", scratch, wasm], {
    encoding: "utf8",
    timeout: 120_000,
  });
}

/** By Debian's own order, greatest first. */
export function newestFirst(versions: Iterable<string>): string[] {
  const isGreater = (a: string, b: string) =>
    spawnSync("dpkg", ["--compare-versions", a, "gt", b]).status === 0;
  return [...new Set(versions)].sort((a, b) => (a === b ? 0 : isGreater(a, b) ? -1 : 1));
}
