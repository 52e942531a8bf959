/**
 * Handshakes that are damaged on the way, each at a byte that follows from the seed: changed, left out, or the last that comes.
 * Both ends say so, each in its time; nothing traps, nothing stays behind.
 */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  OpenSsl,
  type ServerOptions,
  startTls,
  TlsError,
  type TlsStream,
  type Transport,
} from "wassl";
import { pair } from "../fakes/pair.ts";
import { random } from "../fakes/random.ts";
import { client, clientCert, server } from "./both-ends.ts";
import { env } from "./env.ts";
import { sleep } from "./helpers.ts";

/** For each direction and version; which ones follow from the seed. */
const SAMPLES = 8;

type Damage = (chunk: Uint8Array, at: number) => Uint8Array[];
const damages: Record<string, Damage> = {
  "a bit is flipped": (chunk, at) => {
    const changed = chunk.slice();
    changed[at]! ^= 1 << (at % 8);
    return [changed];
  },
  "a byte is missing": (chunk, at) => [chunk.slice(0, at), chunk.slice(at + 1)],
  "nothing more comes": (chunk, at) => [chunk.slice(0, at)],
};

/** What `from` receives is counted, and damaged at the byte `at`; there the transport is at its end if `last`. */
function damaged(from: Transport, at: number, damage: Damage, last: boolean): [Transport, () => number] {
  let seen = 0;
  let over = false;
  const reader = from.readable.getReader();
  const readable = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value } = over ? { value: undefined } : await reader.read();
      if (value === undefined) return controller.close();
      const here = at - seen;
      seen += value.length;
      const hit = here >= 0 && here < value.length;
      over = hit && last;
      for (const piece of hit ? damage(value, here) : [value])
        if (piece.length > 0) controller.enqueue(piece);
      if (over) controller.close();
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return [{ readable, writable: from.writable }, () => seen];
}

/** What is allocated once nothing moves any more: ends that failed let go in their own time. */
async function settled(openssl: OpenSsl): Promise<number> {
  let used = openssl.memory.used;
  for (let same = 0; same < 3; ) {
    await sleep(10);
    same = openssl.memory.used === used ? same + 1 : 0;
    used = openssl.memory.used;
  }
  return used;
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  QUnit.module(`malformed: handshakes on the way, ${version}`, () => {
    const only = { minVersion: version, maxVersion: version, groups: "x25519" } as const;
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

    /** One handshake, damaged at the byte `at` of what the victim receives; how many bytes it received. */
    async function attempt(
      openssl: OpenSsl,
      victim: "client" | "server",
      at: number,
      damage: Damage,
      last: boolean,
    ): Promise<{ ends: PromiseSettledResult<TlsStream>[]; length: number }> {
      const [near, far] = pair();
      const [bad, length] = damaged(victim === "client" ? near : far, at, damage, last);
      const ends = await Promise.allSettled([
        startTls(victim === "client" ? bad : near, clientOptions(openssl)),
        acceptTls(victim === "server" ? bad : far, serverOptions(openssl)),
      ]);
      for (const end of ends) if (end.status === "fulfilled") end.value.abort();
      return { ends, length: length() };
    }

    for (const victim of ["client", "server"] as const) {
      for (const [name, damage] of Object.entries(damages)) {
        QUnit.test(`${name} of what the ${victim} receives`, async (assert) => {
          assert.timeout(60_000);
          const openssl = await OpenSsl.load();
          const last = name === "nothing more comes";
          const { length } = await attempt(openssl, victim, Number.POSITIVE_INFINITY, damage, false);
          const next = random(env.seed);
          for (let i = 0; i < 2; i++) await attempt(openssl, victim, i, damage, last);
          const before = await settled(openssl);
          for (let i = 0; i < SAMPLES; i++) {
            const at = Math.floor(next() * length);
            const { ends } = await attempt(openssl, victim, at, damage, last);
            const [own, other] = victim === "client" ? ends : [...ends].reverse();
            const where = `byte ${at} of ${length}, seed ${env.seed}`;
            for (const end of [own, other]) {
              if (end?.status !== "rejected") continue;
              const { reason } = end;
              assert.true(reason instanceof TlsError, `${where}: ${reason}`);
              const codes = [
                "alert",
                "protocol",
                "truncated",
                "certificate",
                "not-tls",
                "timeout",
                "transport",
              ];
              assert.true(codes.includes(reason.code), `${where}: ${reason.code}`);
            }
            // The version in a record's header is the one thing that nobody looks at and nothing covers; and a session ticket
            // comes when a client has its handshake behind it.
            if (own?.status === "fulfilled") {
              const harmless = last || version === "TLSv1.3" || name === "a bit is flipped";
              assert.true(harmless, `${where}: the ${victim} noticed nothing`);
            }
          }
          const grown = (await settled(openssl)) - before;
          assert.true(Math.abs(grown) < 256, `${grown} bytes stayed behind, seed ${env.seed}`);
        });
      }
    }
  });
}
