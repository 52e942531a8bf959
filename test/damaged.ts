/**
 * `npm run damaged`: what `npm test` does with samples, at every byte. Each byte that either end receives in a
 * handshake, full or resumed, in both versions, is changed, left out, or the last that comes. And each bit of a
 * certificate is flipped, and each beginning of it taken for one, as the leaf, as an issuer, as a trust anchor, and as
 * a revocation list.
 *
 *     npm run damaged -- [--only TEXT]… [--every N]
 *
 * TEXT is a part of what a line says. Wrong is what is no TlsError, traps, hangs, stays in linear memory, or is
 * believed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  acceptTls,
  type ClientOptions,
  OpenSsl,
  type ServerOptions,
  startTls,
  TlsContext,
  TlsError,
  verifyChain,
} from "wassl";
import { pair } from "./fakes/pair.ts";
import { concat, readAtLeast, utf8, write } from "./helpers/basics.ts";
import { client, clientCert, server } from "./helpers/both-ends.ts";
import { attempt, complaintOf, type DamageName, damages, settled } from "./helpers/damage.ts";
import { type Env, setEnv } from "./helpers/env.ts";
import { makeCerts } from "./peers/certs.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    every: { type: "string", default: "1" },
  },
});
const every = Number(values.every);
const wanted = (title: string) =>
  values.only.length === 0 || values.only.some((text) => title.includes(text));

/** At once: those that wait for what never comes take their time. */
const LANES = 24;

/**
 * The last sixteen certificates stay (wasm/instead/interned.c), each in what malloc makes of its pieces, now so, now
 * so.
 */
const ROUNDING = 2048;

const folder = mkdtempSync(join(tmpdir(), "wassl-damaged-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const certs = makeCerts("openssl", folder);
setEnv({ certs, seed: 1 } as unknown as Env);

let wrong = 0;
function complain(where: string, what: string): void {
  wrong++;
  if (wrong <= 40) console.log(`WRONG: ${where}: ${what}`);
}

const began = performance.now();
function tell(title: string, text: string): void {
  console.log(`${title}: ${text} (${((performance.now() - began) / 1000).toFixed(0)} s)`);
}

// ---- handshakes --------------------------------------------------------------------------------------------------

/** Where each record begins. */
function recordsOf(stream: Uint8Array): number[] {
  const starts: number[] = [];
  for (let at = 0; at + 5 <= stream.length; at += 5 + stream[at + 3]! * 256 + stream[at + 4]!)
    starts.push(at);
  return starts;
}

/** Each place in turn, many at once. */
async function inLanes(length: number, one: (at: number) => Promise<void>): Promise<void> {
  let at = 0;
  const lane = async () => {
    while (at < length) {
      const here = at;
      at += every;
      await one(here);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

async function handshakes(version: "TLSv1.2" | "TLSv1.3", resumed: boolean): Promise<void> {
  const openssl = await OpenSsl.load();
  const only = { minVersion: version, maxVersion: version, groups: "x25519:secp256r1" } as const;
  const common = { openssl, handshakeTimeout: 400 };
  const options = { ...server(), ...only, clientAuth: "require" as const, caCerts: certs.caPem };
  using context = await TlsContext.server({ ...options, openssl });
  const serverOptions: ServerOptions = { ...common, context };
  const clientOptions: ClientOptions = {
    ...client(),
    ...clientCert(),
    ...only,
    ...common,
    sessionStore: false,
  };
  if (resumed) {
    const [near, far] = pair();
    const [mine, theirs] = await Promise.all([startTls(near, clientOptions), acceptTls(far, serverOptions)]);
    await write(theirs.writable, utf8("."));
    await readAtLeast(mine.readable, 1);
    clientOptions.session = mine.getSession()!;
    await mine.close();
    await theirs.close();
  }
  for (const victim of ["client", "server"] as const) {
    for (const name of Object.keys(damages) as DamageName[]) {
      const title = `${version}, ${resumed ? "resumed" : "full"}: ${name} of what the ${victim} receives`;
      if (!wanted(title)) continue;
      const run = (at: number) => attempt(victim, at, name, clientOptions, serverOptions);
      const whole = await run(Number.POSITIVE_INFINITY);
      for (const end of [whole.own, whole.other]) {
        if (end.status === "rejected") throw end.reason;
        if (end.value.info.sessionReused !== resumed) throw new Error("it is not what it should be");
      }
      const stream = concat(whole.received);
      // Tickets come when a client has its handshake behind it: two records.
      const tickets = version === "TLSv1.3" && victim === "client" ? recordsOf(stream).length - 2 : Infinity;
      const outcomes = new Map<string, number>();
      const one = async (at: number) => {
        const { own, other, received } = await run(at);
        const where = `${title}, byte ${at} of ${stream.length}`;
        for (const end of [own, other]) {
          const complaint = complaintOf(end);
          if (complaint) complain(where, complaint);
        }
        const came = concat(received);
        let outcome = own.status === "rejected" ? (own.reason as TlsError).code : "in a ticket";
        if (own.status === "fulfilled") {
          const starts = recordsOf(came);
          const record = starts.findLastIndex((start) => start <= at);
          // Nothing covers the version in a record's header. Signatures in DER are a byte or two longer or shorter.
          if (came.length <= at) outcome = "not reached";
          else if (name === "a bit is flipped" && [1, 2].includes(at - starts[record]!))
            outcome = "in a version";
          else if (record < tickets) complain(where, "it went unnoticed");
        }
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      };
      // Once more if something stayed behind: what OpenSSL keeps of each algorithm that it meets, it keeps once.
      let grown = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 2 && Math.abs(grown) > ROUNDING; round++) {
        outcomes.clear();
        const before = await settled(openssl);
        await inLanes(stream.length, one);
        grown = (await settled(openssl)) - before;
      }
      if (Math.abs(grown) > ROUNDING) complain(title, `${grown} bytes stay behind`);
      const list = [...outcomes].map(([code, count]) => `${count} ${code}`).join(", ");
      tell(title, `${stream.length} bytes: ${list}`);
    }
  }
}

// ---- certificates ------------------------------------------------------------------------------------------------

const der = (pem: string) => Uint8Array.from(Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64"));

/** Each bit flipped, and each beginning. */
function* broken(whole: Uint8Array): Generator<[string, Uint8Array]> {
  for (let at = 0; at < whole.length; at += every) {
    for (let bit = 0; bit < 8; bit++) {
      const changed = whole.slice();
      changed[at]! ^= 1 << bit;
      yield [`bit ${bit} of byte ${at}`, changed];
    }
    yield [`the first ${at} bytes`, whole.slice(0, at)];
  }
}

/** Also looks at all that it says about itself. */
async function judge(
  openssl: OpenSsl,
  bytes: Uint8Array,
  options: Parameters<typeof verifyChain>[0],
): Promise<string> {
  try {
    for (const x of openssl.parseCertificates(bytes)) {
      JSON.stringify([x.subject, x.subjectAltName, x.notAfter, x.publicKey, x.pem]);
    }
  } catch (error) {
    if (!(error instanceof TlsError)) return String(error);
  }
  try {
    return (await verifyChain(options)).ok ? "accepted" : "refused";
  } catch (error) {
    return error instanceof TlsError ? error.code : String(error);
  }
}

async function certificates(openssl: OpenSsl): Promise<void> {
  const first = (pem: string) => pem.slice(0, pem.indexOf("-----END CERTIFICATE-----") + 26);
  const [leaf, intermediate, root] = [certs.chains.ecdsa, certs.intermediatePem, certs.caPem].map((pem) =>
    der(first(pem)),
  ) as [Uint8Array, Uint8Array, Uint8Array];
  const rsa = der(first(certs.chains.rsa));
  const good = { leaf, intermediates: intermediate, roots: root, hostname: "localhost", openssl };
  const crl = der(certs.crls.intermediate);
  type Options = Parameters<typeof verifyChain>[0];
  const cases: [string, Uint8Array, (bytes: Uint8Array) => Options, believed: boolean][] = [
    ["a leaf, ECDSA", leaf, (bytes) => ({ ...good, leaf: bytes }), false],
    ["a leaf, RSA", rsa, (bytes) => ({ ...good, leaf: bytes }), false],
    ["an intermediate certificate", intermediate, (bytes) => ({ ...good, intermediates: bytes }), false],
    // A trust anchor's own signature is not looked at, and much of it says nothing to a chain.
    ["a trust anchor", root, (bytes) => ({ ...good, roots: bytes }), true],
    ["a revocation list", crl, (bytes) => ({ ...good, crls: [certs.crls.ca, bytes] }), false],
  ];
  for (const [name, whole, options, believed] of cases) {
    const title = `certificates: each bit and each beginning of ${name}`;
    if (!wanted(title)) continue;
    const control = await verifyChain(options(whole));
    if (!control.ok) throw new Error(`${name}: ${control.failures[0]?.error}`);
    let outcomes = new Map<string, number>();
    let before = 0;
    // Twice: OpenSSL keeps each algorithm that it has met.
    for (let round = 0; round < 2; round++) {
      outcomes = new Map();
      before = openssl.memory.used;
      for (const [where, bytes] of broken(whole)) {
        const outcome = await judge(openssl, bytes, options(bytes));
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        if (outcome === "accepted" && !believed) complain(`${title}, ${where}`, "it is believed");
        if (!["accepted", "refused", "invalid-argument"].includes(outcome))
          complain(`${title}, ${where}`, outcome);
      }
    }
    const grown = openssl.memory.used - before;
    if (Math.abs(grown) > ROUNDING) complain(title, `${grown} bytes stay behind`);
    const list = [...outcomes].map(([what, n]) => `${n} ${what}`).join(", ");
    tell(title, `${whole.length} bytes: ${list}`);
  }
}

// What fails on its own account is told by both ends.
process.on("unhandledRejection", (reason) => complain("outside", String(reason)));
await certificates(await OpenSsl.load());
for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  for (const resumed of [false, true]) await handshakes(version, resumed);
}
console.log(wrong === 0 ? "nothing wrong" : `${wrong} wrong`);
process.exit(wrong === 0 ? 0 : 1);
