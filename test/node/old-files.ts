/**
 * Private keys and PKCS #12 files as other programs write them, by ciphers of old too: openssl, GnuTLS's certtool and
 * Java's keytool make them.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import QUnit from "qunit";
import { acceptTls, startTls, TlsContext, type TlsError } from "wassl";
import { pair } from "../fakes/pair.ts";
import { client } from "../helpers/both-ends.ts";
import { Run } from "../helpers/cli.ts";
import { afterTest, env } from "../helpers/env.ts";

const at = mkdtempSync(join(tmpdir(), "wassl-old-files-"));
const path = (name: string) => join(at, name);
const run = promisify(execFile);

/** A program, with its files by name. */
async function program(command: string, ...args: string[]): Promise<void> {
  await run(command, args, { cwd: at, timeout: 60_000 });
}

let written = false;
/** The identities of the run, and a file for each passphrase: as an argument it would have to be in the locale. */
function material(): void {
  if (written) return;
  written = true;
  for (const kind of ["ecdsa", "rsa"] as const) {
    writeFileSync(path(`${kind}.key`), env.certs.keys[kind]);
    writeFileSync(path(`${kind}.pem`), env.certs.chains[kind]);
  }
  for (const [name, passphrase] of Object.entries(passphrases))
    writeFileSync(path(`${name}.pass`), `${passphrase}\n`);
}

/** Within the BMP, PKCS #12 takes two bytes for a character, and beyond it four. */
const passphrases = { none: "", ascii: "open sesame", bmp: "Öffne dich, Sesam €", beyond: "🗝️ 𝔖𝔢𝔰𝔞𝔪" };
type Name = keyof typeof passphrases;
const names = Object.keys(passphrases) as Name[];

type Given = { cert?: string; key?: string | Uint8Array; pkcs12?: Uint8Array; passphrase?: string };

/** What is told when it does not load. */
async function refusal(options: Given): Promise<string | undefined> {
  try {
    (await TlsContext.server(options)).free();
    return undefined;
  } catch (error) {
    const { code, message } = error as TlsError;
    return `${code}: ${message}`;
  }
}

const WRONG = /^invalid-argument: the .* cannot be used: the `passphrase` is wrong, or it is damaged$/;
const MISSING = /^invalid-argument: the .* cannot be used: it is encrypted, and there is no `passphrase`$/;

/** With the passphrase it loads; with another one, and with none, it says so. */
async function check(assert: Assert, what: string, file: Given, name: Name): Promise<void> {
  const passphrase = passphrases[name];
  assert.strictEqual(await refusal({ ...file, passphrase }), undefined, `${what}, ${name}`);
  const wrong = String(await refusal({ ...file, passphrase: `${passphrase}?` }));
  assert.true(WRONG.test(wrong), `${what}, ${name}, wrong: ${wrong}`);
  const missing = await refusal(file);
  if (name === "none" && file.pkcs12) assert.strictEqual(missing, undefined, `${what}, ${name}: left out`);
  else assert.true(MISSING.test(String(missing)), `${what}, ${name}, left out: ${missing}`);
}

QUnit.module("files of old: PKCS #12 of openssl", () => {
  // The first three are those in use, and have each MAC with each passphrase; the others have each of both once.
  const ciphers = [
    "PBE-SHA1-3DES",
    "PBE-SHA1-RC2-40",
    "DES-EDE3-CBC",
    "PBE-SHA1-2DES",
    "PBE-SHA1-RC2-128",
    "PBE-SHA1-RC4-128",
    "PBE-SHA1-RC4-40",
  ];
  const macs = [["-macalg", "sha1"], ["-macalg", "sha256"], ["-nomac"]];
  for (const [i, cipher] of ciphers.entries()) {
    QUnit.test(cipher, async (assert) => {
      material();
      for (const [j, mac] of macs.entries()) {
        for (const name of i < 3 ? names : [names[(i + j) % names.length]!]) {
          // Empty or none at all? In the way of PKCS #12 these are two passphrases, and only the MAC tells which it is.
          if (mac[0] === "-nomac" && name === "none" && cipher.startsWith("PBE")) continue;
          const pbe = ["-keypbe", cipher, "-certpbe", cipher];
          const identity = ["-inkey", "ecdsa.key", "-in", "ecdsa.pem", "-out", `${cipher}.p12`];
          const secret = ["-passout", `file:${name}.pass`];
          await program("openssl", "pkcs12", "-export", "-legacy", ...pbe, ...mac, ...identity, ...secret);
          const pkcs12 = new Uint8Array(readFileSync(path(`${cipher}.p12`)));
          await check(assert, mac.join(" "), { pkcs12 }, name);
        }
      }
    });
  }

  QUnit.test(
    "as Windows, macOS and Java have written it: 3DES for the key, RC2-40 for certificates",
    async (assert) => {
      material();
      for (const kind of ["ecdsa", "rsa"] as const) {
        const identity = ["-inkey", `${kind}.key`, "-in", `${kind}.pem`, "-name", "Mein Schlüssel"];
        const secret = ["-passout", "file:bmp.pass", "-out", "windows.p12"];
        await program("openssl", "pkcs12", "-export", "-legacy", ...identity, ...secret);
        const pkcs12 = new Uint8Array(readFileSync(path("windows.p12")));
        await check(assert, kind, { pkcs12 }, "bmp");
        // What was read serves.
        const context = await TlsContext.server({ pkcs12, passphrase: passphrases.bmp });
        afterTest(() => context.free());
        const [near, far] = pair();
        const both = await Promise.all([
          startTls(near, { ...client(), sessionStore: false }),
          acceptTls(far, { context }),
        ]);
        for (const end of both) afterTest(() => end.abort());
        assert.true(both[0].info.verified);
        assert.strictEqual(both[0].info.peerCertificates.length, 2, "with the certificate in between");
      }
    },
  );
});

QUnit.module("files of old: on the command line", () => {
  QUnit.test(
    "wassl serve takes them; a passphrase that is wrong or missing is told with its option",
    async (assert) => {
      material();
      const identity = ["-inkey", "rsa.key", "-in", "rsa.pem"];
      await program(
        "openssl",
        "pkcs12",
        "-export",
        "-legacy",
        ...identity,
        "-out",
        "cli.p12",
        "-passout",
        "file:bmp.pass",
      );
      await program(
        "openssl",
        "pkcs8",
        "-topk8",
        "-scrypt",
        "-in",
        "rsa.key",
        "-out",
        "cli.key",
        "-passout",
        "file:bmp.pass",
      );
      const p12 = ["--p12", path("cli.p12")];
      const key = ["--cert", path("rsa.pem"), "--key", path("cli.key")];
      for (const args of [p12, key]) {
        const server = new Run(["serve", "0", ...args, "--pass", `file:${path("bmp.pass")}`]);
        await server.line("listening");
        server.interrupt();
        await server.ended;
        for (const [pass, told] of [
          [["--pass", "pass:other"], /the --pass is wrong/],
          [[], /there is no --pass/],
        ] as const) {
          const wrong = new Run(["serve", "0", ...args, ...pass], { words: true });
          assert.strictEqual(await wrong.ended, 2, wrong.text);
          assert.true(
            told.test(wrong.text) && wrong.text.includes(args === p12 ? "--p12" : "--key"),
            wrong.text,
          );
        }
      }
    },
  );
});

QUnit.module("files of old: keys of openssl", () => {
  const providers = ["-provider", "legacy", "-provider", "default"];
  const v1 = [
    "PBE-MD5-DES",
    "PBE-SHA1-DES",
    "PBE-MD5-RC2-64",
    "PBE-SHA1-RC2-64",
    "PBE-SHA1-3DES",
    "PBE-SHA1-2DES",
    "PBE-SHA1-RC2-128",
    "PBE-SHA1-RC2-40",
    "PBE-SHA1-RC4-128",
    "PBE-SHA1-RC4-40",
  ].map((pbe) => ["-v1", pbe, ...providers]);
  const v2 = [
    ["-scrypt"],
    ["-scrypt", "-v2", "des3"],
    ["-scrypt", "-scrypt_N", "2048", "-scrypt_r", "4", "-scrypt_p", "3"],
    ["-v2", "des3"],
    ["-v2", "des3", "-v2prf", "hmacWithSHA1"],
    ["-v2", "des", ...providers],
    ["-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA512"],
  ];
  for (const [title, all] of [
    ["PKCS #8, PBES1 and PKCS #12's", v1],
    ["PKCS #8, PBES2", v2],
  ] as const) {
    QUnit.test(title, async (assert) => {
      material();
      const cert = env.certs.chains.ecdsa;
      for (const [i, how] of all.entries()) {
        const name = names[i % names.length]!;
        for (const form of ["PEM", "DER"]) {
          const files = ["-in", "ecdsa.key", "-out", "pkcs8.key", "-outform", form];
          await program("openssl", "pkcs8", "-topk8", ...how, ...files, "-passout", `file:${name}.pass`);
          const bytes = new Uint8Array(readFileSync(path("pkcs8.key")));
          await check(assert, `${how.join(" ")}, ${form}`, { cert, key: bytes }, name);
        }
      }
    });
  }

  QUnit.test("PEM with DEK-Info", async (assert) => {
    material();
    for (const [kind, ...how] of [
      ["rsa", "-traditional", "-des3"],
      ["rsa", "-traditional", "-des", ...providers],
      ["rsa", "-traditional", "-aes128"],
      ["rsa", "-traditional", "-aes192"],
      ["rsa", "-traditional", "-aes256"],
      ["ecdsa", "-des3"],
      ["ecdsa", "-aes256"],
    ] as const) {
      const command = kind === "rsa" ? "rsa" : "ec";
      const files = ["-in", `${kind}.key`, "-out", "dek-info.key", "-passout", "file:ascii.pass"];
      await program("openssl", command, ...how, ...files);
      const key = readFileSync(path("dek-info.key"), "utf8");
      assert.true(/^DEK-Info: /m.test(key));
      for (const text of [key, key.replaceAll("\n", "\r\n"), `\ufeff${key}`]) {
        await check(assert, how.join(" "), { cert: env.certs.chains[kind], key: text }, "ascii");
      }
    }
  });
});

QUnit.module("files of old: wrong passphrases", () => {
  QUnit.test(
    "are told as such, also where what they decrypt to has an end by chance, as one in 256 has",
    async (assert) => {
      material();
      const secret = ["-passout", "file:ascii.pass"];
      const pbe = [
        "-export",
        "-legacy",
        "-nomac",
        "-iter",
        "1",
        "-keypbe",
        "PBE-SHA1-3DES",
        "-certpbe",
        "NONE",
      ];
      await program(
        "openssl",
        "pkcs12",
        ...pbe,
        "-inkey",
        "rsa.key",
        "-in",
        "rsa.pem",
        "-out",
        "a.p12",
        ...secret,
      );
      const v1 = ["-v1", "PBE-SHA1-3DES", "-iter", "1"];
      const stream = ["-v1", "PBE-SHA1-RC4-128", "-iter", "1", "-provider", "legacy", "-provider", "default"];
      for (const [out, how] of [
        ["block.key", v1],
        ["stream.key", stream],
      ] as const) {
        await program("openssl", "pkcs8", "-topk8", ...how, "-in", "rsa.key", "-out", out, ...secret);
      }
      await program(
        "openssl",
        "rsa",
        "-traditional",
        "-des3",
        "-in",
        "rsa.key",
        "-out",
        "dek-info.key",
        ...secret,
      );
      const cert = env.certs.chains.rsa;
      const files: Given[] = [
        { pkcs12: new Uint8Array(readFileSync(path("a.p12"))) },
        ...["block.key", "stream.key", "dek-info.key"].map((name) => ({
          cert,
          key: readFileSync(path(name), "utf8"),
        })),
      ];
      for (const file of files) {
        assert.strictEqual(await refusal({ ...file, passphrase: passphrases.ascii }), undefined);
        const told = new Set<string | undefined>();
        // Two of them have an end, as a rule.
        for (let i = 0; i < 500; i++)
          told.add(await refusal({ ...file, passphrase: `wrong ${env.seed} ${i}` }));
        assert.true(told.size === 1 && WRONG.test(String([...told][0])), [...told].join("; "));
      }
    },
  );
});

QUnit.module("files of old: other programs", () => {
  const identity = ["--load-privkey", "rsa.key", "--load-certificate", "rsa.pem", "--p12-name", "x"];
  // Each of its files goes through 600,000 rounds twice or three times: a test for each, and what is wrong once.
  for (const [cipher, name] of [
    ["3des-pkcs12", "bmp"],
    ["rc2-40", "ascii"],
    ["arcfour", "bmp"],
    ["3des", "ascii"],
  ] as const) {
    QUnit.test(`certtool of GnuTLS: ${cipher}`, async (assert) => {
      assert.timeout(60_000);
      material();
      const passphrase = passphrases[name];
      const how = ["--pkcs-cipher", cipher, "--password", passphrase, "--outder"];
      await program("certtool", "--to-p12", ...identity, ...how, "--outfile", `${cipher}.p12`);
      const pkcs12 = new Uint8Array(readFileSync(path(`${cipher}.p12`)));
      assert.strictEqual(await refusal({ pkcs12, passphrase }), undefined);
      await program("certtool", "--to-p8", ...identity.slice(0, 2), ...how, "--outfile", `${cipher}.p8`);
      const key = new Uint8Array(readFileSync(path(`${cipher}.p8`)));
      assert.strictEqual(await refusal({ cert: env.certs.chains.rsa, key, passphrase }), undefined);
    });
  }

  QUnit.test(
    "certtool of GnuTLS: no passphrase, and an empty one, which are two things in PKCS #12",
    async (assert) => {
      material();
      for (const how of ["--null-password", "--empty-password"]) {
        const out = ["--pkcs-cipher", "3des-pkcs12", "--outder", "--outfile", "empty.p12"];
        await program("certtool", "--to-p12", ...identity, how, ...out);
        const pkcs12 = new Uint8Array(readFileSync(path("empty.p12")));
        assert.strictEqual(await refusal({ pkcs12 }), undefined, how);
      }
    },
  );

  const keytool = process.env.WASSL_KEYTOOL;
  if (keytool) {
    QUnit.test("keytool of Java: its format of today, and that of before 2021", async (assert) => {
      assert.timeout(120_000);
      material();
      const make = ["-inkey", "rsa.key", "-in", "rsa.pem", "-name", "x", "-out", "from.p12"];
      await program("openssl", "pkcs12", "-export", ...make, "-passout", "file:ascii.pass");
      for (const [i, form] of [[], ["-J-Dkeystore.pkcs12.legacy=true"]].entries()) {
        const stores = [
          "-srckeystore",
          "from.p12",
          "-destkeystore",
          `java${i}.p12`,
          "-deststoretype",
          "PKCS12",
        ];
        const secrets = ["-srcstorepass", passphrases.ascii, "-deststorepass", passphrases.ascii];
        await program(keytool, "-importkeystore", "-noprompt", ...form, ...stores, ...secrets);
        const pkcs12 = new Uint8Array(readFileSync(path(`java${i}.p12`)));
        await check(assert, form.join(" "), { pkcs12 }, "ascii");
      }
    });
  }
});
