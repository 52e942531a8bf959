/** What a target of the fuzzer is, and what all of them call wrong. */
import { type OpenSsl, TlsError } from "wassl";
import type { Dice } from "./dice.ts";

export interface Target {
  readonly name: string;
  /** How many of a hundred cases, about. */
  readonly share: number;
  /**
   * What it costs stays until the instance ends, by design, so that a case is not held against the memory before it.
   */
  readonly keeps?: boolean;
  /** Gets ready with an instance that is new; what comes of it runs one case. */
  start(openssl: OpenSsl, seed: number): Run | Promise<Run>;
}

export type Run = (dice: Dice) => void | Promise<void>;

/** A replay shows what a case is about, before anything is done with it. */
export const showing: { show: ((what: string, input: Uint8Array | string) => void) | undefined } = {
  show: undefined,
};

export function note(what: string, input: Uint8Array | string): void {
  showing.show?.(what, input);
}

/** Something is wrong, and this says what. */
export class Failure extends Error {}

export function insist(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Failure(what);
}

/** What a bad input may come to. `TlsError`s of these codes are bugs whatever the input is. */
const NEVER: readonly string[] = ["wasm-crashed", "out-of-memory", "freed"];

export function checkError(error: unknown, what: string): void {
  if (error instanceof Failure) throw error;
  if (!(error instanceof TlsError)) throw new Failure(`${what}: no TlsError but ${describe(error)}`);
  if (NEVER.includes(error.code))
    throw new Failure(`${what}: ${error.code}: ${describe(error.cause ?? error)}`);
}

/** The answer, or undefined where a `TlsError` refused. */
export function attempt<T>(what: string, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    checkError(error, what);
    return undefined;
  }
}

export async function attemptAsync<T>(what: string, call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    checkError(error, what);
    return undefined;
  }
}

export function describe(error: unknown): string {
  return error instanceof Error
    ? (error.stack ?? String(error)).split("\n").slice(0, 6).join(" | ")
    : String(error);
}
