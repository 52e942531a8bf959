/** What `npm run advisories` makes of what it finds, without asking anybody. */

/** How old the roots may be, in days. */
export const MAX_AGE = 90;

export interface Advisory {
  cve: string;
  fixedIn: string;
  reachable: boolean;
  how: string;
  test: string;
}

/** The rows of docs/advisories.md. */
export function advisoriesOf(markdown: string): Advisory[] {
  return markdown.split("\n").flatMap((line) => {
    const [cve = "", , , fixedIn = "", reachable, how = "", test = ""] = line
      .split("|")
      .slice(1)
      .map((cell) => cell.trim());
    return /^CVE-\d+-\d+$/.test(cve) ? [{ cve, fixedIn, reachable: reachable === "yes", how, test }] : [];
  });
}

/** Less than 0 when the first is the older one. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  const at = left!.findIndex((n, i) => n !== (right![i] ?? 0));
  return at < 0 ? left!.length - right!.length : left![at]! - (right![at] ?? 0);
}

export interface Found {
  pinned: { openssl: string; nss: string; rootsDate: string };
  advisories: readonly Advisory[];
  now: Date;
  /** What the mirror says: newer releases of the pinned series, newest first. Undefined when it was not reached. */
  mirror?: { openssl: readonly Release[]; nss: readonly Release[] } | undefined;
}

export interface Release {
  version: string;
  /** The mirror has the files, too. */
  fetched: boolean;
}

/** What to say, and whether there is something to be done. */
export function verdict({ pinned, advisories, now, mirror }: Found): { lines: string[]; act: boolean } {
  const lines: string[] = [];
  let act = false;
  const say = (line: string) => lines.push(line);
  const report = (what: string, version: string, newer: readonly Release[], must: boolean) => {
    const [named] = newer;
    const fetchable = newer.find(({ fetched }) => fetched);
    if (!named) say(`${what} ${version}: the mirror names nothing newer`);
    if (named && !named.fetched)
      say(`${what} ${version}: the mirror's index NAMES ${named.version}, but its files CANNOT BE FETCHED`);
    if (fetchable) {
      say(
        `${what} ${version}: ${fetchable.version} CAN BE FETCHED; the pin in wasm/openssl.lock should move`,
      );
      act ||= must;
    }
  };
  if (mirror) {
    report("OpenSSL", pinned.openssl, mirror.openssl, true);
    report("NSS (roots)", pinned.nss, mirror.nss, false);
  } else {
    say(
      `OpenSSL ${pinned.openssl}, NSS ${pinned.nss}: offline, no mirror answers; what is newest is not known`,
    );
  }
  const open = advisories.filter(({ fixedIn }) => compareVersions(fixedIn, pinned.openssl) > 0);
  const mended = open
    .filter(({ reachable }) => reachable)
    .map(({ cve }) => cve)
    .sort();
  say(
    `docs/advisories.md: ${open.length} CVEs since ${pinned.openssl}, ${mended.length} of them reachable, mended by patches: ${mended.join(", ")}`,
  );
  const newest = open
    .map(({ fixedIn }) => fixedIn)
    .sort(compareVersions)
    .at(-1);
  if (newest) say(`docs/advisories.md knows of releases up to ${newest}`);
  const unknown = mirror?.openssl[0]?.version;
  if (unknown !== undefined && compareVersions(unknown, newest ?? pinned.openssl) > 0) {
    say(`docs/advisories.md does NOT YET say what ${unknown} mends`);
  }
  const age = Math.floor((now.getTime() - Date.parse(pinned.rootsDate)) / 86_400_000);
  const old = age > MAX_AGE;
  say(
    `roots: of ${pinned.rootsDate}, ${age} days old${old ? `, MORE THAN ${MAX_AGE}: they are to be renewed` : ""}`,
  );
  say(act || old ? "verdict: something is to be done" : "verdict: nothing to be done");
  return { lines, act: act || old };
}
