/** `wassl/node/crypto` beside `node:crypto`, where there is one: names, errors, and when OpenSSL is there. */
import { execFile } from "node:child_process";
import * as host from "node:crypto";
import { promisify } from "node:util";
import QUnit from "qunit";
import { OpenSsl } from "wassl";
import * as ours from "wassl/node/crypto";

/** In a process of its own, with the package as a user has it. */
async function program(text: string, ...flags: string[]): Promise<unknown> {
  const args = [...flags, "--input-type=module", "-e", text];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: process.cwd() });
  return JSON.parse(stdout);
}

QUnit.module("node/crypto beside node:crypto", (hooks) => {
  hooks.before(() => OpenSsl.preload());

  QUnit.test("each name of a digest is one there too, and means the same", (assert) => {
    const names = ours.getHashes();
    const there = host.getHashes();
    assert.true(names.length > 20, `${names.length} names`);
    for (const name of [...names, "SHA256", "Sha-256", "SHA2-256", "sha-1", "rsa-sha512"]) {
      if (names.includes(name)) assert.true(there.includes(name), `${name} is known there`);
      const digest = host.createHash(name).update("text").digest("hex");
      assert.strictEqual(ours.createHash(name).update("text").digest("hex"), digest, name);
      const hmac = host.createHmac(name, "key").update("text").digest("hex");
      assert.strictEqual(ours.createHmac(name, "key").update("text").digest("hex"), hmac, name);
    }
  });

  QUnit.test("errors are of the same class and code", (assert) => {
    const rsa = host.generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
    const pem = rsa.export({ type: "spki", format: "pem" }).toString();
    const ec = host.generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
    const curve = ec.export({ type: "spki", format: "pem" }).toString();
    const wrong = (value: unknown) => value as never;
    const works: ((of: typeof host) => unknown)[] = [
      (of) => of.createHash(wrong(1)),
      (of) => of.createHash("md5").update(wrong(1)),
      (of) => of.createHash("md5").update(wrong(new ArrayBuffer(1))),
      (of) => of.createHash("md5", { outputLength: 3 }),
      (of) => of.createHash("md5", { outputLength: -1 }),
      (of) => of.createHmac("nothing", "key"),
      (of) => of.createHmac("md5", wrong(null)),
      (of) => of.createHmac(wrong(1), ""),
      (of) => of.createHmac("md5", of.createPublicKey(pem)),
      (of) => of.pbkdf2Sync("", "", 1, 1, "nothing"),
      (of) => of.pbkdf2Sync("", "", 1, 1, wrong(undefined)),
      (of) => of.pbkdf2Sync(wrong(1), "", 1, 1, "md5"),
      (of) => of.pbkdf2Sync("", wrong({}), 1, 1, "md5"),
      (of) => of.pbkdf2Sync("", "", 0, 1, "md5"),
      (of) => of.pbkdf2Sync("", "", wrong("1"), 1, "md5"),
      (of) => of.pbkdf2Sync("", "", 1, 1.5, "md5"),
      (of) => of.pbkdf2Sync("", "", 1, 2 ** 31, "md5"),
      (of) => of.pbkdf2("", "", 1, 1, "md5", wrong(undefined)),
      (of) => of.randomBytes(-1),
      (of) => of.randomBytes(wrong("1")),
      (of) => of.randomBytes(1, wrong(1)),
      (of) => of.randomFillSync(wrong("")),
      (of) => of.randomFillSync(new Uint8Array(2), 3),
      (of) => of.randomFillSync(new Uint8Array(2), 1, 2),
      (of) => of.randomInt(0),
      (of) => of.randomInt(3, 2),
      (of) => of.randomInt(2 ** 48),
      (of) => of.randomInt(-1, 2 ** 48),
      (of) => of.randomInt(wrong("1")),
      (of) => of.timingSafeEqual(new Uint8Array(1), new Uint8Array(2)),
      (of) => of.timingSafeEqual(wrong("a"), new Uint8Array(1)),
      (of) => of.createPublicKey(""),
      (of) => of.publicEncrypt("no key", new Uint8Array(1)),
      (of) => of.publicEncrypt(pem, new Uint8Array(215)),
      (of) => of.publicEncrypt({ key: pem, padding: 1 }, new Uint8Array(246)),
      (of) => of.publicEncrypt({ key: pem, padding: 3 }, new Uint8Array(1)),
      (of) => of.publicEncrypt({ key: pem, padding: 9 }, new Uint8Array(1)),
      (of) => of.publicEncrypt({ key: pem, oaepHash: "nothing" }, new Uint8Array(1)),
      (of) => of.publicEncrypt(curve, new Uint8Array(1)),
      (of) => of.publicEncrypt(pem, wrong(1)),
    ];
    const told = (work: (typeof works)[number], of: unknown) => {
      try {
        work(of as typeof host);
        return "done";
      } catch (error) {
        const { code = "no code" } = error as { code?: string };
        return `${(error as Error).constructor.name} ${code}`;
      }
    };
    for (const work of works) assert.strictEqual(told(work, ours), told(work, host), String(work));
  });

  QUnit.test("before OpenSSL is loaded it is said what to do; random numbers need none", async (assert) => {
    const [told, length, after, given] = (await program(`
      import { readFileSync } from "node:fs";
      import { fileURLToPath } from "node:url";
      import { OpenSsl } from "wassl";
      import crypto, { useOpenSsl } from "wassl/node/crypto";
      const told = [];
      for (const work of [
        () => crypto.createHash("md5"), () => crypto.createHmac("md5", ""), () => crypto.pbkdf2Sync("", "", 1, 1, "md5"),
        () => crypto.createPublicKey(""), () => crypto.publicEncrypt("", ""),
        () => crypto.timingSafeEqual(new Uint8Array(1), new Uint8Array(1)),
      ]) try { work(); told.push("done"); } catch (error) { told.push(error.code + " " + error.message.includes("await OpenSsl.preload()")); }
      const { length } = crypto.randomBytes(4);
      useOpenSsl(OpenSsl.loadSync(readFileSync(fileURLToPath(import.meta.resolve("wassl/openssl.wasm")))));
      const given = crypto.createHash("md5").digest("hex");
      useOpenSsl(undefined);
      try { crypto.createHash("md5"); told.push("done"); } catch (error) { told.push(error.code + " true"); }
      await OpenSsl.preload();
      console.log(JSON.stringify([told, length, crypto.createHash("md5").digest("hex"), given]));`)) as [
      string[],
      number,
      string,
      string,
    ];
    assert.deepEqual([...new Set(told)], ["ERR_WASSL_NOT_LOADED true"]);
    assert.strictEqual(told.length, 7);
    assert.strictEqual(length, 4);
    assert.strictEqual(after, "d41d8cd98f00b204e9800998ecf8427e");
    assert.strictEqual(given, after, "an instance of loadSync()");
  });

  QUnit.test("what nobody finished is given back", async (assert) => {
    const [before, after] = (await program(
      `
      import { OpenSsl } from "wassl";
      import { createHash } from "wassl/node/crypto";
      const openssl = await OpenSsl.shared();
      const live = () => openssl.live.digests;
      for (let n = 0; n < 100; n++) createHash("md5").update("text");
      const before = live();
      for (let n = 0; n < 200 && live() > 0; n++) { gc(); await new Promise((resolve) => setTimeout(resolve, 20)); }
      console.log(JSON.stringify([before, live()]));`,
      "--expose-gc",
    )) as number[];
    assert.true(before! > 0, `${before} of them`);
    assert.strictEqual(after, 0);
  });
});
