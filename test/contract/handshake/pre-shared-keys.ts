/** External pre-shared keys, one and several; and how long a client can go on by resuming. */
import QUnit from "qunit";
import { acceptTls, type ClientOptions, type PreSharedKey, startTls, TlsContext } from "wassl";
import { pair } from "../../fakes/pair.ts";
import { sleep, tlsError, write } from "../../helpers/basics.ts";
import { client, clientCert, connected, handshake, server, sessionAfter } from "../../helpers/both-ends.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const versions = ["TLSv1.2", "TLSv1.3"] as const;
const PSK_ONLY = "PSK";
const psk = (identity: string, hash?: "SHA-384"): PreSharedKey => ({
  identity,
  key: randomBytes(32, env.seed + identity.length * 1000 + identity.charCodeAt(0)),
  ...(hash && { hash }),
});
const hex = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const only = (version: (typeof versions)[number]) => ({
  minVersion: version,
  maxVersion: version,
  ...(version === "TLSv1.2" && { ciphers: PSK_ONLY }),
});
/** A client without certificates: whom a key does not vouch for is nobody. */
const withKeys = (psks: readonly PreSharedKey[], options: Partial<ClientOptions> = {}) => ({
  ...options,
  hostname: "localhost",
  caCerts: [],
  psks,
});

QUnit.module("pre-shared keys", () => {
  for (const version of versions) {
    QUnit.test(`${version}: a server takes each of several, and says which`, async (assert) => {
      const psks = ["one", "two", "three"].map((name) => psk(name));
      for (const key of psks) {
        const both = await connected(
          { ...only(version), caCerts: [], psk: key, sessionStore: false },
          { ...only(version), psks, cert: undefined!, key: undefined! },
        );
        assert.strictEqual(both.server.info.pskIdentity, key.identity);
        assert.strictEqual(both.client.info.pskIdentity, key.identity);
        for (const { info } of Object.values(both)) {
          assert.false(info.sessionReused, "a key is no session of an earlier connection");
          assert.deepEqual(info.peerCertificates, []);
        }
      }
      const [near, far] = await handshake(
        { ...only(version), caCerts: [], psk: { ...psks[0]!, key: new Uint8Array(32) }, sessionStore: false },
        { ...only(version), psks, cert: undefined!, key: undefined! },
      );
      assert.strictEqual([near.status, far.status].join(), "rejected,rejected", "with the wrong key nobody");
    });

    QUnit.test(`${version}: openssl s_client with one of them`, async (assert) => {
      const number = version.slice(-3);
      const psks = ["one", "two"].map((name) => psk(name));
      for (const [i, key] of psks.entries()) {
        const suites = version === "TLSv1.2" ? `&arg=-cipher&arg=${PSK_ONLY}` : "";
        const peer = `s_client?version=${number}&arg=-psk_identity&arg=${key.identity}&arg=-psk&arg=${hex(key.key)}${suites}&id=psk-${env.runtime}-${i}`;
        const stream = await acceptTls(await env.connect(peer), { ...only(version), psks });
        afterTest(() => stream.abort());
        assert.strictEqual(stream.info.pskIdentity, key.identity);
        assert.false(stream.info.sessionReused);
      }
    });

    QUnit.test(`${version}: a client of several, and openssl s_server`, async (assert) => {
      const number = version.slice(-3);
      const psks = ["one", "two"].map((name) => psk(name));
      // In TLS 1.3 the first is offered. In TLS 1.2 the server says which one it has.
      const known = psks[version === "TLSv1.2" ? 1 : 0]!;
      const peer = `openssl?version=${number}&arg=-psk_identity&arg=${known.identity}&arg=-psk_hint&arg=${known.identity}&arg=-psk&arg=${hex(known.key)}&id=psk-${env.runtime}`;
      const stream = await startTls(await env.connect(peer), {
        ...withKeys(psks, { ...only(version), sessionStore: false }),
        ...(version === "TLSv1.2" && { ciphers: "PSK" }),
      });
      afterTest(() => stream.abort());
      assert.strictEqual(stream.info.pskIdentity, known.identity);
    });
  }

  // A server that takes early data keeps its sessions in memory, and otherwise in the tickets.
  for (const maxEarlyData of [undefined, 16_384])
    QUnit.test(
      `a session of such a connection is one, and knows the key${maxEarlyData ? ": in memory" : ""}`,
      async (assert) => {
        const psks = ["one", "two"].map((name) => psk(name));
        const context = await TlsContext.server({ psks, ...(maxEarlyData && { maxEarlyData }) });
        afterTest(() => context.free());
        let session: Uint8Array | undefined;
        for (const reused of [false, true, true]) {
          const [left, right] = pair();
          const [near, far] = await Promise.all([
            startTls(left, {
              ...withKeys([psks[1]!]),
              // Otherwise a session without a certificate is not offered.
              unsafelyDisableVerification: true,
              sessionStore: false,
              ...(session && { session }),
            }),
            acceptTls(right, { context }),
          ]);
          for (const end of [near, far]) {
            afterTest(() => end.abort());
            assert.strictEqual(end.info.sessionReused, reused);
            assert.strictEqual(end.info.pskIdentity, "two");
          }
          session = await sessionAfter(near, far);
          assert.strictEqual(far.info.pskIdentity, "two");
        }
      },
    );

  QUnit.test("keys of 1 to 512 bytes, identities of 1 to 256", async (assert) => {
    for (const version of versions) {
      for (const [identity, length] of [
        ["x".repeat(256), 512],
        ["é".repeat(128), 49],
        ["x", 1],
      ] as const) {
        const key = { identity, key: randomBytes(length, env.seed) };
        const both = await connected(
          { ...only(version), caCerts: [], psk: key, sessionStore: false },
          { ...only(version), psk: key, cert: undefined!, key: undefined! },
        );
        assert.strictEqual(both.server.info.pskIdentity, identity, `${version}: ${length} bytes`);
      }
    }
    const long = randomBytes(512, env.seed + 1);
    const peer = `s_client?version=1.3&arg=-psk_identity&arg=me&arg=-psk&arg=${hex(long)}&id=psk-long-${env.runtime}`;
    const stream = await acceptTls(await env.connect(peer), { psk: { identity: "me", key: long } });
    afterTest(() => stream.abort());
    assert.strictEqual(stream.info.pskIdentity, "me", "openssl s_client has it, too");
  });

  QUnit.test("what cannot work is refused", async (assert) => {
    const [one, two] = [psk("one"), psk("two", "SHA-384")];
    for (const [options, message] of [
      [{ psks: [one, two] }, /same hash/],
      [{ psk: one, psks: [one] }, /psks stands instead of psk/],
      [{ psks: [{ identity: "x" }] }, /psks\[0\]\.key is missing/],
      [
        { psks: [{ identity: "x".repeat(257), key: one.key }] },
        /psks\[0\]\.identity must be a text of 1 to 256/,
      ],
      [{ psks: [{ identity: "x", key: new Uint8Array(513) }] }, /psks\[0\]\.key must be .* 1 to 512/],
    ] as const) {
      const error = await tlsError(TlsContext.server(options as never));
      assert.strictEqual(error.code, "invalid-argument");
      assert.true(message.test(error.message), error.message);
    }
    const both = await connected(
      { psks: [two], caCerts: [], sessionStore: false },
      { psks: [two, psk("three", "SHA-384")], cert: undefined!, key: undefined! },
    );
    assert.strictEqual(both.server.info.cipher, "TLS_AES_256_GCM_SHA384", "of one hash they do");
  });
});

QUnit.module("how long a client can go on by resuming", () => {
  for (const version of versions) {
    QUnit.test(`${version}: maxSessionAge counts from the full handshake`, async (assert) => {
      const { caPem } = env.certs;
      const common = { ...server(), clientAuth: "require", caCerts: caPem } as const;
      const bounded = await TlsContext.server({ ...common, maxSessionAge: 2 });
      const free = await TlsContext.server(common);
      const found: Record<string, boolean[]> = {};
      await Promise.all(
        Object.entries({ bounded, free }).map(async ([name, context]) => {
          afterTest(() => context.free());
          let session: Uint8Array | undefined;
          found[name] = [];
          for (let i = 0; i < 4; i++) {
            if (i > 1) await sleep(1_100);
            const [left, right] = pair();
            const [near, far] = await Promise.all([
              startTls(left, {
                ...client(),
                ...clientCert(),
                minVersion: version,
                maxVersion: version,
                sessionStore: false,
                ...(session && { session }),
              }),
              acceptTls(right, { context }),
            ]);
            for (const end of [near, far]) afterTest(() => end.abort());
            assert.true(far.info.verified, "or shows its certificate again");
            found[name]!.push(far.info.sessionReused);
            session = await sessionAfter(near, far);
          }
        }),
      );
      assert.deepEqual(found.free, [false, true, true, true]);
      // A full handshake between two seconds counts as of the earlier one.
      assert.deepEqual([found.bounded![0], found.bounded![1]], [false, true]);
      assert.true(found.bounded!.slice(2).includes(false), found.bounded!.join());
    });
  }
});

QUnit.module("setTicketKeys", () => {
  for (const version of versions) {
    QUnit.test(`${version}: on a context in use, at once`, async (assert) => {
      const [old, fresh, other] = [1, 2, 3].map((n) => randomBytes(80, env.seed + n));
      const context = await TlsContext.server({ ...server(), ticketKeys: [old!] });
      afterTest(() => context.free());
      let session: Uint8Array | undefined;
      const resumed: boolean[] = [];
      // A ticket is under the key that came first when it was made.
      for (const keys of [[old!], [fresh!, old!], [fresh!], [other!]]) {
        context.setTicketKeys(keys);
        const [left, right] = pair();
        const [near, far] = await Promise.all([
          startTls(left, {
            ...client(),
            minVersion: version,
            maxVersion: version,
            sessionStore: false,
            ...(session && { session }),
          }),
          acceptTls(right, { context }),
        ]);
        for (const end of [near, far]) afterTest(() => end.abort());
        resumed.push(far.info.sessionReused);
        session = await sessionAfter(near, far);
      }
      assert.deepEqual(resumed, [false, true, true, false]);
      const on = await TlsContext.client({ caCerts: env.certs.caPem });
      afterTest(() => on.free());
      for (const wrong of [
        () => context.setTicketKeys([]),
        () => context.setTicketKeys([new Uint8Array(79)]),
        () => context.setTicketKeys("x" as never),
        () => on.setTicketKeys([old!]),
      ]) {
        assert.throws(wrong, (error: { code?: string }) => error.code === "invalid-argument");
      }
    });
  }
});

QUnit.module("records and peers of old", () => {
  QUnit.test("maxSendFragment: openssl s_client sees no longer record", async (assert) => {
    for (const version of ["1.2", "1.3"]) {
      // What -msg shows of a header: type, version, length.
      const peer = `s_client?version=${version}&log=^%20*17%2003%2003&id=fragment-${env.runtime}-${version}`;
      const stream = await acceptTls(await env.connect(peer), { ...server(), maxSendFragment: 512 });
      afterTest(() => stream.abort());
      await write(stream.writable, new Uint8Array(20_000));
      await stream.writable.close();
      let lengths: number[] = [];
      for (let i = 0; i < 100 && lengths.length < 40; i++) {
        await sleep(20);
        const lines = await env.events(peer);
        lengths = lengths.concat(
          lines.flatMap((line) => {
            const [, high, low] = line.match(/^ *17 03 03 (\w\w) (\w\w)/) ?? [];
            return high && low ? [Number.parseInt(high + low, 16)] : [];
          }),
        );
      }
      const data = lengths.filter((length) => length > 100);
      assert.true(data.length >= 39, `${version}: ${data.length} records`);
      assert.true(Math.max(...data) <= 512 + 30, `${version}: ${Math.max(...data)} bytes`);
    }
  });

  QUnit.test("legacyServerConnect: a server of GnuTLS without RFC 5746", async (assert) => {
    const priority = encodeURIComponent("NORMAL:-VERS-ALL:+VERS-TLS1.2:%DISABLE_SAFE_RENEGOTIATION");
    const peer = (i: number) => `gnutls?arg=--priority&arg=${priority}&id=legacy-${env.runtime}-${i}`;
    const options = { ...client(), sessionStore: false } as const;
    const error = await tlsError(startTls(await env.connect(peer(0)), options));
    assert.strictEqual(error.code, "protocol", error.message);
    assert.true(/renegotiation/.test(error.message), error.message);
    const stream = await startTls(await env.connect(peer(1)), { ...options, legacyServerConnect: true });
    afterTest(() => stream.abort());
    assert.true(stream.info.verified);
  });
});
