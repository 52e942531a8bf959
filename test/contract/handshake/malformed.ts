/**
 * Handshakes that are damaged on the way, each at a byte that follows from the seed: changed, left out, or the last
 * that comes (`npm run damaged` does it at every byte). Both ends say so, each in its time; nothing traps, nothing
 * stays behind.
 */
import QUnit from "qunit";
import { type ClientOptions, OpenSsl, type ServerOptions } from "wassl";
import { concat } from "../../helpers/basics.ts";
import { client, clientCert, server } from "../../helpers/both-ends.ts";
import { attempt, complaintOf, type DamageName, damages, settled } from "../../helpers/damage.ts";
import { env, share } from "../../helpers/env.ts";
import { random } from "../../helpers/random.ts";

/** For each direction and version, of all runtimes together; which ones follow from the seed. */
const SAMPLES = 6;

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  QUnit.module(`malformed: handshakes on the way, ${version}`, () => {
    const only = { minVersion: version, maxVersion: version, groups: "x25519:secp256r1" } as const;
    const clientOptions = (openssl: OpenSsl): ClientOptions => ({
      ...client(),
      ...clientCert(),
      ...only,
      openssl,
      handshakeTimeout: 150,
    });
    const serverOptions = (openssl: OpenSsl): ServerOptions => ({
      ...server(),
      ...only,
      clientAuth: "require",
      caCerts: env.certs.caPem,
      openssl,
      handshakeTimeout: 150,
    });

    for (const victim of ["client", "server"] as const) {
      for (const name of Object.keys(damages) as DamageName[]) {
        QUnit.test(`${name} of what the ${victim} receives`, async (assert) => {
          assert.timeout(60_000);
          const openssl = await OpenSsl.load();
          const last = name === "nothing more comes";
          const damagedAt = (at: number) =>
            attempt(victim, at, name, clientOptions(openssl), serverOptions(openssl));
          const whole = await damagedAt(Number.POSITIVE_INFINITY);
          for (const end of [whole.own, whole.other]) if (end.status === "rejected") throw end.reason;
          const { length } = concat(whole.received);
          const next = random(env.seed);
          const places = share(Array.from({ length: SAMPLES }, () => Math.floor(next() * length)));
          for (const at of places) {
            const { own, other } = await damagedAt(at);
            const where = `byte ${at} of ${length}, seed ${env.seed}`;
            for (const end of [own, other]) assert.strictEqual(complaintOf(end), undefined, where);
            // The version in a record's header is the one thing that is not looked at and not covered by anything. And
            // a session ticket comes when a client has its handshake behind it.
            if (own.status === "fulfilled") {
              const harmless = last || version === "TLSv1.3" || name === "a bit is flipped";
              assert.true(harmless, `${where}: the ${victim} noticed nothing`);
            }
          }
          // Again: what OpenSSL keeps of each algorithm that it meets, it keeps once.
          const before = await settled(openssl);
          await Promise.all(places.map(damagedAt));
          const grown = (await settled(openssl)) - before;
          assert.true(Math.abs(grown) < 256, `${grown} bytes stayed behind, seed ${env.seed}`);
        });
      }
    }
  });
}
