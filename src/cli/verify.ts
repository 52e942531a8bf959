/** `wassl verify FILE…` */
import { type Purpose, TlsError, type VerifyFlag, verifyChain, type X509 } from "wassl";
import type { Io } from "./io.js";
import { integer, type Values } from "./options.js";
import { certificateFields, type Outcome, type Report, UsageError } from "./report.js";
import { defined, fileOf, filesOf, trustAnchors } from "./tls-options.js";

export async function verify(
  values: Values<"verify">,
  paths: string[],
  io: Io,
  report: Report,
): Promise<Outcome> {
  if (paths.length === 0) throw new UsageError("FILE is missing: the certificate to verify");
  const time = values.time === undefined ? undefined : new Date(values.time);
  if (time && Number.isNaN(time.getTime())) {
    throw new UsageError(`--time is like 2026-11-25T12:00:00Z; not "${values.time}"`);
  }
  const roots = await trustAnchors(values.ca, io);
  const options = defined({
    intermediates: await filesOf("untrusted", values.untrusted, io),
    crls: await filesOf("crl", values.crl, io),
    hostname: values["verify-host"],
    ip: values["verify-ip"],
    email: values["verify-email"],
    unsafelyAllowLegacyNames: values["unsafe-legacy-names"],
    // The library knows which names there are, and says so.
    purpose: values.purpose as Purpose | undefined,
    policies: values.policy,
    flags: values.flag as VerifyFlag[] | undefined,
    time,
    depth: integer("depth", values.depth),
    partialChain: values["partial-chain"],
    securityLevel: integer("seclevel", values.seclevel),
  });
  report.toStdout(true);
  let exitCode = 0;
  for (const path of paths) {
    const leaf = await fileOf("FILE", path, io);
    const result = await verifyChain({ ...options, leaf, roots }).catch((error) => {
      if (error instanceof TlsError) throw new UsageError(`${path}: ${error.message}`, { cause: error });
      throw error;
    });
    const failures = result.ok ? [] : result.failures;
    if (!result.ok) exitCode = 3;
    report.tell("verified", {
      file: path,
      ok: result.ok,
      failures: failures.map(({ certificate, ...failure }) => ({
        ...failure,
        subject: certificate?.subject,
      })),
      chain: result.chain.map(certificateFields),
    });
    report.say(`${path}: ${result.ok ? "verified" : "NOT VERIFIED"}`);
    for (const { error, text, depth, certificate } of failures) {
      report.say(`  ${error}: ${text} (depth ${depth}${certificate ? `, ${certificate.subject}` : ""})`);
    }
    for (const [depth, certificate] of result.chain.entries())
      report.say(`  ${depth} ${inWords(certificate)}`);
  }
  return { exitCode };
}

function inWords({ subject, subjectAltName, notBefore, notAfter }: X509): string {
  const names = subjectAltName.length > 0 ? ` (${subjectAltName.join(", ")})` : "";
  const [from, to] = [notBefore, notAfter].map((date) => date.toISOString().slice(0, 10));
  return `${subject}${names}, ${from} to ${to}`;
}
