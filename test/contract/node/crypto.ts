/** `wassl/node/crypto` beside what `node:crypto` itself said before (`test/peers/crypto.ts`). */
import QUnit from "qunit";
import { OpenSsl } from "wassl";
import * as crypto from "wassl/node/crypto";
import { pbkdf2 } from "wassl/openssl";
import { env } from "../../helpers/env.ts";
import type { CryptoVectors } from "../../peers/crypto.ts";

const bytesOf = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
const hexOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const get = async <T>(path: string): Promise<T> => {
  const response = await fetch(new URL(path, env.origin));
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
  return (await response.json()) as T;
};

let vectors: CryptoVectors;

QUnit.module("node/crypto", (hooks) => {
  hooks.before(async () => {
    vectors = await get(`/crypto-vectors?seed=${env.seed}`);
    await OpenSsl.preload();
  });
  const seed = () => `seed ${env.seed}`;
  /** The same bytes, given in other ways. */
  const ways: ((part: Uint8Array) => NodeJS.ArrayBufferView)[] = [
    (part) => part,
    (part) => new DataView(part.buffer, part.byteOffset, part.byteLength),
    // Which stands within more.
    (part) => Uint8Array.of(1, ...part.subarray(0, 3000), 2).subarray(1, 1 + Math.min(part.length, 3000)),
  ];
  const sameOf = (n: number, part: Uint8Array) => ways[part.length > 3000 ? n % 2 : n % 3]!(part);

  QUnit.test("digests are those of Node.js", (assert) => {
    for (const [n, { algorithm, parts, digest }] of vectors.hashes.entries()) {
      const hash = crypto.createHash(algorithm);
      for (const part of parts) hash.update(sameOf(n, bytesOf(part)));
      const copy = hash.copy();
      assert.strictEqual(
        hash.digest("hex"),
        digest,
        `${algorithm} of ${parts.map((p) => p.length / 2)}, ${seed()}`,
      );
      assert.strictEqual(hexOf(copy.digest()), digest, "a copy goes on where it was made");
    }
    const hash = crypto.createHash("sha256").update("a");
    const copy = hash.copy().update("c");
    hash.update("b");
    assert.strictEqual(copy.digest("hex"), crypto.createHash("sha256").update("ac").digest("hex"));
    assert.strictEqual(hash.digest("hex"), crypto.createHash("sha256").update("ab").digest("hex"));
  });

  QUnit.test("HMACs are those of Node.js", (assert) => {
    for (const { algorithm, key, parts, digest } of vectors.hmacs) {
      const hmac = crypto.createHmac(algorithm, bytesOf(key));
      for (const part of parts) hmac.update(bytesOf(part));
      assert.strictEqual(
        hmac.digest("hex"),
        digest,
        `${algorithm}, key of ${key.length / 2}, ${parts.map((p) => p.length / 2)}, ${seed()}`,
      );
    }
  });

  QUnit.test("keys of passwords are those of Node.js, at once and later", async (assert) => {
    for (const { algorithm, password, salt, rounds, length, key } of vectors.derived) {
      const what = `${algorithm}, ${rounds} rounds, ${length} bytes, ${seed()}`;
      const given = [bytesOf(password), bytesOf(salt), rounds, length, algorithm] as const;
      assert.strictEqual(hexOf(crypto.pbkdf2Sync(...given)), key, what);
      let called = false;
      const later = new Promise<Uint8Array>((resolve, reject) =>
        crypto.pbkdf2(...given, (error, derived) => {
          called = true;
          if (error) reject(error);
          else resolve(derived);
        }),
      );
      assert.false(called, "the callback is called later");
      assert.strictEqual(hexOf(await later), key, what);
    }
  });

  QUnit.test("texts are taken in their encodings, and digests given in one", (assert) => {
    const md5 = (text: string, encoding?: "utf8" | "hex" | "base64" | "latin1") =>
      crypto.createHash("md5").update(text, encoding).digest("hex");
    assert.strictEqual(md5("é"), md5("c3a9", "hex"));
    assert.strictEqual(md5("é", "latin1"), md5("e9", "hex"));
    assert.strictEqual(md5("w6k=", "base64"), md5("é"));
    assert.strictEqual(crypto.createHash("md5").digest("base64"), "1B2M2Y8AsgTpgAmY7PhCfg==");
    assert.strictEqual(
      crypto.createHmac("sha1", "é").digest("hex"),
      crypto.createHmac("sha1", bytesOf("c3a9")).digest("hex"),
    );
  });

  QUnit.test("a hash is a stream too", async (assert) => {
    for (const [hash, again] of [
      [crypto.createHash("sha256"), crypto.createHash("sha256")],
      [crypto.createHmac("sha256", "key"), crypto.createHmac("sha256", "key")],
    ] as const) {
      const digest = new Promise<Uint8Array>((resolve, reject) => {
        hash.once("data", resolve).once("error", reject);
      });
      hash.write("some ");
      hash.end("text");
      assert.strictEqual(hexOf(await digest), again.update("some text").digest("hex"));
    }
  });

  QUnit.test("what is encrypted to an RSA key its holder reads, and nobody sees twice", async (assert) => {
    const { rsa, ec } = vectors;
    const secret = bytesOf("00ff736563726574");
    const label = bytesOf("6c6162656c");
    const { RSA_PKCS1_PADDING, RSA_NO_PADDING, RSA_PKCS1_OAEP_PADDING } = crypto.constants;
    const object = crypto.createPublicKey(rsa.spki);
    const der = object.export({ type: "pkcs1", format: "der" });
    const read = async (data: Uint8Array, asked: string) =>
      (await get<{ data: string }>(`/crypto-decrypt?data=${hexOf(data)}&${asked}`)).data;
    for (const [key, asked] of [
      [rsa.spki, "padding=oaep"],
      [object, "padding=oaep"],
      [{ key: rsa.pkcs1 }, "padding=oaep"],
      [{ key: der, format: "der", type: "pkcs1" }, "padding=oaep"],
      [{ key: object, padding: RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" }, "padding=oaep&hash=sha256"],
      [{ key: rsa.spki, oaepLabel: label }, `padding=oaep&label=${hexOf(label)}`],
      [{ key: rsa.spki, padding: RSA_PKCS1_PADDING }, "padding=pkcs1"],
    ] as const) {
      const [one, other] = [crypto.publicEncrypt(key, secret), crypto.publicEncrypt(key, secret)];
      assert.strictEqual(await read(one, asked), hexOf(secret), asked);
      assert.notStrictEqual(hexOf(one), hexOf(other), asked);
    }
    const raw = crypto.publicEncrypt({ key: rsa.spki, padding: RSA_NO_PADDING }, bytesOf(rsa.plain));
    assert.strictEqual(hexOf(raw), rsa.raw, "without padding");

    assert.strictEqual(object.type, "public");
    assert.strictEqual(object.asymmetricKeyType, "rsa");
    assert.strictEqual(object.asymmetricKeyDetails?.modulusLength, rsa.bits);
    assert.strictEqual(String(object.asymmetricKeyDetails?.publicExponent), rsa.exponent);
    assert.strictEqual(object.export({ type: "spki", format: "pem" }), rsa.spki);
    assert.strictEqual(object.export({ type: "pkcs1", format: "pem" }), rsa.pkcs1);
    assert.true(object.equals(crypto.createPublicKey(rsa.pkcs1)));
    const curve = crypto.createPublicKey(ec.spki);
    assert.strictEqual(curve.asymmetricKeyType, "ec");
    assert.strictEqual(curve.asymmetricKeyDetails?.namedCurve, ec.group);
    assert.false(object.equals(curve));
    const ofCertificate = crypto.createPublicKey(env.certs.chains.rsa);
    assert.strictEqual(ofCertificate.asymmetricKeyType, "rsa");
  });

  QUnit.test("random bytes, numbers and UUIDs", async (assert) => {
    assert.strictEqual(crypto.randomBytes(0).length, 0);
    const large = crypto.randomBytes(200_000);
    assert.strictEqual(large.length, 200_000);
    // Each stretch is filled: of zeros there are some 780 among so many.
    for (let at = 0; at < large.length; at += 1000)
      assert.true(
        large.subarray(at, at + 1000).some((byte) => byte !== 0),
        `at ${at}`,
      );
    assert.notStrictEqual(hexOf(crypto.randomBytes(16)), hexOf(crypto.randomBytes(16)));
    const later = await new Promise<Uint8Array>((resolve) =>
      crypto.randomBytes(8, (_, bytes) => resolve(bytes)),
    );
    assert.strictEqual(later.length, 8);
    const words = crypto.randomFillSync(new Uint32Array(8), 2, 4);
    assert.deepEqual([...words.subarray(0, 2), ...words.subarray(6)], [0, 0, 0, 0], "only what is asked for");
    assert.true(
      words.subarray(2, 6).some((word) => word > 0xffff),
      "elements, and not bytes",
    );
    const seen = new Set(Array.from({ length: 400 }, () => crypto.randomInt(-2, 3)));
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      [-2, -1, 0, 1, 2],
    );
    assert.strictEqual(crypto.randomInt(1), 0);
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
    for (let n = 0; n < 20; n++) assert.true(uuid.test(crypto.randomUUID()));
    assert.strictEqual(crypto.webcrypto as unknown, globalThis.crypto);
  });

  QUnit.test("randomInt draws again where a number would be likelier than others", (assert) => {
    const draws = (...values: number[]) => {
      Object.defineProperty(globalThis.crypto, "getRandomValues", {
        configurable: true,
        value(into: Uint8Array) {
          const value = values.shift();
          if (value === undefined || into.length !== 6)
            throw new Error(`a draw too many, of ${into.length} bytes`);
          for (let i = 0; i < 6; i++) into[i] = Math.floor(value / 2 ** (8 * (5 - i))) & 0xff;
          return into;
        },
      });
      return values;
    };
    try {
      for (const range of [3, 1000, 2 ** 47 + 1, 2 ** 48 - 1]) {
        // The greatest multiple of the range that six bytes can be below.
        const limit = Math.floor(2 ** 48 / range) * range;
        const left = draws(2 ** 48 - 1, limit, limit - 1);
        assert.strictEqual(crypto.randomInt(-5, range - 5), range - 1 - 5, `${range}: the last that is even`);
        assert.strictEqual(left.length, 0);
      }
      const rest = draws(2 ** 48 - 1);
      assert.strictEqual(crypto.randomInt(256), 255, "where all are even, each draw counts");
      assert.strictEqual(rest.length, 0);
    } finally {
      Reflect.deleteProperty(globalThis.crypto, "getRandomValues");
    }
  });

  QUnit.test("bytes are compared", (assert) => {
    assert.true(crypto.timingSafeEqual(Uint8Array.of(1, 2), new DataView(Uint8Array.of(1, 2).buffer)));
    assert.false(crypto.timingSafeEqual(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
    assert.true(crypto.timingSafeEqual(new Uint8Array(0), new Uint8Array(0)));
  });

  QUnit.test("what cannot be done is told by Node.js' codes", (assert) => {
    const { rsa, ec } = vectors;
    const key = { key: rsa.spki, padding: crypto.constants.RSA_PKCS1_PADDING };
    const done = crypto.createHash("md5");
    done.digest();
    const empty = new Uint8Array(0);
    const cases: [code: string, work: () => unknown][] = [
      ["ERR_INVALID_ARG_TYPE", () => crypto.createHash(1 as unknown as string)],
      ["ERR_INVALID_ARG_TYPE", () => crypto.createHash("md5").update(1 as unknown as string)],
      ["ERR_CRYPTO_HASH_FINALIZED", () => done.digest()],
      ["ERR_CRYPTO_HASH_FINALIZED", () => done.update("a")],
      ["ERR_CRYPTO_HASH_FINALIZED", () => done.copy()],
      ["ERR_OSSL_EVP_NOT_XOF_OR_INVALID_LENGTH", () => crypto.createHash("md5", { outputLength: 3 })],
      ["ERR_CRYPTO_INVALID_DIGEST", () => crypto.createHmac("nothing", "")],
      ["ERR_INVALID_ARG_TYPE", () => crypto.createHmac("md5", undefined as unknown as string)],
      ["ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", () => crypto.createHmac("md5", crypto.createPublicKey(ec.spki))],
      ["ERR_CRYPTO_INVALID_DIGEST", () => crypto.pbkdf2Sync("", "", 1, 1, "nothing")],
      ["ERR_OUT_OF_RANGE", () => crypto.pbkdf2Sync("", "", 0, 1, "md5")],
      ["ERR_OUT_OF_RANGE", () => crypto.pbkdf2Sync("", "", 1.5, 1, "md5")],
      ["ERR_OUT_OF_RANGE", () => crypto.pbkdf2Sync("", "", 10_000_001, 1, "md5")],
      ["ERR_OUT_OF_RANGE", () => crypto.pbkdf2Sync("", "", 1, -1, "md5")],
      ["ERR_INVALID_ARG_TYPE", () => crypto.pbkdf2("", "", 1, 1, "md5", undefined as unknown as () => void)],
      ["ERR_OUT_OF_RANGE", () => crypto.randomBytes(-1)],
      ["ERR_OUT_OF_RANGE", () => crypto.randomInt(3, 3)],
      ["ERR_OUT_OF_RANGE", () => crypto.randomInt(2 ** 50)],
      ["ERR_INVALID_ARG_TYPE", () => crypto.randomInt(1.5)],
      ["ERR_OUT_OF_RANGE", () => crypto.randomFillSync(new Uint8Array(2), 1, 2)],
      ["ERR_INVALID_ARG_TYPE", () => crypto.randomFillSync("" as unknown as Uint8Array)],
      ["ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH", () => crypto.timingSafeEqual(empty, Uint8Array.of(1))],
      ["ERR_OSSL_UNSUPPORTED", () => crypto.createPublicKey("no key")],
      [
        "ERR_OSSL_ASN1_WRONG_TAG",
        () => crypto.createPublicKey({ key: new Uint8Array(9), format: "der", type: "spki" }),
      ],
      ["ERR_OSSL_ASN1_WRONG_TAG", () => crypto.createPublicKey(rsa.spki.replace("\nMII", "\nAII"))],
      ["ERR_OSSL_RSA_DATA_TOO_LARGE_FOR_KEY_SIZE", () => crypto.publicEncrypt(key, new Uint8Array(246))],
      ["ERR_OSSL_RSA_DATA_TOO_LARGE_FOR_KEY_SIZE", () => crypto.publicEncrypt(rsa.spki, new Uint8Array(215))],
      ["ERR_OSSL_RSA_UNKNOWN_PADDING_TYPE", () => crypto.publicEncrypt({ ...key, padding: 9 }, empty)],
      [
        "ERR_OSSL_EVP_INVALID_DIGEST",
        () => crypto.publicEncrypt({ key: rsa.spki, oaepHash: "nothing" }, empty),
      ],
      ["ERR_OSSL_EVP_OPERATION_NOT_SUPPORTED_FOR_THIS_KEYTYPE", () => crypto.publicEncrypt(ec.spki, empty)],
    ];
    for (const [code, work] of cases)
      assert.throws(work, (error: { code?: string }) => error.code === code, `${code}: ${work}`);
    assert.throws(() => crypto.createHash("nothing"), /Digest method not supported/);
    assert.strictEqual(crypto.publicEncrypt(key, new Uint8Array(245)).length, 256, "as many bytes as fit");
    const hmac = crypto.createHmac("md5", "");
    hmac.digest();
    assert.strictEqual(hmac.digest("hex"), "", "the second digest of an HMAC is empty, in Node.js too");
  });

  QUnit.test("nothing is left in linear memory, however often, and of failures neither", async (assert) => {
    const openssl = await OpenSsl.shared();
    const { digests } = openssl.live;
    const round = () => {
      crypto.createHmac("sha256", "key").update("text").digest();
      crypto.createHash("sha512", { outputLength: 64 }).update("text").digest();
      crypto.pbkdf2Sync("password", "salt", 2, 20, "sha1");
      crypto.publicEncrypt(vectors.rsa.spki, Uint8Array.of(1));
      crypto.createPublicKey(env.certs.chains.rsa);
      for (const fail of [
        () => crypto.createHash("sha512", { outputLength: 63 }),
        () => crypto.createPublicKey("no key"),
        () => crypto.publicEncrypt(vectors.rsa.spki, new Uint8Array(300)),
      ])
        assert.throws(fail);
    };
    round();
    const { used } = openssl.memory;
    for (let n = 0; n < 20; n++) round();
    assert.strictEqual(openssl.live.digests, digests);
    assert.strictEqual(openssl.memory.used, used);
    assert.deepEqual(openssl.errors(), [], "nor in OpenSSL's queue");
  });

  QUnit.test("how many rounds there may be is asked of each key alone", async (assert) => {
    // The bound of a file's passphrases counts those of all its parts together (wasm/instead/bounds.c).
    const openssl = await OpenSsl.shared();
    const empty = new Uint8Array(0);
    assert.throws(() => pbkdf2(openssl, "MD5", empty, empty, 10_000_001, 8), /invalid iteration count/i);
    assert.strictEqual(crypto.pbkdf2Sync("", "", 1, 8, "md5").length, 8);
  });
});

QUnit.module("node/crypto, which instance", (hooks) => {
  hooks.afterEach(() => crypto.useOpenSsl(undefined));

  QUnit.test("one that was given is used, and after it ended its error is told", async (assert) => {
    const own = await OpenSsl.load();
    crypto.useOpenSsl(own);
    const before = own.live.digests;
    const hash = crypto.createHash("sha256");
    assert.strictEqual(own.live.digests, before + 1);
    assert.strictEqual(hash.update("abc").digest("hex").slice(0, 8), "ba7816bf");
    assert.strictEqual(own.live.digests, before);
  });
});
