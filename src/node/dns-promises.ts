/**
 * The part of `node:dns/promises` that drivers call. See `wassl/node/dns`.
 *
 * @module
 */
import { promises } from "./dns.js";

export const { lookup, resolve, resolve4, resolve6 } = promises;
export default promises;
