/** Trust anchors that are parsed when a chain leads to them, and Mozilla's, which are such. */
import QUnit from "qunit";
import { acceptTls, type CaCerts, OpenSsl, startTls, TlsError, type TrustAnchors, verifyChain } from "wassl";
import { mozillaRoots, mozillaRootsSource } from "wassl/roots";
import { tableOf } from "../../../wasm/build/anchors.ts";
import { basicConstraints, commonName, dnsName, pem as pemOf, subjectAltNames } from "../../der.ts";
import { pair } from "../../fakes/pair.ts";
import { rejection, tlsError } from "../../helpers/basics.ts";
import { certificate, newKey, subjectHash } from "../../helpers/certificates.ts";
import { derOf, nameOf, optionsOf, pem, verdict } from "../../helpers/chains.ts";
import { connectTls } from "../../helpers/connect.ts";
import { env, share } from "../../helpers/env.ts";

const load = () => OpenSsl.load();
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
      "more dates than there are": btoa(word(4, 1)),
      "very many dates": btoa(word(4, 0xffffffff)),
      "an end beyond the block": btoa(word(12, 0x7fffffff)),
      "an end before the beginning": btoa(word(20, 1)),
      "an order that is none": btoa(word(8, 0xffffffff)),
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

QUnit.module("trust anchors that are trusted up to a date", () => {
  const DATE = Date.UTC(2026, 3, 15, 23, 59, 59) / 1000;

  /** An anchor with a date, an intermediate, and leaves that were issued so many seconds after it. */
  async function authority() {
    const [ca, between, own] = [await newKey(), await newKey(), await newKey()];
    const [caName, betweenName] = [commonName("dated"), commonName("between")];
    const old = { notBefore: new Date(0), notAfter: new Date(Date.UTC(2049, 0)) };
    const extensions = [basicConstraints(true)];
    const anchor = await certificate({
      issuer: caName,
      subject: caName,
      spki: ca.spki,
      signer: ca,
      extensions,
      ...old,
    });
    const inter = {
      issuer: caName,
      subject: betweenName,
      spki: between.spki,
      signer: ca,
      extensions,
      ...old,
    };
    const leaf = async (after: number) =>
      certificate({
        issuer: betweenName,
        subject: commonName("leaf"),
        spki: own.spki,
        signer: between,
        extensions: [subjectAltNames(dnsName("s.test"))],
        notBefore: new Date((DATE + after) * 1000),
        notAfter: old.notAfter,
      });
    const hash = await subjectHash(caName);
    const other = { hash: env.chains.hashes.root!, der: derOf(pem("root")), distrustAfter: 1 };
    const table = (...more: { hash: string; der: Uint8Array; distrustAfter?: number }[]): TrustAnchors => ({
      table: tableOf([...more, other]),
    });
    const dated = table({ hash, der: anchor, distrustAfter: DATE });
    return {
      anchor,
      dated,
      later: table({ hash, der: anchor, distrustAfter: DATE + 86_400 * 7 }),
      undated: table({ hash, der: anchor }),
      inter: await certificate(inter),
      leaf,
      key: own,
    };
  }

  QUnit.test("newer leaves are refused by way of them, and by nothing else", async (assert) => {
    const { anchor, dated, later, undated, inter, leaf } = await authority();
    const said = async (after: number, roots: CaCerts) =>
      verdict(
        await verifyChain({
          openssl: await openssl(),
          leaf: await leaf(after),
          intermediates: inter,
          roots,
          hostname: "s.test",
          time: new Date(Date.UTC(2030, 0)),
        }),
      );
    for (const [after, ok] of [
      [-1, true],
      [0, true],
      [1, false],
      [86_400 * 365, false],
    ] as const) {
      const wanted = ok ? "ok" : "X509_V_ERR_CERT_REJECTED";
      const what = `issued ${after} s after the date`;
      assert.strictEqual(await said(after, dated), wanted, what);
      assert.strictEqual(await said(after, [undated, dated]), wanted, `${what}; another set has no date`);
      for (const sets of [
        [later, dated],
        [dated, later],
      ])
        assert.strictEqual(await said(after, sets), wanted, `${what}; another set has a later one`);
      assert.strictEqual(await said(after, undated), "ok", `${what}; no set has one`);
      // What the caller gives is trusted as he gives it.
      assert.strictEqual(await said(after, pemOf(anchor)), "ok", `${what}; given`);
      assert.strictEqual(await said(after, [dated, pemOf(anchor)]), "ok", `${what}; given after the set`);
      assert.strictEqual(await said(after, [pemOf(anchor), dated]), "ok", `${what}; given before the set`);
      // And another store is another store, though the certificates are kept.
      assert.strictEqual(await said(after, dated), wanted, `${what}; the set again`);
    }
  });

  QUnit.test("in a handshake as well", async (assert) => {
    const { anchor, dated, inter, leaf, key } = await authority();
    const connect = async (after: number, caCerts: CaCerts) => {
      const [here, there] = pair();
      const cert = pemOf(await leaf(after)) + pemOf(inter);
      const accepted = acceptTls(there, { openssl: await openssl(), cert, key: key.pem }).catch(
        () => undefined,
      );
      const verifyOptions = { time: new Date(Date.UTC(2030, 0)) };
      const options = {
        openssl: await openssl(),
        hostname: "s.test",
        caCerts,
        verifyOptions,
        sessionStore: false,
      } as const;
      const result = await startTls(here, options).then(
        (stream) => {
          stream.abort();
          return "ok";
        },
        (error) => error.verifyError,
      );
      (await accepted)?.abort();
      return result;
    };
    assert.strictEqual(await connect(0, dated), "ok");
    assert.strictEqual(await connect(1, dated), "X509_V_ERR_CERT_REJECTED");
    assert.strictEqual(await connect(1, [dated, pemOf(anchor)]), "ok");
  });
});

QUnit.module("wassl/roots", () => {
  QUnit.test("Mozilla's dates are in force", async (assert) => {
    assert.true(mozillaRootsSource.dated >= 0);
    const bytes = Uint8Array.from(atob(mozillaRoots.table), (c) => c.charCodeAt(0));
    const words = new DataView(bytes.buffer);
    assert.strictEqual(words.getUint32(4, true), mozillaRootsSource.dated, "the block says how many");
    for (let i = 0; i < mozillaRootsSource.dated; i++) {
      const date = words.getUint32(8 + mozillaRootsSource.count * 8 + i * 8 + 4, true);
      assert.true(
        date > Date.UTC(2015, 0) / 1000 && date < Date.now() / 1000 + 86_400 * 365 * 3,
        `a date: ${date}`,
      );
    }
  });

  /** When they were all in force. */
  const time = new Date(mozillaRootsSource.date);

  QUnit.test("each is a certificate that signed itself, and each is found", async (assert) => {
    const instance = await openssl();
    const all = instance.parseTrustAnchors(mozillaRoots);
    assert.strictEqual(all.length, mozillaRootsSource.count);
    assert.true(all.length > 100);
    assert.true(
      /^3\.\d+/.test(mozillaRootsSource.nss) && mozillaRootsSource.package.includes(mozillaRootsSource.nss),
    );
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
    for (const each of [first, second, plain, context]) each.free();
    const left = grownBy(() => {
      const store = instance.newX509Store();
      store.addTrustAnchors(mozillaRoots);
      store.free();
    });
    assert.true(
      Math.abs(left) <= 64,
      `${left} bytes stay: no certificate does that no handshake has accepted`,
    );
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
