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
 * Mozilla withdraws trust anchors now and then, so a program must keep this package up to date. Mozilla trusts some
 * anchors only for certificates that were issued up to a date (*distrust after*). Newer certificates are refused:
 * X509_V_ERR_CERT_REJECTED. That holds for this list; an anchor that the caller gives in `caCerts`, beside the list or
 * alone, is trusted as it is given. `mozillaRootsSource.dated` says how many anchors have such a date.
 *
 * @module
 */
export { mozillaRoots, mozillaRootsSource } from "./table.js";
