/**
 * `npm run soak`: thousands of connections in one instance, one after the other, opened and aborted, and opened and
 * shut down. Linear memory must end where it began.
 *
 *     npm run soak -- [--cycles N]
 *
 * Both ends are ours and live in the same instance, so each cycle is two connections.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TlsError } from "../src/errors.ts";
import { OpenSsl } from "../src/openssl/openssl.ts";
import { acceptTls, startTls } from "../src/start-tls.ts";
import type { TlsStream } from "../src/stream.ts";
import { pair } from "./fakes/pair.ts";
import { makeCerts } from "./peers/certs.ts";

const { values } = parseArgs({ options: { cycles: { type: "string", default: "10000" } } });
const cycles = Number(values.cycles);
if (!Number.isSafeInteger(cycles) || cycles < 1)
  throw new Error("--cycles must be a whole number, 1 or more");

const folder = mkdtempSync(join(tmpdir(), "wassl-soak-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const certs = makeCerts("openssl", folder);
const openssl = await OpenSsl.load();

const reason = new Error("the soak test aborts");

/** Each lets the whole connection end, both sides of it. */
const endings = {
  async abort(client: TlsStream, server: TlsStream) {
    client.abort(reason);
    const saw = await server.readable
      .getReader()
      .read()
      .then(
        () => "an end",
        (error: unknown) => error,
      );
    if (!(saw instanceof TlsError)) throw new Error(`the server saw ${saw}`);
    await server.closed.catch(() => {});
    if ((await client.closed.catch((error: unknown) => error)) !== reason) throw new Error("not aborted");
  },
  async shutdown(client: TlsStream, server: TlsStream) {
    const [{ info }] = await Promise.all([client.shutdown(), server.shutdown()]);
    if (info.how !== "complete" || !info.resumable) throw new Error(`it ended ${info.how}`);
  },
};

async function cycle(ending: keyof typeof endings, version: "TLSv1.2" | "TLSv1.3"): Promise<void> {
  const [near, far] = pair();
  const common = { openssl, maxVersion: version };
  const [client, server] = await Promise.all([
    startTls(near, { ...common, hostname: "localhost", caCerts: certs.caPem }),
    acceptTls(far, { ...common, cert: certs.chains.ecdsa, key: certs.keys.ecdsa }),
  ]);
  await endings[ending](client, server);
}

/**
 * What is still to be freed is freed by then: a farewell to a peer that is gone takes a few turns of the event loop.
 */
const settled = () => new Promise((resolve) => setTimeout(resolve, 100));

let failed = false;
for (const ending of ["abort", "shutdown"] as const) {
  const run = async (count: number) => {
    for (let i = 0; i < count; i++) await cycle(ending, i % 2 === 0 ? "TLSv1.3" : "TLSv1.2");
    await settled();
    return openssl.memory;
  };
  // OpenSSL makes some things once, at the first use of each.
  const before = await run(10);
  const began = performance.now();
  const after = await run(cycles);
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${cycles} × open and ${ending}: ${seconds.toFixed(1)} s; allocated ${before.used} bytes before, ${after.used} after; ` +
      `linear memory ${before.size} bytes before, ${after.size} after`,
  );
  // malloc rounds what is in use now so, now so, by a few bytes.
  if (after.size !== before.size || Math.abs(after.used - before.used) > 256) failed = true;
}
console.log(failed ? "linear memory did not end where it began" : "linear memory ended where it began");
process.exit(failed ? 1 : 0);
