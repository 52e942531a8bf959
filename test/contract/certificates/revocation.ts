/** What is made of OCSP responses and revocation lists that no tool would make: test/peers/revocation.ts has them. */
import QUnit from "qunit";
import { acceptTls, OpenSsl, startTls, TlsCertificateError, type VerifyFlag, verifyChain } from "wassl";
import { pair } from "../../fakes/pair.ts";
import { handshake } from "../../helpers/both-ends.ts";
import { afterTest, env, share } from "../../helpers/env.ts";

const load = () => OpenSsl.load();
const bytes = (base64: string) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

QUnit.module("revocation: OCSP", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    QUnit.test(`each response, soft and required, ${version}`, async (assert) => {
      const { ocsp } = env.forged.revocation;
      for (const [title, each] of share(Object.entries(ocsp))) {
        const { chain, key, roots, response, soft, require = soft, partialChain, time, says } = each;
        for (const [how, expected] of Object.entries({ off: "ok", soft, require })) {
          const [near] = await handshake(
            {
              ...{ minVersion: version, maxVersion: version, caCerts: roots, sessionStore: false },
              ocsp: how as "off" | "soft" | "require",
              verifyOptions: { partialChain, ...(time ? { time: new Date(time) } : {}) },
            },
            { cert: chain, key, ...(response ? { ocspResponse: bytes(response) } : {}) },
          );
          const error = near.status === "rejected" ? near.reason : undefined;
          const got = error instanceof TlsCertificateError ? error.verifyError : error ? String(error) : "ok";
          assert.strictEqual(got, expected, `${title}, ${how}: ${error?.message}`);
          if (says && how !== "off")
            assert.true(error?.message.includes(says), `${title}, ${how}: ${error?.message}`);
          if (near.status === "fulfilled") near.value.abort();
        }
      }
    });
  }
});

QUnit.module("revocation: lists", () => {
  QUnit.test(
    "each set of lists: by verifyChain, with and without a name, and in a handshake",
    async (assert) => {
      const openssl = await load();
      const { crls, key } = env.forged.revocation;
      for (const [title, { leaf, intermediates, roots, crls: lists, flags, error }] of share(
        Object.entries(crls),
      )) {
        const verifyOptions = { crls: lists, flags: flags as VerifyFlag[] };
        for (const name of [{}, { hostname: "localhost" }]) {
          const result = await verifyChain({
            openssl,
            leaf,
            intermediates,
            roots,
            ...verifyOptions,
            ...name,
          });
          const got = result.ok ? "ok" : result.failures.map((each) => each.error).join();
          assert.true(
            error === "ok" ? result.ok : got.includes(error),
            `${title}, ${JSON.stringify(name)}: ${got}`,
          );
        }
        for (const override of [false, true]) {
          const [left, right] = pair();
          const [near, far] = await Promise.allSettled([
            startTls(left, {
              ...{ openssl, hostname: "localhost", caCerts: roots, sessionStore: false, verifyOptions },
              ...(override ? { verify: () => true, unsafelyLetVerifyOverride: true } : {}),
            }),
            acceptTls(right, { openssl, cert: leaf + intermediates.join(""), key }),
          ]);
          for (const end of [near, far]) if (end.status === "fulfilled") afterTest(() => end.value.abort());
          const verified = near.status === "fulfilled" && near.value.info.verified;
          const said = near.status === "rejected" ? (near.reason as TlsCertificateError).verifyError : "";
          assert.strictEqual(verified, error === "ok", `${title}, override ${override}: ${said}`);
          if (error !== "ok") assert.strictEqual(near.status, override ? "fulfilled" : "rejected", title);
        }
      }
    },
  );
});
