/** Names of cipher suites: those of openssl are taken, and others are told. */
import { execFileSync } from "node:child_process";
import QUnit from "qunit";
import { TlsContext, TlsError } from "wassl";
import { createSecureContext } from "wassl/node/tls";

/** What is told of a list, if it is refused. */
async function refusal(ciphers: string): Promise<string | undefined> {
  try {
    (await TlsContext.client({ ciphers })).free();
    return undefined;
  } catch (error) {
    if (!(error instanceof TlsError) || error.code !== "invalid-argument") throw error;
    return error.message;
  }
}

QUnit.module("names of cipher suites", () => {
  QUnit.test(
    "each that openssl has is taken, or lacks its algorithm here and can be removed",
    async (assert) => {
      const list = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";
      const printed = execFileSync("openssl", ["ciphers", "-stdname", list], { encoding: "utf8" });
      const names = printed
        .split("\n")
        .flatMap((line) => line.match(/^(\S+) +- +(\S+) +TLSv1\.2|^(\S+) +- +(\S+)/) ?? []);
      const all = new Set(names.filter((name) => name !== undefined && !name.includes(" ")));
      assert.true(all.size > 100, `${all.size} names`);
      let taken = 0;
      for (const name of all) {
        if (/^TLS_(AES|CHACHA20)_/.test(name)) {
          assert.true(/is of TLS 1\.3/.test(String(await refusal(`ECDHE:${name}`))), name);
          continue;
        }
        const told = await refusal(`ECDHE:${name}`);
        if (told === undefined) taken++;
        else {
          const lacks = /CAMELLIA|ARIA|SRP|NULL|ADH|AECDH|anon|DSS|DES|RC4|IDEA|SEED|MD5|GOST/i.test(name);
          assert.true(lacks && told.includes(`does not know "${name}"`), `${name}: ${told}`);
        }
        assert.strictEqual(await refusal(`ECDHE:!${name}`), undefined, `!${name}`);
      }
      assert.true(taken > 60, `${taken} are taken`);
    },
  );

  QUnit.test("OpenSSL's keywords, operators and separators", async (assert) => {
    const keywords =
      "ALL COMPLEMENTOFALL COMPLEMENTOFDEFAULT HIGH MEDIUM LOW eNULL NULL aNULL kRSA aRSA RSA kDHr kDHd kDH kDHE kEDH DH " +
      "DHE EDH ADH kEECDH kECDHE ECDH ECDHE EECDH AECDH aDSS DSS aDH aECDSA ECDSA TLSv1.2 TLSv1.0 SSLv3 AES128 AES256 " +
      "AES AESGCM AESCCM AESCCM8 ARIA128 ARIA256 ARIA CAMELLIA128 CAMELLIA256 CAMELLIA CHACHA20 3DES DES RC4 RC2 IDEA " +
      "SEED MD5 SHA1 SHA SHA256 SHA384 aGOST aGOST01 kGOST GOST94 GOST89MAC PSK kPSK kECDHEPSK kDHEPSK kRSAPSK aPSK SRP " +
      "kSRP aSRP EXPORT";
    for (const keyword of keywords.split(" ")) {
      for (const list of [
        `ECDHE:${keyword}`,
        `AESGCM:!${keyword}:ECDHE+CHACHA20`,
        `ALL:-${keyword}:ALL`,
        `ALL:+${keyword}`,
      ]) {
        // With all of a kind removed there may be nothing left, which OpenSSL tells.
        const told = await refusal(list);
        assert.true(told === undefined || /no cipher match/.test(told), `${list}: ${told}`);
      }
    }
    for (const list of [
      "DEFAULT",
      "DEFAULT@SECLEVEL=1",
      "DEFAULT:!kRSA@STRENGTH",
      "SUITEB128",
      "SUITEB128ONLY",
      "ALL:@SECLEVEL=0",
      "ECDHE+AESGCM:ECDHE+CHACHA20:kEECDH+aRSA+AES256",
      "ECDHE-ECDSA-AES128-GCM-SHA256,ECDHE-RSA-AES128-GCM-SHA256 DHE;PSK",
      "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
      "HIGH:!aNULL:!MD5:!RC4:!3DES:!EDH-RSA-DES-CBC3-SHA:!KRB5-DES-CBC3-SHA:!EXP-RC4-MD5",
      "?NONSENSE:ECDHE",
      ":ECDHE::",
    ]) {
      assert.strictEqual(await refusal(list), undefined, list);
    }
  });

  QUnit.test("a name that OpenSSL would leave out", async (assert) => {
    for (const [list, told] of [
      ["ECDHE-RSA-AES128-GCM-SHA256:NONSENSE", /"NONSENSE"$/],
      [
        "ECDHE-RSA-AES128-GCM-SHA265",
        /"ECDHE-RSA-AES128-GCM-SHA265"; did you mean "ECDHE-RSA-AES128-GCM-SHA256"\?$/,
      ],
      ["ECDHE-RSA-AES256-SHA256:ECDHE", /"ECDHE-RSA-AES256-SHA256"; did you mean "ECDHE-RSA-AES/],
      ["HIGH:!aNUL", /"aNUL"; did you mean "aNULL"\?$/],
      ["HIGH:!kRSAA", /"kRSAA"; did you mean "kRSA"\?$/],
      ["ECDHE+AESGMC", /"AESGMC"; did you mean "AESGCM"\?$/],
      ["HIGHH", /"HIGHH"; did you mean "HIGH"\?$/],
      ["DEFAULTS", /"DEFAULTS"; did you mean "DEFAULT"\?$/],
      ["DES-CBC3-SHA:ECDHE", /"DES-CBC3-SHA"/],
      ["?NONSENSE", /no cipher match/],
      ["ECDHE:?NONSENSE:OTHER", /"OTHER"/],
      ["ECDHE:@NONSENSE", /invalid command/],
    ] as const) {
      const message = String(await refusal(list));
      assert.true(message.startsWith("ciphers ") && told.test(message), `${list}: ${message}`);
    }
    for (const [list, told] of [
      ["TLS_AES_128_GCM_SHA256:NONSENSE", /"NONSENSE"/],
      ["TLS_AES_128_GCM_SHA256:?NONSENSE", undefined],
      ["?NONSENSE", /"NONSENSE"/],
    ] as const) {
      const error = await TlsContext.client({ cipherSuites: list }).then(
        (context) => context.free(),
        (error: TlsError) => error.message,
      );
      assert.true(told ? told.test(String(error)) : error === undefined, `${list}: ${error}`);
    }
  });

  QUnit.test("wassl/node/tls leaves out unknown names, as Node.js does", (assert) => {
    // Node.js's own default, two names of which no OpenSSL has.
    const node =
      "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-SHA384:" +
      "ECDHE-RSA-AES256-SHA256:HIGH:!aNULL:!eNULL:!EXPORT:!DES:!RC4:!MD5:!PSK:!SRP:!CAMELLIA";
    for (const ciphers of [node, "NONSENSE:ECDHE", "DEFAULT:!kRSA", "TLS_NONSENSE:TLS_AES_128_GCM_SHA256"]) {
      assert.true(typeof createSecureContext({ ciphers }) === "object", ciphers);
    }
  });
});
