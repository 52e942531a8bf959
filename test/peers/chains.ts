/**
 * Makes the certificates of chain-cases.ts per run, with the `openssl` CLI, and asks its `openssl verify` of each case.
 * `test/contract/certificates/verify-chain.ts` compares.
 */
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { killAtEnd } from "../processes.ts";
import {
  type ChainCase,
  cliFlags,
  crls,
  crossCases,
  crossSigned,
  cases as fixedCases,
  type Recipe,
  randomCases,
  recipes,
  waysOf,
} from "./chain-cases.ts";

/** What `openssl verify` said: the failures in its order, up to the one with which it stopped, if it did. */
export interface CliVerdict {
  ok: boolean;
  failures: { code: number; depth: number }[];
}

export interface Chains {
  /** Certificates and CRLs by name, PEM. */
  pem: Record<string, string>;
  /** Of the certificates that are trusted in some case: the hash of the subject. */
  hashes: Record<string, string>;
  cases: Record<string, ChainCase & { cli: CliVerdict }>;
  /** Of some certificates their keys, PEM. */
  keys: Record<string, string>;
  /** Authorities that certify each other: whether `openssl verify` accepts one of the ways by itself. */
  crossed: (ChainCase & { good: boolean })[];
}

/**
 * Makes all, and asks the CLI, of `count` random cases too. `given` are certificates that exist: an expired one cannot
 * be made by all versions of it.
 */
export async function makeChains(
  openssl: string,
  folder: string,
  given: Record<string, string>,
  seed: number,
  count = 60,
): Promise<Chains> {
  const cases = { ...fixedCases, ...randomCases(seed, count) };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = (name: string) => join(folder, name);
  const read = (name: string) => readFileSync(path(name), "utf8");
  const pem: Record<string, string> = { ...given };
  for (const [name, text] of Object.entries(given)) writeFileSync(path(`${name}.pem`), text);
  const openssls = (all: string[][]) =>
    inShells(
      all.map((args) => [openssl, ...args]),
      folder,
    );

  writeFileSync(path("req.cnf"), "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\n");
  const serials = new Map<string, string>();
  const cross = crossSigned(seed);
  for (const level of [...recipes, ...cross.levels]) {
    await openssls(
      Object.entries(level).map(([name, recipe]) => {
        const { issuer = name, cn = name, keyOf = name, digest = "sha256", key, extensions, days } = recipe;
        if (keyOf === name) writeFileSync(path(`${name}.key`), newKey(key));
        const serial = (0x1000 + serials.size).toString(16).toUpperCase();
        serials.set(name, serial);
        // Left out, OpenSSL adds one; for a root there is no key identifier to add.
        const authority =
          issuer === name ? [] : [`authorityKeyIdentifier=${recipe.anonymousIssuer ? "none" : "keyid"}`];
        return [
          ...["req", "-x509", "-new", "-config", "req.cnf", "-key", `${keyOf}.key`, "-out", `${name}.pem`],
          ...["-subj", recipe.subject ?? `/O=Wassl chains/CN=${cn}`, "-set_serial", `0x${serial}`],
          ...["-days", `${days ?? (extensions.some((each) => each.includes("CA:TRUE")) ? 3650 : 30)}`],
          `-${digest}`,
          ...(issuer === name ? [] : ["-CA", `${issuer}.pem`, "-CAkey", `${issuer}.key`]),
          ...[...extensions, "subjectKeyIdentifier=hash", ...authority].flatMap((each) => ["-addext", each]),
        ];
      }),
    );
    for (const name of Object.keys(level)) pem[name] = read(`${name}.pem`);
  }

  await openssls(
    Object.entries(crls).map(([name, { issuer, signer = issuer, revokes, stale, older }]) => {
      // The database of `openssl ca`: status, expiry, revocation, serial, file, subject.
      const lines = revokes.map(
        (each) => `R\t491231235959Z\t200101000000Z\t${serials.get(each)}\tunknown\t/CN=x\n`,
      );
      writeFileSync(path(`${name}.txt`), lines.join(""));
      const ca = [`database=${name}.txt`, "default_md=sha256", "default_crl_days=30"];
      writeFileSync(path(`${name}.cnf`), ["[ca]", "default_ca=d", "[d]", ...ca, ""].join("\n"));
      return [
        ...["ca", "-gencrl", "-config", `${name}.cnf`, "-cert", `${signer}.pem`, "-keyfile", `${signer}.key`],
        ...(stale ? ["-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z"] : []),
        ...(older ? ["-crl_lastupdate", stamp(-1), "-crl_nextupdate", stamp(29)] : []),
        ...["-out", `${name}.pem`],
      ];
    }),
  );
  for (const name of Object.keys(crls)) pem[name] = read(`${name}.pem`);

  const ask = async (asked: ChainCase[]): Promise<CliVerdict[]> => {
    const questions = asked.map((each, i) => question(each, i));
    // It exits with 2 for a chain that is not accepted, and with 1 for a wrong command line.
    const answers = await openssls(questions);
    return answers.map(({ code, output }, i) => {
      const failures = [...output.matchAll(/^error (\d+) at (-?\d+) depth lookup/gm)].map((match) => ({
        code: Number(match[1]),
        depth: Number(match[2]),
      }));
      const ok = code === 0 && /: OK\s*$/.test(output);
      if (ok === failures.length > 0 || code === 1) {
        throw new Error(`openssl ${questions[i]!.join(" ")}: ${code}\n${output}`);
      }
      return { ok, failures };
    });
  };
  const question = (each: ChainCase, i: number) => {
    const file = (what: string, names: string[] = []) => {
      if (names.length === 0) return [];
      writeFileSync(path(`${i}${what}`), names.map((name) => pem[name]).join(""));
      return [what, `${i}${what}`];
    };
    const option = (what: string, value: string | number | undefined) =>
      value === undefined ? [] : [what, String(value)];
    const all = each.crls && !each.flags?.includes("X509_V_FLAG_CRL_CHECK");
    return [
      ...["verify", "-no-CAfile", "-no-CApath", "-no-CAstore"],
      ...file("-CAfile", each.roots),
      ...file("-untrusted", each.path ?? each.intermediates),
      ...file("-CRLfile", each.crls),
      ...(all ? ["-crl_check", "-crl_check_all"] : []),
      ...(each.flags ?? []).map((flag) => cliFlags[flag]!),
      ...(each.partialChain ? ["-partial_chain"] : []),
      ...(each.policies ?? []).flatMap((policy) => ["-policy", policy]),
      ...option("-verify_hostname", each.hostname),
      ...option("-verify_ip", each.ip),
      ...option("-verify_email", each.email),
      ...option("-attime", each.time),
      ...option("-verify_depth", each.depth),
      ...option("-purpose", each.purpose ?? "sslserver"),
      ...option("-auth_level", each.securityLevel ?? 2),
      `${each.leaf}.pem`,
    ];
  };
  const verdicts = await ask(Object.values(cases));
  const answered = Object.entries(cases).map(
    ([name, each], i) => [name, { ...each, cli: verdicts[i]! }] as const,
  );
  const answers = new Map(answered);

  // Of a random case another way may be good. It is found by leaving out what has the name of another, or one of them.
  const refused = answered.filter(([name, { cli }]) => name.startsWith("random") && !cli.ok);
  const others = refused.flatMap(([name, each]) =>
    lessOf(each.intermediates ?? []).map((path) => ({ name, ...each, path })),
  );
  for (const [i, cli] of (await ask(others)).entries()) {
    if (cli.ok) answers.set(others[i]!.name, { ...answers.get(others[i]!.name)!, cli });
  }

  const crossing = crossCases(seed, 60);
  const ways = waysOf(cross.edges);
  // Each way by itself, for each leaf and moment that there is.
  const kinds = new Map(crossing.map((each) => [`${each.leaf} ${each.time}`, each]));
  const single = [...kinds].flatMap(([kind, each]) =>
    ways.map((way) => ({ kind, way, asked: { ...each, intermediates: way } })),
  );
  const told = await ask(single.map(({ asked }) => asked));
  const crossed = crossing.map((each) => ({
    ...each,
    good: single.some(
      ({ kind, way }, i) =>
        told[i]!.ok &&
        kind === `${each.leaf} ${each.time}` &&
        way.every((one) => each.intermediates?.includes(one)),
    ),
  }));

  const trusted = [...new Set(Object.values(cases).flatMap((each) => each.roots))];
  const hashed = await openssls(
    trusted.map((name) => ["x509", "-in", `${name}.pem`, "-noout", "-subject_hash"]),
  );
  const hashes = Object.fromEntries(trusted.map((name, i) => [name, hashed[i]!.output.trim()]));
  const keys = Object.fromEntries(
    ["leaf", "cnOnly", "mailOnly", "crossed"].map((name) => [name, read(`${name}.key`)]),
  );
  return { pem, hashes, keys, crossed, cases: Object.fromEntries(answers) };
}

/** Without one of them; and with one alone of those that have the same name. */
function lessOf(names: string[]): string[][] {
  const made: Record<string, Recipe> = Object.fromEntries(recipes.flatMap((level) => Object.entries(level)));
  const cn = (name: string) => made[name]?.cn ?? name;
  let alone: string[][] = [[]];
  for (const group of new Set(names.map(cn))) {
    alone = alone.flatMap((picked) =>
      names.filter((name) => cn(name) === group).map((name) => [...picked, name]),
    );
  }
  return [...names.map((left) => names.filter((name) => name !== left)), ...(alone.length > 1 ? alone : [])];
}

/** So many days from now, as "20260131120000Z". */
function stamp(days: number): string {
  const iso = new Date(Date.now() + days * 86_400_000).toISOString();
  return `${iso.slice(0, 19).replace(/[-:T]/g, "")}Z`;
}

function newKey(kind: Recipe["key"] = "p256"): string {
  const { privateKey } = {
    p256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
    p384: () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
    ed25519: () => generateKeyPairSync("ed25519"),
    rsa1024: () => generateKeyPairSync("rsa", { modulusLength: 1024 }),
    rsapss: () => generateKeyPairSync("rsa-pss", { modulusLength: 2048 }),
  }[kind]();
  return privateKey.export({ type: "pkcs8", format: "pem" }) as string;
}

/** Runs all these commands, from two shells: starting each from here would cost as much as what it does. */
async function inShells(commands: string[][], cwd: string): Promise<{ code: number; output: string }[]> {
  const quote = (arg: string) => `'${arg.replaceAll("'", "'\\''")}'`;
  const lines = commands.map(
    (args, i) => `${args.map(quote).join(" ")} >${i}.out 2>&1 </dev/null; echo $? >${i}.code`,
  );
  const shell = (script: string) =>
    new Promise<void>((resolve, reject) => {
      killAtEnd(execFile("sh", ["-c", script], { cwd }, (error) => (error ? reject(error) : resolve())));
    });
  const half = Math.ceil(lines.length / 2);
  await Promise.all([shell(lines.slice(0, half).join("\n")), shell(lines.slice(half).join("\n"))]);
  return commands.map((args, i) => {
    const code = Number(readFileSync(join(cwd, `${i}.code`), "utf8"));
    const output = readFileSync(join(cwd, `${i}.out`), "utf8");
    if (code !== 0 && args[1] !== "verify") throw new Error(`${args.join(" ")}: ${code}\n${output}`);
    return { code, output };
  });
}
