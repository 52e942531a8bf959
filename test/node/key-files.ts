/** Certificates, lists and keys as other programs write them; openssl makes the files. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import QUnit from "qunit";
import { acceptTls, startTls, TlsContext, verifyChain } from "wassl";
import { pair } from "../fakes/pair.ts";
import { tlsError } from "../helpers/basics.ts";
import { client, server } from "../helpers/both-ends.ts";
import { afterTest, env } from "../helpers/env.ts";

const folder = () => mkdtempSync(join(tmpdir(), "wassl-files-"));

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: "pipe", timeout: 10_000 });
}

/** The same PEM block, with bytes behind the DER. */
const longer = (pem: string) =>
  pem.replace(/(-----BEGIN [^-]*-----)([^-]*)/, (_, begin, body) => {
    const bytes = Buffer.concat([Buffer.from(body, "base64"), Buffer.of(5, 0)]);
    return `${begin}\n${bytes.toString("base64").replace(/.{1,64}/g, "$&\n")}`;
  });

/** The same of a block with headers. */
const longerBody = (pem: string) =>
  pem.replace(/\n\n([^-]*)/, (_, body) => {
    const bytes = Buffer.concat([Buffer.from(body, "base64"), Buffer.of(5, 0)]);
    return `\n\n${bytes.toString("base64").replace(/.{1,64}/g, "$&\n")}`;
  });

QUnit.module("files of other programs", () => {
  QUnit.test("a byte order mark, CRLF, text around, TRUSTED CERTIFICATE", async (assert) => {
    const { caPem, chains, keys, crls } = env.certs;
    const dressed = (pem: string) => `\ufeffSubject: somebody\n\n${pem}\nthe end\n`.replace(/\r?\n/g, "\r\n");
    const marked = (pem: string) => `\ufeff${pem}`;
    for (const form of [dressed, marked]) {
      const context = await TlsContext.server({ cert: form(chains.ecdsa), key: form(keys.ecdsa) });
      afterTest(() => context.free());
      const [near, far] = pair();
      const verifyOptions = { crls: [form(crls.ca), form(crls.intermediate)] };
      const both = await Promise.all([
        startTls(near, { ...client(), caCerts: form(caPem), verifyOptions, sessionStore: false }),
        acceptTls(far, { context }),
      ]);
      for (const end of both) afterTest(() => end.abort());
      assert.true(both[0].info.verified);
      assert.true((await verifyChain({ leaf: form(chains.ecdsa), roots: form(caPem) })).ok);
    }
    const at = folder();
    writeFileSync(join(at, "ca.pem"), caPem);
    for (const [use, ok] of [
      ["-addtrust", true],
      ["-addreject", false],
    ] as const) {
      openssl(
        "x509",
        "-in",
        join(at, "ca.pem"),
        "-trustout",
        use,
        "serverAuth",
        "-out",
        join(at, "trusted.pem"),
      );
      const roots = readFileSync(join(at, "trusted.pem"), "utf8");
      assert.true(roots.startsWith("-----BEGIN TRUSTED"));
      assert.strictEqual((await verifyChain({ leaf: chains.ecdsa, roots })).ok, ok, use);
      // Elsewhere the same certificate is as it was.
      assert.true((await verifyChain({ leaf: chains.ecdsa, roots: caPem })).ok);
    }
  });

  QUnit.test("bytes behind the DER in a block are refused", async (assert) => {
    const { caPem, chains, crls } = env.certs;
    for (const options of [
      { leaf: longer(chains.ecdsa), roots: caPem },
      { leaf: chains.ecdsa, roots: longer(caPem) },
      { leaf: chains.ecdsa, roots: caPem, crls: longer(crls.ca) },
    ]) {
      assert.strictEqual((await tlsError(verifyChain(options))).code, "invalid-argument");
    }
    const error = await tlsError(TlsContext.server({ ...server(), cert: longer(chains.ecdsa) }));
    assert.strictEqual(error.code, "invalid-argument");
  });

  QUnit.test("so are they behind a key, in each form", async (assert) => {
    const at = folder();
    for (const kind of ["ecdsa", "rsa"] as const) {
      const cert = env.certs.chains[kind];
      const plain = join(at, "plain.pem");
      writeFileSync(plain, env.certs.keys[kind]);
      const [command, how] = kind === "rsa" ? ["rsa", ["-traditional"]] : ["ec", []];
      const pkcs8 = ["pkcs8", "-topk8", "-in", plain, "-passout", "pass:secret"];
      for (const args of [
        [...pkcs8, "-nocrypt"],
        pkcs8,
        [command, ...how, "-in", plain],
        // What stands behind is no whole block of the cipher.
        [command, ...how, "-in", plain, "-aes128", "-passout", "pass:secret"],
      ] as [string, ...string[]][]) {
        const file = join(at, "key");
        openssl(...args, "-out", file);
        const key = readFileSync(file, "utf8");
        const passphrase = "secret";
        (await TlsContext.server({ cert, key, passphrase })).free();
        const { code, message } = await tlsError(
          TlsContext.server({
            cert,
            key: key.includes("DEK-Info") ? longerBody(key) : longer(key),
            passphrase,
          }),
        );
        assert.strictEqual(code, "invalid-argument", `${args}: ${message}`);
        if (key.includes("DEK-Info")) continue;
        assert.true(/the private key cannot be used: .*too long/.test(message), `${args}: ${message}`);
        const der = Buffer.from(key.replace(/-----[^-]*-----|\s/g, ""), "base64");
        (await TlsContext.server({ cert, key: new Uint8Array(der), passphrase })).free();
        const more = new Uint8Array(Buffer.concat([der, Buffer.of(0)]));
        const told = (await tlsError(TlsContext.server({ cert, key: more, passphrase }))).message;
        assert.true(/the private key cannot be used: .*too long/.test(told), `${args}, DER: ${told}`);
      }
    }
  });

  QUnit.test("keys in DER, encrypted or not, with a passphrase or without", async (assert) => {
    const at = folder();
    const { cert, key } = server() as { cert: string; key: string };
    writeFileSync(join(at, "key.pem"), key);
    const make = (name: string, ...args: string[]) => {
      openssl("pkcs8", "-topk8", "-in", join(at, "key.pem"), "-out", join(at, name), ...args);
      return new Uint8Array(readFileSync(join(at, name)));
    };
    const encrypted = make(
      "encrypted.der",
      "-outform",
      "DER",
      "-v2",
      "aes-256-cbc",
      "-passout",
      "pass:secret",
    );
    const plain = make("plain.der", "-outform", "DER", "-nocrypt");
    const passphrase = "secret";
    for (const options of [
      { key: encrypted, passphrase },
      { key: plain },
      { key: plain, passphrase },
      { key, passphrase },
    ]) {
      (await TlsContext.server({ cert, ...options })).free();
    }
    for (const [options, message] of [
      [{ key: encrypted }, /encrypted, and there is no `passphrase`/],
      [{ key: encrypted, passphrase: "wrong" }, /`passphrase` is wrong/],
    ] as const) {
      const error = await tlsError(TlsContext.server({ cert, ...options }));
      assert.strictEqual(error.code, "invalid-argument");
      assert.true(message.test(error.message), error.message);
    }
    assert.true(true);
  });
});

QUnit.module("a ClientHello in the form of SSL 2.0", () => {
  QUnit.test("is TLS, and what is wrong is told", async (assert) => {
    const [near, far] = pair();
    const accepting = tlsError(acceptTls(far, server()));
    // TLS 1.2, one suite that nobody has, a challenge of 32 bytes (RFC 5246 §E.2).
    const body = [1, 3, 3, 0, 3, 0, 0, 0, 32, 0, 0, 5, ...new Array(32).fill(7)];
    await near.writable.getWriter().write(Uint8Array.of(0x80, body.length, ...body));
    const { value } = await near.readable.getReader().read();
    const error = await accepting;
    assert.strictEqual(error.code, "protocol", error.message);
    assert.false(/does not speak TLS/.test(error.message), error.message);
    assert.strictEqual(value?.[0], 21, "an alert");
  });
});
