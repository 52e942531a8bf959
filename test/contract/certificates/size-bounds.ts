/** How long the certificates of a peer may be, and how much memory they take. */
import QUnit from "qunit";
import { acceptTls, type ClientOptions, OpenSsl, startTls, TlsContext, type TlsError } from "wassl";
import {
  basicConstraints,
  commonName,
  dnsName,
  extension,
  oid,
  pem,
  rdn,
  sequence,
  subjectAltNames,
  tlv,
  utf8String,
} from "../../der.ts";
import { pair } from "../../fakes/pair.ts";
import { tlsError } from "../../helpers/basics.ts";
import { certificate, newKey } from "../../helpers/certificates.ts";
import { settled } from "../../helpers/damage.ts";

const load = () => OpenSsl.load();

/** Connects to a server that shows this chain: its info, or why not. */
async function connect(openssl: OpenSsl, cert: string, key: string, options: Partial<ClientOptions>) {
  const [here, there] = pair();
  const accepted = acceptTls(there, { openssl, cert, key, maxCertificateList: 2 ** 24 - 1 }).catch(
    () => undefined,
  );
  try {
    const stream = await startTls(here, {
      openssl,
      hostname: "s.test",
      sessionStore: false,
      ...options,
    } as ClientOptions);
    const { info } = stream;
    stream.abort();
    return info;
  } finally {
    (await accepted)?.abort();
  }
}

async function authority() {
  const [ca, own] = [await newKey(), await newKey()];
  const issuer = commonName("ca");
  const root = await certificate({
    issuer,
    subject: issuer,
    spki: ca.spki,
    signer: ca,
    extensions: [basicConstraints(true)],
  });
  const leaf = (extensions: readonly Uint8Array[], parts = {}) =>
    certificate({ issuer, subject: commonName("leaf"), spki: own.spki, signer: ca, extensions, ...parts });
  return { caCerts: pem(root), leaf, key: own.pem };
}

QUnit.module("size bounds: the certificates of a peer", () => {
  QUnit.test("at most maxCertificateList, in every version and at both ends", async (assert) => {
    const openssl = await load();
    const { caCerts, leaf, key } = await authority();
    const names = Array.from({ length: 5000 }, (_, i) => dnsName(`name-${i}.of-many.example.test`));
    const large = pem(await leaf([subjectAltNames(dnsName("s.test"), ...names)]));
    const small = pem(await leaf([subjectAltNames(dnsName("s.test"))]));
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const only = { caCerts, minVersion: version, maxVersion: version };
      const error = await tlsError(connect(openssl, large, key, only));
      assert.strictEqual(error.code, "protocol", error.message);
      assert.true(/maxCertificateList/.test(error.message), `${version}: ${error.message}`);
      const info = await connect(openssl, large, key, { ...only, maxCertificateList: 200_000 });
      assert.true(info.verified, `${version}: a server with 5,000 names`);
      assert.true(
        (await connect(openssl, small, key, { ...only, maxCertificateList: 4096 })).verified,
        version,
      );
    }
    // A server bounds its clients', and a context that is selected brings its own bound.
    const selected = await TlsContext.server({ openssl, cert: small, key, clientAuth: "require", caCerts });
    for (const [bounds, refused] of [
      [{ clientAuth: "require", caCerts }, true],
      [{ clientAuth: "require", caCerts, maxCertificateList: 200_000 }, false],
      [{ maxCertificateList: 200_000, selectContext: () => selected }, true],
    ] as const) {
      const [here, there] = pair();
      const client = startTls(here, {
        openssl,
        hostname: "s.test",
        caCerts,
        cert: large,
        key,
        sessionStore: false,
      });
      const outcome = await acceptTls(there, { openssl, cert: small, key, ...bounds }).then(
        (stream) => {
          stream.abort();
          return "accepted";
        },
        (error: TlsError) => error.message,
      );
      await client.then(
        (stream) => stream.abort(),
        () => undefined,
      );
      assert.strictEqual(/maxCertificateList/.test(outcome), refused, outcome);
    }
    selected.free();
  });

  QUnit.test("what cannot be a bound is refused", async (assert) => {
    for (const bound of [0, -1, 4095, 2 ** 24, 1.5, Number.NaN, "102400", null]) {
      const error = await tlsError(
        TlsContext.client({ maxCertificateList: bound as number, openssl: await load() }),
      );
      assert.strictEqual(error.code, "invalid-argument", String(bound));
      assert.true(/maxCertificateList/.test(error.message), error.message);
    }
  });
});

QUnit.module("size bounds: memory", () => {
  QUnit.test("distribution points relative to a long name (CVE-2026-35189)", async (assert) => {
    const openssl = await load();
    const { caCerts, leaf, key } = await authority();
    const good = pem(await leaf([subjectAltNames(dnsName("s.test"))]));
    assert.true((await connect(openssl, good, key, { caCerts })).verified);
    const point = sequence(tlv(0xa0, tlv(0xa1, sequence(oid("2.5.4.3"), utf8String("y")))));
    const points = extension("2.5.29.31", sequence(...Array.from({ length: 2000 }, () => point)));
    const issuer = sequence(...Array.from({ length: 500 }, () => rdn("2.5.4.3", "x")));
    const bomb = pem(await leaf([points], { issuer }));
    const before = await settled(openssl);
    for (let i = 0; i < 2; i++)
      assert.strictEqual((await tlsError(connect(openssl, bomb, key, { caCerts }))).code, "certificate");
    const size = openssl.memory.size;
    assert.true(size < 12 * 2 ** 20, `linear memory has grown to ${size} bytes`);
    assert.true((await settled(openssl)) - before < 4 * 2 ** 20, "what stays");
    assert.true((await connect(openssl, good, key, { caCerts })).verified);
  });
});
