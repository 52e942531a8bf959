/** Trust anchors that are parsed when a chain leads to them, and Mozilla's, which are such. */
import QUnit from "qunit";
import { acceptTls, type CaCerts, OpenSsl, startTls, TlsError, type TrustAnchors, verifyChain } from "wassl";
import { mozillaRoots, mozillaRootsSource } from "wassl/roots";
import { tableOf } from "../../wasm/anchors.ts";
import { pair } from "../fakes/pair.ts";
import { connectTls } from "./connect.ts";
import { env, share } from "./env.ts";
import { rejection, tlsError } from "./helpers.ts";
import { derOf, nameOf, optionsOf, pem, verdict } from "./verify-chain.ts";

const load = () => OpenSsl.load(env.runtime === "chromium" ? { source: `${env.origin}/openssl.wasm` } : {});
let loaded: Promise<OpenSsl> | undefined;
const openssl = () => (loaded ??= load());

/** These certificates of the run, as a set. */
const anchors = (...names: string[]): TrustAnchors => ({
  table: tableOf(
    names.map((name) => {
      const hash = env.chains.hashes[name];
      if (!hash) throw new Error(`no hash of "${name}"`);
      return { hash, der: derOf(pem(name)) };
    }),
  ),
});

QUnit.module("trust anchors", () => {
  QUnit.test("every verdict is that of openssl verify, as with certificates", async (assert) => {
    for (const [given, { cli, ...each }] of share(Object.entries(env.chains.cases))) {
      const name = nameOf(given, each);
      const { roots } = each;
      const options = await optionsOf(each);
      const result = await verifyChain({ ...options, roots: anchors(...roots) });
      assert.strictEqual(result.ok, cli.ok, `${name}: ${verdict(result)}`);
      const failures = result.ok ? [] : result.failures.map(({ code, depth }) => ({ code, depth }));
      assert.deepEqual(
        failures.slice(0, Math.max(cli.failures.length, 1)),
        cli.failures,
        `${name}: the errors`,
      );
    }
  });

  QUnit.test("all of one subject are found, wherever they are", async (assert) => {
    const {
      openssl: instance,
      leaf,
      intermediates,
    } = await optionsOf({
      leaf: "leaf",
      intermediates: ["inter"],
      roots: [],
    });
    // rootTwin has root's name and another key.
    assert.strictEqual(env.chains.hashes.root, env.chains.hashes.rootTwin);
    for (const roots of [
      [anchors("root", "rootTwin")],
      [anchors("rootTwin", "root")],
      [anchors("root"), pem("rootTwin")],
      [pem("rootTwin"), anchors("root")],
      [anchors("rootTwin"), pem("root")],
      [anchors("rootTwin"), anchors("root", "otherRoot")],
      [anchors("rootTwin"), anchors("rootTwin", "edRoot"), anchors("root")],
      [anchors("root"), anchors("root")],
    ]) {
      const result = await verifyChain({ openssl: instance!, leaf, intermediates, roots });
      assert.true(result.ok, verdict(result));
      assert.strictEqual(result.chain.at(-1)?.pem, pem("root"));
    }
    const without = await verifyChain({
      openssl: instance!,
      leaf,
      intermediates,
      roots: anchors("rootTwin"),
    });
    assert.false(without.ok);
  });

  QUnit.test("two names with one hash are not taken for each other", async (assert) => {
    const { leaf, intermediates, ...rest } = await optionsOf({
      leaf: "leaf",
      intermediates: ["inter"],
      roots: [],
    });
    const colliding = {
      table: tableOf([
        { hash: env.chains.hashes.root!, der: derOf(pem("otherRoot")) },
        { hash: env.chains.hashes.root!, der: derOf(pem("root")) },
      ]),
    };
    const result = await verifyChain({ ...rest, leaf, intermediates, roots: colliding });
    assert.true(result.ok, verdict(result));
    // And one that is not where its name says is not found.
    const stranger = await verifyChain({
      ...(await optionsOf({ leaf: "stranger", roots: [] })),
      roots: colliding,
    });
    assert.strictEqual(verdict(stranger), "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
  });

  QUnit.test("a broken table is refused", async (assert) => {
    const options = await optionsOf({ leaf: "leaf", roots: [] });
    const good = atob(anchors("root", "inter").table);
    const word = (at: number, value: number) =>
      good.slice(0, at) +
      String.fromCharCode(value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >>> 24) & 255) +
      good.slice(at + 4);
    const wrong: Record<string, unknown> = {
      "no base64": "?",
      nothing: "",
      "too short for its table": btoa(good.slice(0, 12)),
      cut: btoa(good.slice(0, -1)),
      "something behind it": btoa(`${good}x`),
      "more than there are": btoa(word(0, 3)),
      "fewer than there are": btoa(word(0, 1)),
      "very many": btoa(word(0, 0xffffffff)),
      "an end beyond the block": btoa(word(8, 0x7fffffff)),
      "an end before the beginning": btoa(word(16, 1)),
      "an order that is none": btoa(word(4, 0xffffffff)),
      "a number": 7,
    };
    for (const [what, table] of Object.entries(wrong)) {
      const error = await tlsError(verifyChain({ ...options, roots: { table } as TrustAnchors }));
      assert.strictEqual(error.code, "invalid-argument", `${what}: ${error.message}`);
    }
    // Whatever a changed byte makes of it: refused, or looked up in without a trap.
    const instance = await load();
    const verdicts = new Map<string, number>();
    const bits = Array.from({ length: 300 * 8 }, (_, bit) => bit);
    for (const bit of share(bits.filter((bit) => bit < 20 * 8 || bit % 11 === 0))) {
      const at = bit >> 3;
      const changed = String.fromCharCode(good.charCodeAt(at) ^ (1 << (bit & 7)));
      const roots = { table: btoa(good.slice(0, at) + changed + good.slice(at + 1)) };
      const said = await verifyChain({ ...options, openssl: instance, roots }).then(
        verdict,
        (error: TlsError) => error.code,
      );
      verdicts.set(said, (verdicts.get(said) ?? 0) + 1);
    }
    for (const [said] of verdicts) assert.true(/^(ok|X509_V_ERR_\w+|invalid-argument)$/.test(said), said);
    assert.true(verdicts.size >= 2, JSON.stringify([...verdicts]));
    for (const roots of [null, {}, [null], [{}], 7]) {
      const error = await tlsError(verifyChain({ ...options, roots: roots as unknown as TrustAnchors }));
      assert.strictEqual(error.code, "invalid-argument", JSON.stringify(roots));
    }
  });
});

QUnit.module("wassl/roots", () => {
  /** When they were all in force. */
  const time = new Date(mozillaRootsSource.date);

  QUnit.test("each is a certificate that signed itself, and each is found", async (assert) => {
    const instance = await openssl();
    const all = instance.parseTrustAnchors(mozillaRoots);
    assert.strictEqual(all.length, mozillaRootsSource.count);
    assert.true(all.length > 100);
    assert.true(/^3\.\d+/.test(mozillaRootsSource.nss) && /^\d+\.\d+\.\d+$/.test(mozillaRootsSource.node));
    assert.true(all.some(({ subject }) => subject.includes("ISRG Root X1")));
    assert.strictEqual(
      new Set(all.map((each) => each.sha256Fingerprint)).size,
      all.length,
      "no two are the same",
    );
    using store = instance.newX509Store();
    store.addTrustAnchors(mozillaRoots);
    store.setVerifyParam({ time, flags: ["X509_V_FLAG_CHECK_SS_SIGNATURE"] });
    using empty = instance.newX509Store();
    empty.setVerifyParam({ time });
    for (const root of share(all)) {
      assert.strictEqual(root.subject, root.issuer);
      const result = store.verify([root.der]);
      assert.strictEqual(verdict(result), "ok", root.subject);
      assert.strictEqual(verdict(empty.verify([root.der])), "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT");
    }
  });

  QUnit.test("using all of them parses one, and a second user costs nothing", async (assert) => {
    const instance = await load();
    const used = () => instance.memory.used;
    const [root] = (await openssl()).parseTrustAnchors(mozillaRoots);
    const size = atob(mozillaRoots.table).length;
    const grownBy = (act: () => void) => {
      const before = used();
      act();
      return used() - before;
    };
    // What OpenSSL sets up when it verifies for the first time is none of this.
    const verify = (store: ReturnType<OpenSsl["newX509Store"]>) => {
      store.setVerifyParam({ time });
      assert.true(store.verify([root!.der]).ok);
    };
    {
      using store = instance.newX509Store();
      store.addCaCert(root!.der);
      verify(store);
    }
    const one = grownBy(() => {
      const store = instance.newX509Store();
      store.addCaCert(root!.der);
      verify(store);
      store.free();
    });
    assert.true(Math.abs(one) <= 64, `${one} bytes stay of a store with one`);

    const first = instance.newX509Store();
    const setUp = grownBy(() => first.addTrustAnchors(mozillaRoots));
    assert.true(setUp >= size && setUp < size + 1024, `${setUp} bytes for a block of ${size}`);
    const second = instance.newX509Store();
    const again = grownBy(() => second.addTrustAnchors(mozillaRoots));
    assert.true(again < 1024, `${again} bytes for the second user`);
    const context = instance.newContext("client");
    const third = grownBy(() => context.addTrustAnchors(mozillaRoots));
    assert.true(third < 1024, `${third} bytes for a context`);

    // One certificate takes some kilobytes when it is parsed; all of them, half a megabyte.
    const plain = instance.newX509Store();
    const parsedAll = grownBy(() => {
      for (const each of instance.parseTrustAnchors(mozillaRoots)) plain.addCaCert(each.der);
    });
    const found = grownBy(() => verify(first));
    assert.true(found > 1024 && parsedAll > found * 50, `${found} bytes with one, ${parsedAll} with all`);
    // Which was read lately, and is not read again.
    const single = instance.newX509Store();
    const shared = grownBy(() => {
      single.addCaCert(root!.der);
      verify(single);
    });
    assert.true(shared < found - 1024, `${shared} bytes when it was read before, ${found} when not`);
    const before = used();
    for (const each of [first, second, single, plain, context]) each.free();
    // The last sixteen of 121 stay.
    assert.true(used() < before - parsedAll * 0.8);
  });

  QUnit.test("caCerts of startTls, alone and with others", async (assert) => {
    const error = await rejection(connectTls("tls", { caCerts: mozillaRoots }));
    assert.true(error instanceof TlsError && error.code === "certificate", String(error));
    assert.true(/unable to get local issuer/.test((error as Error).message), String(error));
    for (const caCerts of [
      [mozillaRoots, env.certs.caPem],
      [mozillaRoots, anchors("givenRoot")],
      anchors("givenRoot", "root"),
      [(await openssl()).parseX509(env.certs.caPem), mozillaRoots],
    ]) {
      const stream = await connectTls("tls?do=hello", { caCerts });
      assert.true(stream.info.verified);
      stream.abort();
    }
  });

  QUnit.test("caCerts of acceptTls", async (assert) => {
    const instance = await openssl();
    const identity = { cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa, openssl: instance };
    const accept = async (caCerts: CaCerts) => {
      const [a, b] = pair();
      const both = await Promise.allSettled([
        startTls(a, { ...identity, hostname: "localhost", caCerts: env.certs.caPem }),
        acceptTls(b, {
          ...identity,
          clientAuth: "require",
          caCerts,
          // The run has certificates for servers only.
          verifyOptions: { purpose: "sslserver" },
        }),
      ]);
      for (const each of both) if (each.status === "fulfilled") each.value.abort();
      const [, server] = both;
      return server.status === "fulfilled" ? server.value.info.verified : String(server.reason);
    };
    assert.strictEqual(await accept([mozillaRoots, anchors("givenRoot")]), true);
    assert.true(/unable to get local issuer/.test(String(await accept([mozillaRoots]))));
  });
});
