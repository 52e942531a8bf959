/**
 * The part of `node:dns` that drivers call before they connect. A page cannot resolve names, and need not: the dialer
 * takes them. So each name is its own address here.
 *
 * @module
 */
import { isIP } from "./ip.js";

export interface LookupOptions {
  all?: boolean;
  family?: number | string;
}
type Done = (error: Error | null, address: string | Address[], family?: number) => void;
export interface Address {
  address: string;
  family: number;
}

const addressOf = (name: string): Address => ({ address: name, family: isIP(name) === 6 ? 6 : 4 });

/**
 * Calls back with the name itself.
 *
 * @example
 * ```ts
 * import { lookup } from "wassl/node/dns";
 *
 * lookup("db.example.org", (_error, address) => console.log(address)); // "db.example.org"
 * ```
 */
export function lookup(name: string, options: LookupOptions | number | Done, done?: Done): void {
  const then = typeof options === "function" ? options : done!;
  const all = typeof options === "object" && options.all;
  const { address, family } = addressOf(name);
  queueMicrotask(() => (all ? then(null, [{ address, family }]) : then(null, address, family)));
}

type Resolve = (name: string, ...rest: unknown[]) => void;

const resolver =
  (found: (name: string) => unknown): Resolve =>
  (name, ...rest) => {
    const done = rest.at(-1) as (error: Error | null, found: unknown) => void;
    queueMicrotask(() => done(null, found(name)));
  };
const itself = (name: string): string[] => [name];
/** There is at least one address of another kind, so no driver waits for these. */
const nothing = (): string[] => [];

export const resolve: Resolve = resolver(itself);
export const resolve4: Resolve = resolver(itself);
export const resolve6: Resolve = resolver(nothing);

export const promises = {
  lookup: async (name: string, options?: LookupOptions): Promise<Address | Address[]> =>
    options?.all ? [addressOf(name)] : addressOf(name),
  resolve: async (name: string): Promise<string[]> => itself(name),
  resolve4: async (name: string): Promise<string[]> => itself(name),
  resolve6: async (): Promise<string[]> => nothing(),
};

/** Hints, which change nothing. */
export const ADDRCONFIG = 1024;
export const V4MAPPED = 2048;
export const ALL = 256;
export const setDefaultResultOrder = (): void => {};
export const getDefaultResultOrder = (): string => "verbatim";

export default {
  lookup,
  resolve,
  resolve4,
  resolve6,
  promises,
  ADDRCONFIG,
  V4MAPPED,
  ALL,
  setDefaultResultOrder,
  getDefaultResultOrder,
};
