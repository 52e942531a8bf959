import { TlsError } from "./errors.js";
import { OpenSsl } from "./openssl/openssl.js";
import type { VerifyResult } from "./openssl/verify.js";
import { X509 } from "./openssl/x509.js";
import { addCaCerts, type CaCerts, type CertificateData, requireBooleans } from "./options/identity.js";
import { hostName } from "./options/names.js";
import { holds, snapshot } from "./options/snapshot.js";
import { applyVerifyOptions, VERIFY_OPTIONS, type VerifyOptions } from "./options/verify.js";

/** A certificate, or in PEM several. */
export type Certificates = CertificateData | X509;

export interface VerifyChainOptions extends VerifyOptions {
  /** The certificate in question. What follows it in a PEM text helps as `intermediates` do. */
  leaf: Certificates;
  /** Certificates that may help to build the chain, in any order. None of them is trusted for being here. */
  intermediates?: Certificates | readonly Certificates[] | undefined;
  /** The trust anchors: these are all, there is no hidden store. */
  roots: CaCerts;
  /**
   * Whom the certificate must be for: a DNS name or an IP literal, as in `startTls`. Without any of `hostname`, `ip` and
   * `email` a good chain says who it is, not that it is whom you mean. Where there are several, all must fit.
   */
  hostname?: string;
  /** An IP address that the certificate must be for. */
  ip?: string;
  /** A mail address that one of its alternative names must be. */
  email?: string;
  /** As in `startTls`: the common name and partial wildcards count, and a mail address in the subject. Default false. */
  unsafelyAllowLegacyNames?: boolean;
  /** How strong keys and signatures must be, 0 to 5 (`SSL_CTX_set_security_level(3)`). Default 2, as in a handshake. */
  securityLevel?: number;
  /** The OpenSSL to use. By default the one that connections share, loaded at first use. */
  openssl?: OpenSsl;
}

/** All of it, by name: what is not here is not read. */
const VERIFY_CHAIN_OPTIONS: Record<keyof VerifyChainOptions, true> = {
  ...VERIFY_OPTIONS,
  leaf: true,
  intermediates: true,
  roots: true,
  hostname: true,
  ip: true,
  email: true,
  unsafelyAllowLegacyNames: true,
  securityLevel: true,
  openssl: true,
};

/**
 * Verifies a chain of certificates as a handshake would, and tells all that is wrong with it.
 *
 * A certificate that is not accepted is a result and no error: `ok` is false then.
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
  // At once: what the caller does with its object meanwhile is of no consequence.
  const options = snapshot(given, VERIFY_CHAIN_OPTIONS, { roots: { table: true } }) as VerifyChainOptions;
  const identity = identityOf(given, options);
  requireBooleans(options, ["unsafelyAllowLegacyNames"]);
  if (options.roots === undefined) throw new TlsError("invalid-argument", "there are no roots");
  const openssl = options.openssl ?? (await OpenSsl.shared());
  const store = openssl.newX509Store();
  try {
    addCaCerts(store, options.roots);
    applyVerifyOptions(store, options, {
      purpose: options.purpose ?? "sslserver",
      securityLevel: options.securityLevel ?? 2,
      rfc9525: Object.values(identity).some(Boolean) && !options.unsafelyAllowLegacyNames,
      ...identity,
    });
    return store.verify([dataOf(options.leaf), ...listOf(options.intermediates ?? []).map(dataOf)]);
  } finally {
    store.free();
  }
}

/** An identity that was meant to be checked, and is undefined by mistake, must not pass for one that is not asked for. */
function identityOf(given: VerifyChainOptions, options: VerifyChainOptions) {
  for (const name of ["hostname", "ip", "email"] as const) {
    if (holds(given, name) && typeof options[name] !== "string") {
      throw new TlsError("invalid-argument", `${name} is there, and is no string`);
    }
  }
  const { hostname, ip, email } = options;
  const address = ip === undefined ? undefined : hostName(ip, "ip");
  if (address?.kind === "dns") throw new TlsError("invalid-argument", `ip "${ip}" is no IP address`);
  if (hostname === undefined) return { ip: address?.name, email };
  const { kind, name } = hostName(hostname);
  if (kind === "dns") return { hostname: name, ip: address?.name, email };
  if (address) throw new TlsError("invalid-argument", "hostname is an IP address, and there is ip too");
  return { ip: name, email };
}

function listOf<T extends Certificates>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

function dataOf(certificate: Certificates): CertificateData {
  return certificate instanceof X509 ? certificate.der : certificate;
}
