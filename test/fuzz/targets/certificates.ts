/**
 * Chains of certificates and revocation lists: trees that are changed and, mostly, signed again, so that all behind the
 * signature sees them.
 */
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { type OpenSsl, type VerifyChainOptions, type VerifyFlag, verifyChain } from "wassl";
import { canonical, clone, type Der, flatten, mutate, parse, write } from "../der.ts";
import { equal } from "../dice.ts";
import * as pki from "../pki.ts";
import { attempt, attemptAsync, Failure, insist, note, type Run, type Target } from "../target.ts";

const HOST = "host.example";
const LEAF = 4_711;

interface Chain {
  keys: Record<"leaf" | "intermediate" | "root" | "stranger", pki.Key>;
  leaf: Der;
  intermediate: Der;
  root: Der;
  /** Of the intermediate: that revokes the leaf, and that does not. */
  revoked: Der;
  clean: Der;
  rootCrl: Der;
}

export function makeChain(name: string, kind: "ec" | "ed" | "rsa"): Chain {
  const make = (whose: string): pki.Key => {
    if (kind === "ec") return pki.ecKey(`${name} ${whose}`);
    if (kind === "ed") return pki.edKey(`${name} ${whose}`);
    return pki.rsaKey(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey, parse);
  };
  const keys = {
    leaf: make("leaf"),
    intermediate: make("intermediate"),
    root: make("root"),
    stranger: make("stranger"),
  };
  const root = { cn: `${name} root`, key: keys.root };
  const intermediate = { cn: `${name} intermediate`, key: keys.intermediate };
  return {
    keys,
    root: pki.certificate({ ...root, issuer: root, serial: 1, ca: true }),
    intermediate: pki.certificate({ ...intermediate, issuer: root, serial: 2, ca: true }),
    leaf: pki.certificate({
      cn: HOST,
      key: keys.leaf,
      issuer: intermediate,
      serial: LEAF,
      ca: false,
      hostname: HOST,
    }),
    revoked: pki.crl(intermediate, [1, LEAF, 9_999]),
    clean: pki.crl(intermediate, [1, 9_999]),
    rootCrl: pki.crl(root, [77]),
  };
}

export const serialOfLeaf = LEAF;
export const hostOfLeaf = HOST;

const FLAGS: readonly VerifyFlag[] = [
  "X509_V_FLAG_X509_STRICT",
  "X509_V_FLAG_POLICY_CHECK",
  "X509_V_FLAG_EXPLICIT_POLICY",
  "X509_V_FLAG_EXTENDED_CRL_SUPPORT",
  "X509_V_FLAG_USE_DELTAS",
  "X509_V_FLAG_PARTIAL_CHAIN",
  "X509_V_FLAG_TRUSTED_FIRST",
  "X509_V_FLAG_CHECK_SS_SIGNATURE",
  "X509_V_FLAG_NO_ALT_CHAINS",
  "X509_V_FLAG_ALLOW_PROXY_CERTS",
];

/** Reads all that a certificate says about itself; its bytes, written again, are read as the same. */
export function look(openssl: OpenSsl, bytes: Uint8Array): void {
  const parsed = attempt("parseX509", () => openssl.parseX509(bytes));
  if (!parsed) return;
  attempt("the fields of a certificate", () =>
    JSON.stringify([
      ...[
        parsed.subject,
        parsed.issuer,
        parsed.subjectAltName,
        parsed.serialNumber,
        parsed.publicKey,
        parsed.pem,
      ],
      ...[parsed.notBefore.getTime(), parsed.notAfter.getTime(), parsed.sha1Fingerprint, parsed.publicKeyDer],
    ]),
  );
  const again = attempt("parseX509 of what it wrote", () => openssl.parseX509(parsed.der));
  insist(again !== undefined, "a certificate that was read is not read again");
  insist(equal(again.der, parsed.der), "a certificate is another one when it was written and read again");
}

/** An accepted chain, judged by Node.js's OpenSSL and by what a certificate says. */
function secondOpinion(
  leaf: Uint8Array,
  intermediate: Uint8Array,
  chain: Chain,
  hostname: string | undefined,
): void {
  let node: { leaf: X509Certificate; intermediate: X509Certificate; root: X509Certificate };
  try {
    node = {
      leaf: new X509Certificate(leaf),
      intermediate: new X509Certificate(intermediate),
      root: new X509Certificate(write(chain.root)),
    };
  } catch {
    // Node.js reads the DER form alone; what is accepted in another one is judged by its signature.
    return;
  }
  insist(
    node.leaf.verify(node.intermediate.publicKey),
    "accepted, but Node.js says the leaf's signature is wrong",
  );
  insist(
    node.intermediate.verify(node.root.publicKey),
    "accepted, but Node.js says the intermediate's signature is wrong",
  );
  insist(node.intermediate.ca, "accepted, but Node.js says the intermediate is no CA");
  const now = Date.now();
  for (const each of [node.leaf, node.intermediate]) {
    insist(!(Date.parse(each.validFrom) > now), "accepted, but Node.js says it is not valid yet");
    insist(!(Date.parse(each.validTo) < now), "accepted, but Node.js says it has expired");
  }
  if (hostname === undefined) return;
  const found = node.leaf.checkHost(hostname, { subject: "never", partialWildcards: false });
  insist(found !== undefined, "accepted, but Node.js says the name is another one");
}

function prepare(openssl: OpenSsl, seed: number) {
  const chains = [
    makeChain(`${seed} ec`, "ec"),
    makeChain(`${seed} ed`, "ed"),
    makeChain(`${seed} rsa`, "rsa"),
  ];
  const judge = (options: Omit<VerifyChainOptions, "openssl">) => verifyChain({ ...options, openssl });
  const given = (chain: Chain) => ({
    leaf: write(chain.leaf),
    intermediates: write(chain.intermediate),
    roots: write(chain.root),
    hostname: HOST,
  });
  return { chains, judge, given };
}

/** The instance judges as it did: what was good is good, and nothing else became so. */
export async function startSentinel(openssl: OpenSsl, seed: number): Promise<() => Promise<void>> {
  const chain = makeChain(`${seed} sentinel`, "ec");
  const good = {
    leaf: write(chain.leaf),
    intermediates: write(chain.intermediate),
    roots: write(chain.root),
    openssl,
  };
  const forged = clone(chain.leaf);
  pki.resign(forged, chain.keys.stranger);
  const crls = [write(chain.rootCrl), write(chain.revoked)];
  const questions: [string, VerifyChainOptions, boolean][] = [
    ["a good chain", { ...good, hostname: HOST }, true],
    ["a forged leaf", { ...good, leaf: write(forged), hostname: HOST }, false],
    ["another name", { ...good, hostname: "other.example" }, false],
    ["a revoked leaf", { ...good, hostname: HOST, crls }, false],
    ["no trust anchor", { ...good, roots: [], hostname: HOST }, false],
  ];
  let turn = 0;
  const ask = async ([what, options, expected]: (typeof questions)[number]) => {
    const { ok } = await verifyChain(options);
    insist(ok === expected, `afterwards ${what} is ${ok ? "accepted" : "refused"}`);
  };
  for (const question of questions) await ask(question);
  return async () => {
    await ask(questions[0]!);
    turn = (turn + 1) % questions.length;
    await ask(questions[turn]!);
  };
}

const elements = pki.pool();

export const certificates: Target = {
  name: "certificates",
  share: 24,
  start(openssl, seed): Run {
    const { chains, judge, given } = prepare(openssl, seed);
    return async (dice) => {
      const chain = dice.pick(chains);
      const which = dice.pick(["leaf", "leaf", "intermediate", "intermediate", "root"] as const);
      const tree = clone(chain[which]);
      // What is signed, or all of it.
      mutate(dice.chance(0.8) ? tree.kids![0]! : tree, dice, elements);
      const issuer = { leaf: chain.keys.intermediate, intermediate: chain.keys.root, root: chain.keys.root }[
        which
      ];
      const again = dice.chance(0.75);
      if (again) pki.resign(tree, issuer);
      let bytes = write(tree);
      if (dice.chance(0.05)) bytes = dice.garble(bytes);
      note(which, bytes);
      look(openssl, bytes);
      const base = given(chain);
      const field = { leaf: "leaf", intermediate: "intermediates", root: "roots" } as const;
      const flags = FLAGS.filter(() => dice.chance(0.08));
      const hostname = dice.chance(0.8) ? HOST : dice.pick([`a.${HOST}`, "127.0.0.1", "localhost"]);
      const verdict = await attemptAsync("verifyChain", () =>
        judge({ ...base, hostname, [field[which]]: bytes, flags }),
      );
      if (!verdict?.ok || which === "root") return;
      const original = write(chain[which]);
      if (!again && !equal(bytes, original)) {
        const harmless = canonical(bytes);
        insist(
          harmless !== undefined && equal(harmless, canonical(original)!),
          "changed, not signed again, and accepted",
        );
      }
      if (flags.length > 0) return;
      const named = /^[\d.]+$/.test(hostname) ? undefined : hostname;
      secondOpinion(
        which === "leaf" ? bytes : base.leaf,
        which === "intermediate" ? bytes : base.intermediates,
        chain,
        named,
      );
    };
  },
};

export const revocationLists: Target = {
  name: "revocation lists",
  share: 9,
  start(openssl, seed): Run {
    const { chains, judge, given } = prepare(openssl, seed);
    return async (dice) => {
      const chain = dice.pick(chains);
      const revokes = dice.chance(0.6);
      const base = revokes ? chain.revoked : chain.clean;
      const tree = clone(base);
      const again = dice.chance(0.7);
      // The entries stay where the leaf must stay revoked.
      const what = tree.kids![0]!;
      const kept = revokes && again ? what.kids![5]! : undefined;
      if (kept) what.kids!.splice(5, 1);
      mutate(dice.chance(0.8) ? what : tree, dice, elements);
      if (kept) {
        const at = what.kids?.findIndex(({ tag }) => tag[0] === 0xa0) ?? -1;
        what.kids?.splice(at < 0 ? what.kids.length : at, 0, kept);
      }
      if (again) pki.resign(tree, chain.keys.intermediate);
      const bytes = write(tree);
      note("the list", bytes);
      const flags = FLAGS.filter((flag) => dice.chance(/CRL|DELTA/.test(flag) ? 0.3 : 0.03));
      const crls = [write(chain.rootCrl), bytes, ...(dice.chance(0.1) ? [write(chain.revoked)] : [])];
      const verdict = await attemptAsync("verifyChain with revocation lists", () =>
        judge({ ...given(chain), crls, flags }),
      );
      if (!verdict?.ok) return;
      const same = canonical(bytes);
      if (!again && !(same && equal(same, canonical(write(base))!)))
        throw new Failure("a list that is not signed is believed");
      if (!kept) return;
      // An indirect list speaks of others' certificates; nothing else makes the entry that is there another one.
      const untouched = flatten(tree).includes(kept) && what.kids?.includes(kept);
      insist(!untouched, "the leaf is revoked, and accepted");
    };
  },
};

/**
 * An attacker has certificates of CAs that are like honest ones: of the same name, or key, or nearly. A client that
 * trusts the attacker's CAs accepts what they issue. A client that trusts the honest CA must not, whatever was judged
 * before.
 */
export const impostors: Target = {
  name: "impostors",
  share: 4,
  start(openssl, seed): Run {
    const { chains, judge, given } = prepare(openssl, seed);
    return async (dice) => {
      const chain = dice.pick(chains);
      const honest = given(chain);
      const elliptic = chain === chains[0];
      const key =
        elliptic && dice.chance(0.6)
          ? pki.twin(chain.keys.intermediate)
          : { ...chain.keys.stranger, id: pki.keyId(chain.keys.intermediate) };
      const cn = `${seed} ${["ec", "ed", "rsa"][chains.indexOf(chain)]}`;
      const issuer = { cn: `${cn} intermediate`, key };
      // Signed by a CA that is not trusted, by itself, or with what the honest one has for a signature.
      const signer = dice.chance(0.5) ? { cn: `${cn} root`, key: chain.keys.stranger } : issuer;
      const impostor = pki.certificate({ ...issuer, issuer: signer, serial: dice.pick([2, 3]), ca: true });
      if (dice.chance(0.3)) impostor.kids![2] = clone(chain.intermediate.kids![2]!);
      const hostname = HOST;
      const leaf = write(
        pki.certificate({
          cn: HOST,
          key: chain.keys.stranger,
          issuer,
          serial: 100_000 + dice.below(900_000),
          ca: false,
          hostname,
        }),
      );
      if (dice.chance(0.3)) mutate(impostor.kids![0]!, dice, elements);
      const theirs = write(impostor);
      note("the impostor", theirs);
      note("its leaf", leaf);
      for (let count = 1 + dice.below(3); count > 0; count--) {
        const options = dice.pick([
          { ...honest, leaf, intermediates: theirs },
          { ...honest, leaf, intermediates: [theirs, honest.intermediates] },
          { leaf, roots: theirs, hostname, partialChain: true },
          { leaf, roots: [theirs, honest.roots], hostname, partialChain: true, purpose: "any" as const },
        ]);
        await attemptAsync("verifyChain with an impostor", () => judge(options));
      }
      for (const intermediates of [honest.intermediates, [theirs, honest.intermediates]]) {
        const verdict = await attemptAsync("verifyChain", () => judge({ ...honest, leaf, intermediates }));
        insist(!verdict?.ok, "what an impostor issued is accepted");
      }
    };
  },
};
