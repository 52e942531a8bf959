import { either, flag, holds, listOf, readOptions, type Table, text, whole } from "./check.js";
import { TlsError } from "./errors.js";
import type { OpenSsl } from "./openssl/openssl.js";
import { sharedLibrary } from "./openssl/shared.js";
import { type VerifyResult, X509Store } from "./openssl/verify.js";
import type { X509 } from "./openssl/x509.js";
import { OPENSSL } from "./options/context.js";
import {
  addCaCerts,
  CA_CERTS,
  type CaCerts,
  CERTIFICATES,
  type CertificateData,
  NAME,
} from "./options/identity.js";
import { hostName } from "./options/names.js";
import { applyVerifyOptions, VERIFY_OPTIONS, type VerifyOptions } from "./options/verify.js";

/** One certificate, or several in PEM. */
export type Certificates = CertificateData | X509;

export interface VerifyChainOptions extends VerifyOptions {
  /** The certificate to verify. What follows it in a PEM text helps as `intermediates` do. */
  leaf: Certificates;
  /** Certificates that may help to build the chain, in any order. Being listed here makes no certificate trusted. */
  intermediates?: Certificates | readonly Certificates[] | undefined;
  /** The trust anchors. These are all of them: there is no hidden store. */
  roots: CaCerts;
  /**
   * The name that the certificate must be for: a DNS name or an IP literal, as in `startTls`. Without `hostname`, `ip`
   * and `email`, a good chain says whose certificate it is, and not that it is the peer you mean. If several are given,
   * all must fit.
   */
  hostname?: string;
  /** An IP address that the certificate must be for. */
  ip?: string;
  /** A mail address that must be among its alternative names. */
  email?: string;
  /**
   * As in `startTls`: the common name and partial wildcards count, and a mail address in the subject. Default false.
   */
  unsafelyAllowLegacyNames?: boolean;
  /** How strong keys and signatures must be, 0 to 5 (`SSL_CTX_set_security_level(3)`). Default 2, as in a handshake. */
  securityLevel?: number;
  /** The OpenSSL to use. By default the one that connections share, loaded at the first use. */
  openssl?: OpenSsl;
}

const OPTIONS: Table<VerifyChainOptions> = {
  ...VERIFY_OPTIONS,
  leaf: CERTIFICATES,
  intermediates: either(CERTIFICATES, listOf(CERTIFICATES)),
  roots: CA_CERTS,
  hostname: NAME,
  ip: NAME,
  email: text,
  unsafelyAllowLegacyNames: flag,
  securityLevel: whole(0, 5),
  openssl: OPENSSL,
};

/**
 * verifyChain verifies a chain of certificates as a handshake would, and tells everything that is wrong with it.
 *
 * A certificate that is not accepted is a result and not an error: `ok` is false then.
 *
 * @throws TlsError "invalid-argument" for what is no certificate, no name or no option
 *
 * @example
 * ```ts
 * import { verifyChain } from "wassl";
 * import { mozillaRoots } from "wassl/roots";
 *
 * const result = await verifyChain({ leaf: pem, roots: mozillaRoots, hostname: "example.org" });
 * if (result.ok) console.log(result.chain.map(({ subject }) => subject));
 * else for (const { error, depth, text } of result.failures) console.log(`${depth}: ${error}, ${text}`);
 * ```
 */
export async function verifyChain(given: VerifyChainOptions): Promise<VerifyResult> {
  // Read at once: later changes of the caller's object do not count.
  const options = readOptions(given, OPTIONS, "verifyChain");
  const identity = identityOf(given, options);
  if (options.leaf === undefined) {
    throw new TlsError("invalid-argument", "leaf is missing: give the certificate in question");
  }
  if (options.roots === undefined)
    throw new TlsError("invalid-argument", "roots is missing: give the trust anchors");
  // An X509 is DER since it was copied.
  const certificates = [options.leaf, options.intermediates ?? []].flat() as CertificateData[];
  const library = options.openssl?.library ?? (await sharedLibrary());
  const store = X509Store.create(library);
  try {
    addCaCerts(store, options.roots);
    applyVerifyOptions(store, options, {
      purpose: options.purpose ?? "sslserver",
      securityLevel: options.securityLevel ?? 2,
      rfc9525: Object.values(identity).some(Boolean) && !options.unsafelyAllowLegacyNames,
      ...identity,
    });
    return store.verify(certificates);
  } finally {
    store.free();
  }
}

/**
 * An identity that was meant to be checked, and is undefined by mistake, must not pass for one that is not asked for.
 */
function identityOf(given: VerifyChainOptions, options: VerifyChainOptions) {
  for (const name of ["hostname", "ip", "email"] as const) {
    if (holds(given, name) && typeof options[name] !== "string") {
      throw new TlsError("invalid-argument", `${name} is given, and must be a text`);
    }
  }
  const { hostname, ip, email } = options;
  const address = ip === undefined ? undefined : hostName(ip, "ip");
  if (address?.kind === "dns") throw new TlsError("invalid-argument", `ip "${ip}" is not an IP address`);
  if (hostname === undefined) return { ip: address?.name, email };
  const { kind, name } = hostName(hostname);
  if (kind === "dns") return { hostname: name, ip: address?.name, email };
  if (address)
    throw new TlsError(
      "invalid-argument",
      "hostname is an IP address already: give hostname or ip, not both",
    );
  return { ip: name, email };
}
