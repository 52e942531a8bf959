/** What is wrong with a certificate, by node:tls and by `info.verifyFailures`: programs written for Node.js look at it. */
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp } from "node:net";
import { Duplex } from "node:stream";
import { connect, createServer } from "node:tls";
import QUnit from "qunit";
import { startTls } from "wassl";
import { afterTest, env } from "../helpers/env.ts";
import type { LeafName } from "../peers/certs.ts";

/** Of the peer's leaf in node:tls, and here. */
async function codes(cert: string, key: string, ca: string): Promise<[node: string, ours: string]> {
  const server = createServer({ cert, key }, (socket) => socket.on("error", () => {}).resume());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  afterTest(() => server.close());
  const { port } = server.address() as AddressInfo;
  const theirs = connect({ port, host: "127.0.0.1", ca, rejectUnauthorized: false });
  await once(theirs, "secureConnect");
  const node = theirs.authorizationError as unknown as string | null;
  theirs.destroy();
  const socket = connectTcp(port, "127.0.0.1");
  afterTest(() => socket.destroy());
  const tls = await startTls(Duplex.toWeb(socket) as never, {
    hostname: "127.0.0.1",
    caCerts: ca,
    sessionStore: false,
    unsafelyDisableVerification: true,
    unsafelyDisableHostnameVerification: true,
  });
  tls.abort();
  const last = tls.info.verifyFailures.at(-1)?.error.replace("X509_V_ERR_", "");
  return [node ?? "none", last ?? "none"];
}

QUnit.module("verification codes", () => {
  QUnit.test("the last failure is the one that node:tls tells", async (assert) => {
    const { chains, keys, caPem, otherCaPem, intermediatePem } = env.certs;
    const alone = (name: LeafName) =>
      `${chains[name].split("-----END CERTIFICATE-----")[0]}-----END CERTIFICATE-----\n`;
    const seen = new Set<string>();
    for (const [what, cert, key, ca] of [
      ["good", chains.ecdsa, keys.ecdsa, caPem],
      ["another CA", chains.ecdsa, keys.ecdsa, otherCaPem],
      ["another CA, no intermediate", alone("ecdsa"), keys.ecdsa, otherCaPem],
      ["no intermediate", alone("rsa"), keys.rsa, caPem],
      ["a root that is sent and not trusted", chains.ecdsa + caPem, keys.ecdsa, otherCaPem],
      ["a trusted intermediate alone", chains.ecdsa, keys.ecdsa, intermediatePem],
      ["of a client", chains.client, keys.client, caPem],
    ] as const) {
      const [node, ours] = await codes(cert, key, ca);
      assert.strictEqual(ours, node, what);
      seen.add(node);
    }
    assert.true(seen.has("UNABLE_TO_VERIFY_LEAF_SIGNATURE") && seen.size >= 4, [...seen].join());
  });
});
