/** All that is tried with cases from seeds, for `npm run kernels` and `npm test`. */
import { tryAead, tryCipher } from "./cases.ts";
import { tryCounter, tryPoly1305, tryRecord } from "./edges.ts";
import { Kernels } from "./module.ts";
import { tryMultiply, tryRaise } from "./montgomery.ts";
import { tryPoints, trySignature } from "./p256.ts";
import { trySequence } from "./sequences.ts";

export interface RandomTest {
  what: string;
  /** One in so many cases of a long run. */
  oneIn: number;
  /** How many `npm test` tries, for less than a quarter of a second. */
  few: number;
  /** Throws when case `n` fails. */
  tryCase(n: number, seed: number): void;
}

export function randomTests(folder: string): RandomTest[] {
  let made: { kernels: Kernels; plain: Kernels } | undefined;
  // Only when the first case is tried: a run of other tests has no use for them, and may not have built them.
  const twins = {
    get kernels() {
      made ??= { kernels: new Kernels(folder), plain: new Kernels(folder, "plain.wasm") };
      return made.kernels;
    },
    get plain() {
      return this.kernels && made!.plain;
    },
  };
  return [
    {
      what: "messages of AEADs, as node:crypto has them",
      ...{ oneIn: 1, few: 500, tryCase: (n, seed) => tryAead(twins.kernels, n, seed) },
    },
    {
      what: "messages of ciphers without a tag, as node:crypto has them",
      ...{ oneIn: 2, few: 250, tryCase: (n, seed) => tryCipher(twins.kernels, n, seed) },
    },
    {
      what: "sequences of calls, as with OpenSSL's own C",
      ...{ oneIn: 10, few: 60, tryCase: (n, seed) => trySequence(twins, n, seed) },
    },
    {
      what: "Poly1305 where carries run through, as with OpenSSL's own C",
      ...{ oneIn: 1, few: 1500, tryCase: (n, seed) => tryPoly1305(twins, n, seed) },
    },
    {
      what: "AES-GCM where the counter begins anew, as node:crypto has it",
      ...{ oneIn: 100, few: 10, tryCase: (n, seed) => tryCounter(twins.kernels, n, seed) },
    },
    {
      what: "records of TLS 1.2 with AES-GCM, opened by node:crypto",
      ...{ oneIn: 10, few: 300, tryCase: (n, seed) => tryRecord(twins.kernels, n, seed) },
    },
    {
      what: "multiples of points of P-256, as node:crypto has them",
      ...{ oneIn: 1, few: 300, tryCase: (n, seed) => tryPoints(twins.kernels, n, seed) },
    },
    {
      what: "signatures with P-256, as node:crypto has them",
      ...{ oneIn: 10, few: 100, tryCase: (n, seed) => trySignature(twins.kernels, n, seed) },
    },
    {
      what: "Montgomery products, as BigInt and OpenSSL's own C have them",
      ...{ oneIn: 1, few: 1000, tryCase: (n, seed) => tryMultiply(twins, n, seed) },
    },
    {
      what: "powers modulo two numbers, as OpenSSL's own C has them",
      ...{ oneIn: 200, few: 8, tryCase: (n, seed) => tryRaise(twins, n, seed) },
    },
  ];
}
