/** Private keys under a passphrase, in the forms and ciphers in which programs write them. */
import { createPrivateKey } from "node:crypto";
import QUnit from "qunit";
import { OpenSsl, TlsError } from "wassl";
import { env } from "../helpers/env.ts";
import { Watch } from "../helpers/residue.ts";

QUnit.module("encrypted keys", () => {
  const [right, wrong] = ["open sesame, and no other word", "close, sesame, or so they say"] as const;
  const modes = ["cbc", "cfb", "ofb", "ctr"];
  const ciphers = [128, 192, 256].flatMap((bits) => modes.map((mode) => `aes-${bits}-${mode}`));

  for (const [kind, type] of [
    ["ecdsa", "sec1"],
    ["rsa", "pkcs1"],
    ["ecdsa", "pkcs8"],
  ] as const) {
    QUnit.test(`${type}, with each key size and mode of AES that OpenSSL writes`, async (assert) => {
      using watch = new Watch();
      const openssl = await OpenSsl.load();
      for (const each of [right, wrong]) watch.secret(each, Buffer.from(each));
      const key = createPrivateKey(env.certs.keys[kind]);
      for (const cipher of type === "pkcs8" ? ciphers.filter((name) => name.endsWith("cbc")) : ciphers) {
        const pem = key.export({ type: type as "pkcs8", format: "pem", cipher, passphrase: right });
        assert.true(/ENCRYPTED/.test(String(pem)));
        const context = openssl.newContext("server");
        context.useCertificateChain(env.certs.chains[kind]);
        assert.throws(() => context.usePrivateKey(String(pem), wrong), TlsError, `${cipher}, wrong`);
        context.usePrivateKey(String(pem), right);
        context.free();
      }
      watch.secret("the key", Buffer.from(key.export({ format: "jwk" }).d!, "base64url"));
      assert.deepEqual(watch.residue(openssl), [], "nothing of key and passphrases stays in linear memory");
    });
  }
});
