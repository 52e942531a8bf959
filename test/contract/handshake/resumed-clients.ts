/** A client's certificate is verified again when its session is resumed; OpenSSL does that on neither side. */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  OpenSsl,
  type ServerContextOptions,
  startTls,
  TlsContext,
  type TlsStream,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { readAtLeast, rejection, sleep, utf8, write } from "../../helpers/basics.ts";
import { client, clientCert, server } from "../../helpers/both-ends.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const DAY = 24 * 3600 * 1000;

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const only = { minVersion: version, maxVersion: version } as const;

  /** All share their tickets, and say that their sessions are each other's. */
  const context = async (options: Partial<ServerContextOptions> = {}) => {
    const made = await TlsContext.server({
      ...server(),
      ...only,
      ticketKeys: [randomBytes(80, env.seed)],
      sessionIdContext: "one for all",
      clientAuth: "require",
      caCerts: env.certs.caPem,
      ...options,
    });
    afterTest(() => made.free());
    return made;
  };

  const connect = async (
    on: TlsContext,
    options: Partial<ClientOptions>,
  ): Promise<{ near: TlsStream; far: TlsStream; session: Uint8Array }> => {
    const [left, right] = pair();
    const [near, far] = await Promise.all([
      startTls(left, { ...client(), sessionStore: false, ...options }),
      acceptTls(right, { context: on }),
    ]);
    afterTest(() => near.abort());
    afterTest(() => far.abort());
    await write(far.writable, utf8("."));
    await readAtLeast(near.readable, 1);
    return { near, far, session: near.getSession()! };
  };

  /** What the server has to say of a client that comes back. */
  const refusal = async (on: TlsContext, options: Partial<ClientOptions>): Promise<string> => {
    const [left, right] = pair();
    const accepting = acceptTls(right, { context: on });
    accepting.catch(() => {});
    const near = await startTls(left, { ...client(), sessionStore: false, ...options }).catch(
      () => undefined,
    );
    afterTest(() => near?.abort());
    const error = (await rejection(accepting)) as { verifyError?: string; code?: string };
    return String(error.verifyError ?? error.code);
  };

  QUnit.module(`resumed clients: ${version}`, () => {
    QUnit.test(
      "a client that would be accepted now is resumed, with the whole chain, again and again",
      async (assert) => {
        const on = await context();
        const first = await connect(on, clientCert());
        const names = first.far.info.peerCertificates.map(({ subject }) => subject);
        assert.strictEqual(names.length, 2);
        let { session } = first;
        for (let i = 0; i < 3; i++) {
          // Another context, which has nothing but the ticket.
          const again = await connect(await context(), { ...clientCert(), session });
          assert.true(again.far.info.sessionReused, `time ${i}`);
          assert.true(again.far.info.verified);
          assert.deepEqual(
            again.far.info.peerCertificates.map(({ subject }) => subject),
            names,
          );
          session = again.session;
        }
      },
    );

    QUnit.test("a client that would not be accepted now is asked for a certificate anew", async (assert) => {
      const { chains, keys, crls, otherCaPem } = env.certs;
      // It has a revocation list.
      const revoked = { cert: chains.ecdsa, key: keys.ecdsa };
      const any = { purpose: "any" } as const;
      const cases: [
        string,
        string,
        Partial<ClientOptions>,
        Partial<ServerContextOptions>,
        Partial<ServerContextOptions>,
      ][] = [
        [
          "revoked",
          "X509_V_ERR_CERT_REVOKED",
          revoked,
          { verifyOptions: any },
          { verifyOptions: { ...any, crls: [crls.ca, crls.revokesEcdsa] } },
        ],
        [
          "expired",
          "X509_V_ERR_CERT_HAS_EXPIRED",
          clientCert(),
          {},
          { verifyOptions: { time: new Date(Date.now() + 36_500 * DAY) } },
        ],
        [
          "not trusted any more",
          "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
          clientCert(),
          {},
          { caCerts: otherCaPem },
        ],
        ["good for something else", "X509_V_ERR_INVALID_PURPOSE", revoked, { verifyOptions: any }, {}],
      ];
      for (const [name, expected, identity, before, now] of cases) {
        const { session } = await connect(await context(before), identity);
        const control = await connect(await context(before), { ...identity, session });
        assert.true(control.far.info.sessionReused, `${name}: before, it is`);
        const { session: second } = await connect(await context(before), identity);
        const on = await context(now);
        assert.strictEqual(await refusal(on, { ...identity, session: second }), expected, name);
      }
      // With another one by now it gets in, by a full handshake.
      const { session } = await connect(await context({ verifyOptions: any }), revoked);
      const anew = await connect(await context(), { ...clientCert(), session });
      assert.false(anew.far.info.sessionReused);
      assert.true(anew.far.info.verified);
    });

    // What may bring early data is kept by the server, so that it is taken once.
    const cached = version === "TLSv1.2" ? { tickets: 0 } : { maxEarlyData: 1000 };
    for (const [where, kept] of Object.entries({ "in tickets": {}, "in the server's memory": cached })) {
      QUnit.test(`sessions ${where}: a context that was selected has the say`, async (assert) => {
        const good = await context(kept);
        const stale = await context({ ...kept, verifyOptions: { crls: [] } });
        let selected = good;
        const chooser = await context({ ...kept, clientAuth: "none", selectContext: () => selected });
        const first = await connect(chooser, clientCert());
        const again = await connect(chooser, { ...clientCert(), session: first.session });
        assert.true(again.far.info.sessionReused && again.far.info.verified, "verified again");
        assert.strictEqual(again.far.info.peerCertificates.length, 2);
        selected = stale;
        const error = await refusal(chooser, { ...clientCert(), session: again.session });
        assert.strictEqual(error, "X509_V_ERR_UNABLE_TO_GET_CRL");
      });
    }

    QUnit.test(
      "a client that OpenSSL refused and verify accepted is resumed, unverified, and verify is asked",
      async (assert) => {
        let asked = 0;
        const options = { caCerts: env.certs.otherCaPem, unsafelyLetVerifyOverride: true } as const;
        const verify = () => ++asked > 0;
        const { far, session } = await connect(await context({ ...options, verify }), clientCert());
        assert.false(far.info.verified);
        const again = await connect(await context({ ...options, verify }), { ...clientCert(), session });
        assert.true(again.far.info.sessionReused);
        assert.false(again.far.info.verified);
        assert.strictEqual(asked, 2);
      },
    );

    QUnit.test("a chain that is too long for a ticket is shown again, and nothing leaks", async (assert) => {
      const { chains, keys } = env.certs;
      // The intermediate over and over: it is sent as it stands.
      const long = { cert: chains.client + env.certs.intermediatePem.repeat(20), key: keys.client };
      const openssl = await OpenSsl.load();
      const on = await context({ openssl });
      const { session } = await connect(on, long);
      const again = await connect(on, { ...long, session });
      assert.false(again.far.info.sessionReused);
      assert.true(again.far.info.verified);
      const round = async () => {
        const both = await connect(on, clientCert());
        const resumed = await connect(on, { ...clientCert(), session: both.session });
        const other = await context({ openssl, caCerts: env.certs.otherCaPem });
        await refusal(other, { ...clientCert(), session: resumed.session });
        other.free();
        for (const { near, far } of [both, resumed]) {
          await near.close();
          await far.close();
        }
        await sleep(5);
      };
      for (let i = 0; i < 2; i++) await round();
      const before = openssl.memory.used;
      for (let i = 0; i < 3; i++) await round();
      const grown = openssl.memory.used - before;
      assert.true(Math.abs(grown) < 4096, `${grown} bytes`);
    });
  });
}
