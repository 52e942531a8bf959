/** `net.isIP` and its siblings. */

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const V4 = `(?:${OCTET}\\.){3}${OCTET}`;
const IPV4 = new RegExp(`^${V4}$`);
const GROUP = /^[\da-f]{1,4}$/i;

/**
 * Whether it is an IPv4 address.
 *
 * @example
 * ```ts
 * import { isIPv4 } from "wassl/node/net";
 *
 * console.log(isIPv4("192.0.2.1"));
 * ```
 */
export function isIPv4(text: unknown): boolean {
  return IPV4.test(String(text));
}

/**
 * Whether it is an IPv6 address, which may have a zone.
 *
 * @example
 * ```ts
 * import { isIPv6 } from "wassl/node/net";
 *
 * console.log(isIPv6("2001:db8::1"));
 * ```
 */
export function isIPv6(text: unknown): boolean {
  // A zone, as in fe80::1%eth0, is allowed here, and in no certificate.
  const [address = "", ...zone] = String(text).split("%");
  if (zone.length > 1 || (zone.length === 1 && !/^[\da-z.:-]+$/i.test(zone[0]!))) return false;
  const halves = address.split("::");
  if (halves.length > 2) return false;
  let count = 0;
  for (const [h, half] of halves.entries()) {
    const groups = half === "" ? [] : half.split(":");
    for (const [i, group] of groups.entries()) {
      const last = h === halves.length - 1 && i === groups.length - 1;
      if (last && isIPv4(group)) count += 2;
      else if (GROUP.test(group)) count += 1;
      else return false;
    }
  }
  return halves.length === 2 ? count < 8 : count === 8;
}

/**
 * 4, 6, or 0 for what is no address.
 *
 * @example
 * ```ts
 * import { isIP } from "wassl/node/net";
 *
 * console.log(isIP("2001:db8::1"));
 * ```
 */
export function isIP(text: unknown): 0 | 4 | 6 {
  return isIPv4(text) ? 4 : isIPv6(text) ? 6 : 0;
}
