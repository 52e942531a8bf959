/** Engines without Symbol.dispose: Node.js 20.3, Firefox before 141, Safari. Nothing may need it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import QUnit from "qunit";
import { env } from "../helpers/env.ts";
import { killAtEnd } from "../processes.ts";

const program = `
  // It cannot be deleted where it is: this is a Symbol that never had it.
  const { Symbol: whole } = globalThis;
  const without = function (...given) { return whole(...given); };
  for (const name of Object.getOwnPropertyNames(whole)) {
    if (/dispose/i.test(name) || ["length", "name"].includes(name)) continue;
    Object.defineProperty(without, name, Object.getOwnPropertyDescriptor(whole, name));
  }
  globalThis.Symbol = without;
  if (Symbol.dispose || Symbol.asyncDispose || !Symbol.iterator) throw new Error("the Symbol of this test is wrong");

  const all = ["", "/openssl", "/blocking", "/roots", "/sessions/indexeddb", "/sessions/deno-kv", "/sessions/redis",
    "/transports/websocket", "/transports/message-port", "/transports/node", "/transports/deno"];
  for (const each of all) await import("wassl" + each);
  const { acceptTls, MemorySessionStore, OpenSsl, startTls, TlsContext, verifyChain } = await import("wassl");
  const { accept, BlockingTransport, newChannel } = await import("wassl/blocking");
  const { RedisSessionStore } = await import("wassl/sessions/redis");
  const { cert, key, caCerts } = JSON.parse(process.env.GIVEN);
  const pair = () => {
    const [one, other] = [new TransformStream(), new TransformStream()];
    return [{ readable: one.readable, writable: other.writable }, { readable: other.readable, writable: one.writable }];
  };
  const context = await TlsContext.server({ cert, key });
  for (let i = 0; i < 2; i++) {
    const [left, right] = pair();
    const [near, far] = await Promise.all([
      startTls(left, { hostname: "localhost", caCerts }),
      acceptTls(right, { context }),
    ]);
    const writer = far.writable.getWriter();
    await Promise.all([writer.write(new Uint8Array(1)), near.readable.getReader().read()]);
    await Promise.allSettled([near.close(), far.close()]);
  }
  context.free();
  const { ok } = await verifyChain({ leaf: cert, roots: caCerts, hostname: "localhost" });
  if (!ok) throw new Error("the chain is good");
  const openssl = await OpenSsl.load();
  const stuck = new BlockingTransport(newChannel());
  try {
    accept(stuck, { openssl, cert, key, handshakeTimeout: 1 });
  } catch (error) {
    if (error.code !== "timeout") throw error;
  }
  if (openssl.live.contexts + openssl.live.connections !== 0) throw new Error("something was not freed");
  await new RedisSessionStore({ connect: () => pair()[0] }).close();
  new MemorySessionStore().clear();
  console.log("done");
  process.exit(0);
`;

QUnit.module("without Symbol.dispose", () => {
  QUnit.test("every module is imported, and what they are for is done", async (assert) => {
    const { chains, keys, caPem } = env.certs;
    const GIVEN = JSON.stringify({ cert: chains.ecdsa, key: keys.ecdsa, caCerts: caPem });
    const running = promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], {
      env: { ...process.env, GIVEN },
      timeout: 15_000,
    });
    killAtEnd(running.child);
    const { stdout, stderr } = await running.catch((error) => ({ stdout: "", stderr: String(error.stderr) }));
    assert.strictEqual(stdout.trim(), "done", stderr);
  });
});
