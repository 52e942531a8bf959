/**
 * The certificates, chains and forgeries of a run. They take seconds of processor time, so a run of a few tests may
 * take those of an earlier one.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { keyOf, newFolder } from "../kept.ts";
import { type CertFiles, type Certs, certFiles, makeCerts, publicOf } from "./certs.ts";
import { type Chains, makeChains } from "./chains.ts";
import { type Forged, makeForged } from "./forged.ts";
import { makeUnsupported, type Unsupported } from "./unsupported.ts";

const here = dirname(fileURLToPath(import.meta.url));
const cache = join(here, "..", "..", "node_modules", ".cache", "wassl-made");
/** What is made is good for a day at least, and some tests look some hours ahead. */
const MAX_AGE = 6 * 3_600_000;

export interface Made {
  seed: number;
  /** When, in milliseconds since 1970. */
  made: number;
  certs: CertFiles;
  chains: Promise<Chains>;
  forged: Forged;
  unsupported: Unsupported;
}

interface Kept extends Omit<Made, "certs" | "chains"> {
  certs: Certs;
  chains: Chains;
}

/** Makes all in `folder`. The chains come later. */
export function make(openssl: string, folder: string, seed: number): Made {
  const made = Date.now();
  const certs = makeCerts(openssl, join(folder, "certs"));
  const given = {
    givenRoot: certs.caPem,
    givenInter: certs.intermediatePem,
    expired: readFileSync(certs.file("expired", "cert"), "utf8"),
    notYetValid: readFileSync(certs.file("notYetValid", "cert"), "utf8"),
  };
  const chains = makeChains(openssl, join(folder, "chains"), given, seed);
  // Every use of it reports the failure.
  chains.catch(() => {});
  return { seed, made, certs, chains, forged: makeForged(folder), unsupported: makeUnsupported() };
}

/**
 * Those of an earlier run, of that seed if it is given; or else makes them, and keeps them for later runs. They are in
 * `folder` then, where peers look for them.
 */
export async function keptOrMade(openssl: string, folder: string, seed: number | undefined): Promise<Made> {
  mkdirSync(cache, { recursive: true });
  // Of all that has a say in what is made.
  const sources = [...readdirSync(here).map((name) => join(here, name)), join(here, "..", "der.ts")].sort();
  const key = keyOf([execFileSync(openssl, ["version"], { encoding: "utf8" })], sources);
  const entries = readdirSync(cache).map((name) => {
    const [, of, ofSeed, made] = /^(\w+)-(\d+)-(\d+)$/.exec(name) ?? [];
    return { name, of, seed: Number(ofSeed), made: Number(made ?? 0) };
  });
  const now = Date.now();
  const found = entries
    .filter(
      (each) => each.of === key && (seed === undefined || each.seed === seed) && each.made > now - MAX_AGE,
    )
    .sort((a, b) => b.made - a.made)[0];
  if (found) return load(join(cache, found.name), folder);
  // Another run may still be using what is a little too old.
  for (const { name, made } of entries)
    if (made < now - 4 * MAX_AGE && !name.startsWith("."))
      rmSync(join(cache, name), { recursive: true, force: true });

  const { folder: aside, keep } = newFolder(cache);
  const { certs, chains, ...made } = make(openssl, aside, seed ?? Math.floor(Math.random() * 2 ** 31));
  const kept: Kept = { ...made, certs: publicOf(certs), chains: await chains };
  writeFileSync(join(aside, "made.json"), JSON.stringify(kept));
  return load(keep(`${key}-${made.seed}-${made.made}`), folder);
}

function load(from: string, folder: string): Made {
  cpSync(from, folder, { recursive: true });
  const kept = JSON.parse(readFileSync(join(folder, "made.json"), "utf8")) as Kept;
  return {
    ...kept,
    certs: certFiles(kept.certs, join(folder, "certs")),
    chains: Promise.resolve(kept.chains),
  };
}
