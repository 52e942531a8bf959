/**
 * An engine that lacks what WebKit lacks (byte streams, `for await` over streams, the symbols of `using`), and what
 * Cloudflare Workers lacked (weak references).
 */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import QUnit from "qunit";
import { env } from "../helpers/env.ts";

const run = promisify(execFile);

const program = `
const Whole = globalThis.ReadableStream;
globalThis.ReadableStream = class ReadableStream extends Whole {
  constructor(source, strategy) {
    if (source?.type === "bytes") throw new TypeError("ReadableByteStreamController is not implemented");
    super(source, strategy);
  }
};
delete Whole.prototype[Symbol.asyncIterator];
delete Whole.prototype.values;
delete globalThis.WeakRef;
delete globalThis.FinalizationRegistry;
const Full = globalThis.Symbol;
const { dispose, asyncDispose, ...rest } = Object.getOwnPropertyDescriptors(Full);
globalThis.Symbol = Object.defineProperties(function Symbol(text) { return Full(text); }, rest);

const { startTls, verifyChain } = await import("wassl");
const { nodeTransport } = await import("wassl/transports/node");
const { connect } = await import("node:net");
const [port, caCerts] = process.argv.slice(1);
const socket = connect({ host: "127.0.0.1", port: Number(port), allowHalfOpen: true });
const tls = await startTls(nodeTransport(socket), { hostname: "localhost", caCerts });
const sent = new Uint8Array(1_000_000).map((_, i) => i % 251);
const writer = tls.writable.getWriter();
const writing = writer.write(sent);
const chunks = [];
let got = 0;
for await (const chunk of tls.readable.values({ preventCancel: true })) {
  chunks.push(chunk);
  if ((got += chunk.length) >= sent.length) break;
}
await writing;
const same = Buffer.concat(chunks).equals(Buffer.from(sent));
const { how } = (await tls.shutdown()).info;
const [leaf, ...intermediates] = tls.info.peerCertificates;
const { ok } = await verifyChain({ leaf, intermediates, roots: caCerts });

// Who leaves the loop, cancels; and an end ends it.
const other = await startTls(nodeTransport(connect({ host: "127.0.0.1", port: Number(port), allowHalfOpen: true })), { hostname: "localhost", caCerts });
await other.writable.getWriter().close();
let ended = true;
for await (const chunk of other.readable) ended = false;
const { how: end } = await other.closed;
await tls[Symbol.for("Symbol.asyncDispose")]();
process.stdout.write(JSON.stringify({ same, how, ok, ended, end, strange: "undefined" in tls }));
process.exit();
`;

QUnit.module("an engine that lacks byte streams, the symbols of using and weak references", () => {
  QUnit.test("carries data both ways, ends well, and verifies", async (assert) => {
    const { port } = await env.peer("tls?id=lean");
    // In the folder of the packed package.
    const file = join(process.cwd(), "lean.mjs");
    writeFileSync(file, program.replace("process.argv.slice(1)", "process.argv.slice(2)"));
    const { stdout } = await run(process.execPath, [file, String(port), env.certs.caPem]);
    assert.deepEqual(JSON.parse(stdout), {
      same: true,
      how: "complete",
      ok: true,
      ended: true,
      end: "complete",
      strange: false,
    });
  });
});
