/**
 * Mozilla's trust anchors for TLS servers.
 *
 * ```ts
 * import { startTls } from "wassl";
 * import { mozillaRoots } from "wassl/roots";
 *
 * const tls = await startTls(transport, { hostname: "example.org", caCerts: mozillaRoots });
 * ```
 *
 * Mozilla withdraws trust anchors now and then, so a program must keep this package up to date. Where Mozilla trusts an anchor only
 * for certificates that were issued up to a date (*distrust after*), newer ones are refused: X509_V_ERR_CERT_REJECTED. That holds for
 * this list; an anchor that the caller gives in `caCerts`, beside the list or alone, is trusted as given. `mozillaRootsSource.dated`
 * says how many have such a date.
 *
 * @module
 */
export { mozillaRoots, mozillaRootsSource } from "./table.js";
