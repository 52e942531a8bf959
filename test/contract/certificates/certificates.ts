/** Certificates and revocation lists as they are read: all fields, and what is malformed. */
import QUnit from "qunit";
import { type OpenSsl, TlsError } from "wassl";
import type * as ssl from "wassl/openssl";
import { sha256, text, utf8 } from "../../helpers/basics.ts";
import { derOf, openssl, pem, verdict } from "../../helpers/chains.ts";
import { env, share } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";
import { recipes } from "../../peers/chain-cases.ts";

QUnit.module("malformed certificates", () => {
  /** Verified by itself and as intermediate, and each field read: an answer or a typed error, and never "ok". */
  const swallow = (
    instance: OpenSsl,
    store: ssl.X509Store,
    name: "leaf" | "inter",
    bytes: Uint8Array,
  ): string => {
    try {
      const chain = name === "leaf" ? [bytes, pem("inter")] : [pem("leaf"), bytes];
      const result = store.verify(chain);
      const [x509] = instance.parseCertificates(bytes);
      for (const field of ["subject", "issuer", "subjectAltName", "notBefore", "publicKey", "pem"] as const) {
        if (x509?.[field] === undefined) throw new Error(`no ${field}`);
      }
      return verdict(result);
    } catch (error) {
      if (error instanceof TlsError) return error.code;
      throw error;
    }
  };

  for (const name of ["leaf", "inter"] as const) {
    QUnit.test(`${name}: cut at every byte, and changed in every byte`, async (assert) => {
      const instance = await openssl();
      using store = instance.newX509Store();
      // Nothing above it, so that there is only one signature to verify each time.
      store.addCaCert(pem(name === "leaf" ? "inter" : "root"));
      store.setVerifyParam({ purpose: "sslserver", hostname: "host.wassl.test", securityLevel: 2 });
      store.setVerifyParam({ flags: ["X509_V_FLAG_PARTIAL_CHAIN"] });
      const whole = derOf(pem(name));
      assert.strictEqual(swallow(instance, store, name, whole), "ok", "as it is");
      // The texts of errors are loaded when one is told first.
      swallow(instance, store, name, whole.subarray(1));
      const bits = randomBytes(whole.length, env.seed);
      const verdicts = new Map<string, number>();
      const note = (what: string, bytes: Uint8Array) => {
        const said = swallow(instance, store, name, bytes);
        verdicts.set(said, (verdicts.get(said) ?? 0) + 1);
        if (said === "ok" || !/^(X509_V_ERR_\w+|invalid-argument|openssl)$/.test(said)) {
          assert.true(false, `seed ${env.seed}, ${what}: ${said}`);
        }
      };
      const places = share([...whole.keys()]);
      const all = () => {
        for (const length of places) note(`cut at ${length}`, whole.subarray(0, length));
        for (const at of places) {
          const changed = whole.slice();
          changed[at]! ^= 1 << (bits[at]! & 7);
          note(`changed at ${at} to ${changed[at]}`, changed);
        }
        return instance.memory.used;
      };
      // OpenSSL keeps some things that it meets for the first time, algorithms and the texts of errors. All of it a
      // second time must leave nothing; a leak, one for each malformed certificate, would be 2,500 bytes at least.
      const before = all();
      const after = all();
      assert.true(verdicts.size >= 3, JSON.stringify([...verdicts]));
      assert.true(after - before <= 256, `${before} bytes before, ${after} after`);
      assert.strictEqual(swallow(instance, store, name, whole), "ok", "and as it is, afterwards");
    });
  }
});

QUnit.module("malformed revocation lists", () => {
  QUnit.test("changed in any byte, none lets a revoked certificate pass", async (assert) => {
    const instance = await openssl();
    const whole = derOf(pem("interCrl"));
    const check = (crl: Uint8Array | undefined, leaf: string) => {
      using store = instance.newX509Store();
      store.addCaCert(pem("inter"));
      store.setVerifyParam({ flags: ["X509_V_FLAG_PARTIAL_CHAIN", "X509_V_FLAG_CRL_CHECK"] });
      try {
        if (crl) store.addCrl(crl);
      } catch (error) {
        if (error instanceof TlsError && error.code === "invalid-argument") return error.code;
        throw error;
      }
      return verdict(store.verify([pem(leaf)]));
    };
    assert.strictEqual(check(whole, "leaf"), "ok");
    assert.strictEqual(check(whole, "revoked"), "X509_V_ERR_CERT_REVOKED");
    assert.strictEqual(check(undefined, "revoked"), "X509_V_ERR_UNABLE_TO_GET_CRL");
    const bits = randomBytes(whole.length, env.seed);
    const verdicts = new Set<string>();
    const all = () => {
      for (const at of share([...whole.keys()])) {
        const changed = whole.slice();
        changed[at]! ^= 1 << (bits[at]! & 7);
        for (const crl of [changed, whole.subarray(0, at)]) {
          const said = check(crl, "revoked");
          verdicts.add(said);
          if (!/^(X509_V_ERR_\w+|invalid-argument)$/.test(said))
            assert.true(false, `seed ${env.seed}, byte ${at}: ${said}`);
        }
      }
      return instance.memory.used;
    };
    // As above: what OpenSSL keeps, it has after the first time.
    const before = all();
    const after = all();
    assert.true(verdicts.has("X509_V_ERR_CRL_SIGNATURE_FAILURE"), [...verdicts].join());
    assert.true(after - before <= 256, `${before} bytes before, ${after} after`);
  });
});

QUnit.module("X509", () => {
  QUnit.test("all fields", async (assert) => {
    const instance = await openssl();
    const leaf = instance.parseX509(pem("leaf"));
    assert.strictEqual(leaf.subject, "CN=leaf,O=Wassl chains");
    assert.strictEqual(leaf.issuer, "CN=inter,O=Wassl chains");
    assert.deepEqual(leaf.subjectAltName, [
      "DNS:host.wassl.test",
      "DNS:*.wild.wassl.test",
      "DNS:f*.part.wassl.test",
      "DNS:*.x.*.wassl.test",
      "DNS:xn--bcher-kva.wassl.test",
      "IP Address:192.0.2.7",
      "IP Address:2001:DB8:0:0:0:0:0:7",
      "email:user@wassl.test",
    ]);
    assert.deepEqual(instance.parseX509(pem("root")).subjectAltName, []);
    assert.deepEqual(instance.parseX509(pem("lineBreak")).subjectAltName, ["DNS:a.test\nDNS:"], "one name");
    assert.true(/^10[0-9A-F]{2}$/.test(leaf.serialNumber), leaf.serialNumber);
    const days = (leaf.notAfter.getTime() - leaf.notBefore.getTime()) / 86_400_000;
    assert.strictEqual(days, 30);
    assert.true(Math.abs(leaf.notBefore.getTime() - env.made) < 3_600_000, leaf.notBefore.toISOString());
    assert.strictEqual(leaf.publicKey, "EC prime256v1 256");
    assert.deepEqual(leaf.der, derOf(pem("leaf")));
    assert.strictEqual(leaf.pem, pem("leaf"));
    const hex = (fingerprint: string) => fingerprint.replaceAll(":", "").toLowerCase();
    assert.strictEqual(hex(leaf.sha256Fingerprint), await sha256(derOf(pem("leaf"))));
    const sha1 = new Uint8Array(await crypto.subtle.digest("SHA-1", derOf(pem("leaf"))));
    assert.strictEqual(
      hex(leaf.sha1Fingerprint),
      Array.from(sha1, (b) => b.toString(16).padStart(2, "0")).join(""),
    );
    assert.true(/^([0-9A-F]{2}:){19}[0-9A-F]{2}$/.test(leaf.sha1Fingerprint), leaf.sha1Fingerprint);
  });

  QUnit.test("WebCrypto takes the public key", async (assert) => {
    const instance = await openssl();
    const [inter, leaf] = instance.parseCertificates(pem("inter") + pem("edLeaf"));
    const key = await crypto.subtle.importKey(
      "spki",
      inter!.publicKeyDer as Uint8Array<ArrayBuffer>,
      { name: "ECDSA", namedCurve: "P-256" },
      true,
      ["verify"],
    );
    assert.deepEqual(new Uint8Array(await crypto.subtle.exportKey("spki", key)), inter!.publicKeyDer);
    assert.strictEqual(leaf!.publicKey, "ED25519 256");
    assert.strictEqual(leaf!.publicKeyDer.length, 44);
  });

  QUnit.test("many certificates at once: all or nothing", async (assert) => {
    const instance = await openssl();
    const names = Object.keys(Object.assign({}, ...recipes));
    const all = instance.parseCertificates(names.map(pem).join("and another:\n"));
    assert.deepEqual(
      all.map((each) => each.pem),
      names.map(pem),
    );
    assert.deepEqual(
      instance.parseCertificates(utf8(pem("leaf"))).map((each) => each.pem),
      [pem("leaf")],
    );
    assert.deepEqual(
      instance.parseCertificates(derOf(pem("leaf"))).map((each) => each.pem),
      [pem("leaf")],
    );
    for (const bad of [
      "",
      "text",
      pem("leaf").slice(0, -20),
      pem("leaf") + pem("inter").replace("M", "A"),
      pem("rootCrl"),
    ]) {
      assert.throws(
        () => instance.parseCertificates(bad),
        (error: unknown) => error instanceof TlsError && error.code === "invalid-argument",
        text(utf8(bad)).slice(0, 40),
      );
    }
    assert.strictEqual(instance.errors().length, 0, "no stale error");
  });
});
