/** OCSP responses that servers staple: what a client makes of them. */
import QUnit from "qunit";
import { acceptTls, type ClientOptions, TlsCertificateError } from "wassl";
import { eventsOf, rejection, tlsError, utf8 } from "../../helpers/basics.ts";
import { client, connected, handshake, server } from "../../helpers/both-ends.ts";
import { connectTls } from "../../helpers/connect.ts";
import { afterTest, env } from "../../helpers/env.ts";

const response = (name: keyof typeof env.certs.ocsp) =>
  Uint8Array.from(atob(env.certs.ocsp[name]), (c) => c.charCodeAt(0));
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const only = { minVersion: version, maxVersion: version } as const;
  const number = version.slice(4);

  QUnit.module(`ocsp: stapled responses, ${version}`, () => {
    QUnit.test("good ones: by the issuer, by its responder, by SHA-1 and SHA-256", async (assert) => {
      for (const name of ["good", "delegated", "sha256", "brief"] as const) {
        for (const ocsp of ["soft", "require"] as const) {
          const both = await connected({ ...only, ocsp }, { ...only, ocspResponse: response(name) });
          assert.true(both.client.info.verified, `${name}, ${ocsp}`);
        }
      }
    });

    const bad: [string, () => Uint8Array, string, RegExp, (() => Partial<ClientOptions>)?][] = [
      ["revoked", () => response("revoked"), "X509_V_ERR_CERT_REVOKED", /revoked/],
      ["of an unknown certificate", () => response("unknown"), "X509_V_ERR_OCSP_CERT_UNKNOWN", /not know/],
      ["about another one", () => response("ofAnother"), "X509_V_ERR_OCSP_VERIFY_FAILED", /another/],
      ["signed by another CA", () => response("byAnother"), "X509_V_ERR_OCSP_VERIFY_FAILED", /not signed/],
      ["signed by the certificate", () => response("byLeaf"), "X509_V_ERR_OCSP_VERIFY_FAILED", /not signed/],
      [
        "stale",
        () => response("brief"),
        "X509_V_ERR_OCSP_VERIFY_FAILED",
        /stale/,
        () => ({ verifyOptions: { time: new Date(env.made + 2 * DAY) } }),
      ],
      [
        "of the future",
        () => response("good"),
        "X509_V_ERR_OCSP_VERIFY_FAILED",
        /stale/,
        () => ({ verifyOptions: { time: new Date(env.made - HOUR) } }),
      ],
      ["of bytes that are none", () => utf8("no response"), "X509_V_ERR_OCSP_VERIFY_FAILED", /malformed/],
      ["cut off", () => response("good").slice(0, -1), "X509_V_ERR_OCSP_VERIFY_FAILED", /malformed/],
      [
        "an error of the responder",
        () => Uint8Array.of(0x30, 3, 0x0a, 1, 6),
        "X509_V_ERR_OCSP_VERIFY_FAILED",
        /an error/,
      ],
      [
        "with a signature that is not its own",
        () => madeAtAnotherSecond(response("good")),
        "X509_V_ERR_OCSP_VERIFY_FAILED",
        /OCSP/,
      ],
    ];
    for (const [name, ocspResponse, verifyError, reason, given] of bad) {
      QUnit.test(`${name}: refused, soft or required, with an alert`, async (assert) => {
        const options = given?.();
        for (const ocsp of ["soft", "require"] as const) {
          const [near, far] = await handshake(
            { ...only, ocsp, ...options },
            { ...only, ocspResponse: ocspResponse() },
          );
          assert.strictEqual(near.status, "rejected");
          if (near.status === "fulfilled") continue;
          assert.true(near.reason instanceof TlsCertificateError, String(near.reason));
          assert.strictEqual(near.reason.verifyError, verifyError);
          assert.true(reason.test(near.reason.message), near.reason.message);
          assert.strictEqual(
            far.status === "rejected" && far.reason.alert?.description,
            "bad_certificate_status_response",
          );
        }
        // The client did not ask for it.
        await connected(
          { ...only, ...options, verifyOptions: {} },
          { ...only, ocspResponse: ocspResponse() },
        );
        assert.true(true, "off: it does not matter");
      });
    }

    QUnit.test("none: enough for soft, too little for require", async (assert) => {
      const both = await connected({ ...only, ocsp: "soft" }, only);
      assert.true(both.client.info.verified);
      const [near] = await handshake({ ...only, ocsp: "require" }, only);
      assert.strictEqual(
        near.status === "rejected" && near.reason.verifyError,
        "X509_V_ERR_OCSP_VERIFY_NEEDED",
      );
    });

    QUnit.test("openssl s_server staples: good and revoked", async (assert) => {
      const stream = await connectTls(`openssl?version=${number}&ocsp=good`, { ocsp: "require" });
      assert.true(stream.info.verified);
      await stream.close();
      const error = await rejection(connectTls(`openssl?version=${number}&ocsp=revoked`, { ocsp: "soft" }));
      assert.strictEqual((error as TlsCertificateError).verifyError, "X509_V_ERR_CERT_REVOKED");
    });

    QUnit.test("openssl s_client -status believes what we staple", async (assert) => {
      const log = encodeURIComponent("Cert Status|no response sent");
      const peer = `s_client?version=${number}&arg=-status&log=${log}&id=${env.runtime}`;
      const stream = await acceptTls(await env.connect(peer), {
        ...server(),
        ocspResponse: response("good"),
      });
      afterTest(() => stream.abort());
      const line = (await eventsOf(peer, /Cert Status|no response/)).find((event) => /Status|no/.test(event));
      assert.strictEqual(line?.trim(), "Cert Status: good");
    });
  });
}

QUnit.module("ocsp: options", () => {
  QUnit.test("what cannot work is refused", async (assert) => {
    for (const [options, message] of [
      [{ ocsp: "maybe" }, /maybe/],
      [{ ocsp: "require", unsafelyDisableVerification: true }, /ocsp needs verification/],
    ] as const) {
      const error = await tlsError(connectTls("tls", { ...client(), ...options } as ClientOptions));
      assert.strictEqual(error.code, "invalid-argument");
      assert.true(message.test(error.message), error.message);
    }
  });
});

/** Of what is signed nothing else is as harmless as `producedAt`, the first time of all; its last digit is changed. */
function madeAtAnotherSecond(response: Uint8Array): Uint8Array {
  const time = response.findIndex((byte, i) => byte === 0x18 && response[i + 1] === 15);
  return response.map((byte, i) => (i === time + 15 ? byte ^ 1 : byte));
}
