/**
 * `npm run advisories`: are the pinned versions (wasm/openssl.lock: OpenSSL, and NSS for the roots) still the ones to have? Asks the
 * mirror that this machine's apt uses, by apt's own configuration, and compares with docs/advisories.md. What the mirror's index
 * names is not always to be had: only what can be fetched calls for something to be done. Ends with 1 when a newer patch
 * release of OpenSSL can be fetched, or the roots are older than 90 days.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { canAsk, debian, lock, newestFirst } from "./debian.ts";
import { advisoriesOf, compareVersions, type Found, type Release, verdict } from "./verdict.ts";

const project = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** "2:3.132-1" and "3.5.9-1~deb13u1" are 3.132 and 3.5.9 upstream. */
const upstream = (version: string) => version.replace(/^\d+:/, "").replace(/[-+~].*/, "");

function find(): Found {
  const { OPENSSL_VERSION: openssl = "", NSS_VERSION: nss = "", NSS_DATE: rootsDate = "" } = lock();
  const advisories = advisoriesOf(readFileSync(join(project, "docs", "advisories.md"), "utf8"));
  const found = { pinned: { openssl, nss: upstream(nss), rootsDate }, advisories, now: new Date() };
  if (!existsSync("/etc/debian_version") || !canAsk()) return found;

  const versionsOf = (command: string) =>
    newestFirst([...debian(command).text.matchAll(/^Version: (\S+)$/gm)].map(([, version]) => version!));
  /** Each upstream version once, with the newest package of it; asked for its files until one has them. */
  const newer = (
    versions: string[],
    than: string,
    fits: RegExp,
    fetch: (version: string) => string,
  ): Release[] => {
    const releases: Release[] = [];
    for (const version of versions) {
      const release = upstream(version);
      if (!fits.test(release) || compareVersions(release, than) <= 0) continue;
      if (releases.some(({ version }) => version === release)) continue;
      const fetched = debian(`cd "$(mktemp -d -p "$scratch")" && ${fetch(version)}`).ok;
      releases.push({ version: release, fetched });
      if (fetched) break;
    }
    return releases;
  };
  const series = new RegExp(`^${openssl.replace(/\.\d+$/, "").replaceAll(".", "\\.")}\\.\\d+$`);
  return {
    ...found,
    mirror: {
      openssl: newer(
        versionsOf("apt-cache showsrc openssl"),
        openssl,
        series,
        (v) => `apt-get -qq source --download-only 'openssl=${v}'`,
      ),
      nss: newer(
        versionsOf("apt-cache show libnss3"),
        upstream(nss),
        /^3\./,
        (v) => `apt-get -qq download 'libnss3=${v}'`,
      ),
    },
  };
}

const { lines, act } = verdict(find());
for (const line of lines) console.log(line);
process.exitCode = act ? 1 : 0;
