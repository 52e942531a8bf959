/** Two processes that know nothing of each other resume through Redis. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import QUnit from "qunit";
import { eventsOf } from "../helpers/basics.ts";
import { env } from "../helpers/env.ts";

const run = promisify(execFile);
/** The runner starts us in a folder whose node_modules hold the unpacked tarball. */
const folder = process.cwd();

const program = `
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { startTls } from "wassl";
import { RedisSessionStore } from "wassl/sessions/redis";
import { nodeTransport } from "wassl/transports/node";

const [, , server, redis, ca, version] = process.argv;
async function tcp(port) {
  const socket = connect({ host: "127.0.0.1", port: Number(port), allowHalfOpen: true });
  await once(socket, "connect");
  return nodeTransport(socket);
}
const sessionStore = new RedisSessionStore({ connect: () => tcp(redis), prefix: "processes:" });
const stream = await startTls(await tcp(server), {
  hostname: "localhost",
  caCerts: readFileSync(ca, "utf8"),
  minVersion: version,
  maxVersion: version,
  sessionPartition: server,
  sessionStore,
});
const { info } = await stream.shutdown();
await sessionStore.close();
console.log(JSON.stringify({ reused: stream.info.sessionReused, verified: stream.info.verified, how: info.how }));
`;

QUnit.module("sessions between processes", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"]) {
    QUnit.test(`${version}, through Redis`, async (assert) => {
      const peer = `tls?do=inside&version=${version.slice(4)}&id=processes`;
      const [server, redis] = [await env.peer(peer), await env.peer("redis")];
      const [script, ca] = [join(folder, "resume.mjs"), join(folder, "processes-ca.pem")];
      writeFileSync(script, program);
      writeFileSync(ca, env.certs.caPem);
      for (const reused of [false, true]) {
        const args = [script, String(server.port), String(redis.port), ca, version];
        const { stdout } = await run(process.execPath, args, { timeout: 15_000 });
        assert.deepEqual(JSON.parse(stdout), { reused, verified: true, how: "complete" });
        assert.true((await eventsOf(peer, /^end/)).includes(`reused ${reused}`), "by the server's word, too");
      }
    });
  }
});
