/** The chains of this run (test/peers/chains.ts), as options of `verifyChain`. */
import { OpenSsl, type VerifyChainOptions, type VerifyFlag, type VerifyResult } from "wassl";
import type * as ssl from "wassl/openssl";
import type { ChainCase } from "../peers/chain-cases.ts";
import { env } from "./env.ts";

let loaded: Promise<OpenSsl> | undefined;

/** One instance for all tests that verify chains. */
export function openssl(): Promise<OpenSsl> {
  loaded ??= OpenSsl.load();
  return loaded;
}

export const pem = (name: string) => {
  const found = env.chains.pem[name];
  if (found === undefined) throw new Error(`there is no certificate "${name}"`);
  return found;
};

export async function optionsOf(each: ChainCase): Promise<VerifyChainOptions> {
  const { leaf, intermediates = [], roots, crls, time, purpose, flags } = each;
  const { hostname, ip, email, depth, partialChain, policies, securityLevel } = each;
  return {
    ...(hostname === undefined ? {} : { hostname }),
    ...(ip === undefined ? {} : { ip }),
    ...(email === undefined ? {} : { email }),
    ...{ depth, partialChain, policies },
    ...(securityLevel === undefined ? {} : { securityLevel }),
    openssl: await openssl(),
    // `openssl verify` cannot be told to compare names as RFC 9525 says.
    unsafelyAllowLegacyNames: true,
    leaf: pem(leaf),
    intermediates: intermediates.map(pem),
    roots: roots.map(pem),
    ...(crls ? { crls: crls.map(pem) } : {}),
    ...(time === undefined ? {} : { time: new Date(time * 1000) }),
    ...(purpose ? { purpose: purpose as ssl.Purpose } : {}),
    ...(flags ? { flags: flags as VerifyFlag[] } : {}),
  };
}

/** What is in a PEM block. */
export const derOf = (pemText: string) =>
  Uint8Array.from(atob(pemText.replace(/-----.*?-----|\s/g, "")), (character) => character.charCodeAt(0));

/** How to find it again. */
export const nameOf = (name: string, each: ChainCase) =>
  name.startsWith("random") ? `seed ${env.seed}, ${name}: ${JSON.stringify(each)}` : name;

/** A good chain, which a test changes. */
export const good = async (change: Partial<VerifyChainOptions> = {}): Promise<VerifyChainOptions> => ({
  ...(await optionsOf({ leaf: "leaf", intermediates: ["inter"], roots: ["root"] })),
  unsafelyAllowLegacyNames: false,
  ...change,
});

export const verdict = (result: VerifyResult) =>
  result.ok ? "ok" : (result.failures[0]?.error ?? "nothing");
