/** Debian's archive, as this machine's apt reaches it. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { outputOf } from "./run.mjs";

/** What Debian's archive is signed with. */
export const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * The mirrors that this machine's apt uses for the archive with that label ("Debian", "Debian-Security"). Asking apt and not the
 * files under /etc/apt: it knows both their formats, and origin and label tell third-party repositories apart.
 *
 * @param {string} label
 * @returns {string[]}
 */
export function mirrorsOf(label) {
  const format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
  const asked = () => outputOf(["apt-get", "indextargets", "--format", format, "Created-By: Packages"]) ?? "";
  let targets = asked();
  if (!targets.includes("Debian|") && process.getuid?.() === 0) {
    // A fresh image has no index yet.
    outputOf(["apt-get", "-qq", "update"], { quiet: false });
    targets = asked();
  }
  const mirrors = targets.split("\n").flatMap((line) => {
    const [origin, of, address = ""] = line.split("|");
    return origin === "Debian" && of === label && /^https?:/.test(address) ? [address] : [];
  });
  return [...new Set(mirrors)];
}

/**
 * What makes apt's tools see these lines of a sources.list, and all else (proxy, keys) as the machine has it: an environment to run
 * them with. Nothing of the machine's own state is touched. A line that the mirror does not know is skipped.
 *
 * @param {string} folder where apt keeps its state; made anew
 * @param {string[]} lines
 * @returns {{ APT_CONFIG: string }}
 */
export function aptWith(folder, lines) {
  rmSync(folder, { recursive: true, force: true });
  for (const name of ["lists/partial", "cache/archives/partial"])
    mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, "sources.list"), lines.map((line) => `${line}\n`).join(""));
  const config = join(folder, "apt.conf");
  writeFileSync(
    config,
    `Dir::Etc::sourcelist "${folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "${folder}/lists";
Dir::Cache "${folder}/cache";
APT::Sandbox::User "root";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
`,
  );
  const env = { APT_CONFIG: config };
  outputOf(["apt-get", "-qq", "update"], { env });
  return env;
}
