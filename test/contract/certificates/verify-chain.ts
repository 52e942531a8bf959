/** Verification of certificates, outside of a handshake and within: as `openssl verify` does it, and all of it told. */
import QUnit from "qunit";
import { TlsError, type VerifyChainOptions, type VerifyFlag, verifyChain } from "wassl";
import * as ssl from "wassl/openssl";
import { concat, tlsError } from "../../helpers/basics.ts";
import { handshake } from "../../helpers/both-ends.ts";
import { derOf, good, nameOf, openssl, optionsOf, pem, verdict } from "../../helpers/chains.ts";
import { env, share } from "../../helpers/env.ts";

QUnit.module("verifyChain", () => {
  QUnit.test("every verdict and every error is that of openssl verify", async (assert) => {
    const entries = Object.entries(env.chains.cases);
    assert.true(entries.length > 100, `${entries.length} cases`);
    for (const [given, { cli, ...each }] of share(entries)) {
      const name = nameOf(given, each);
      const result = await verifyChain(await optionsOf(each));
      assert.strictEqual(result.ok, cli.ok, `${name}: ${verdict(result)}`);
      const failures = result.ok ? [] : result.failures;
      // It stops at some errors, and goes on after others; we always go on.
      assert.deepEqual(
        failures.slice(0, Math.max(cli.failures.length, 1)).map(({ code, depth }) => ({ code, depth })),
        cli.failures,
        `${name}: the errors`,
      );
      for (const { error, text, code, depth, certificate } of failures) {
        assert.true(/^X509_V_ERR_[A-Z0-9_]*[A-Z][A-Z0-9_]*$/.test(error), `${name}: ${error} (${code})`);
        assert.true(text.length > 5, `${name}: ${text}`);
        if (certificate && result.chain[depth]) {
          assert.deepEqual(
            certificate.der,
            result.chain[depth].der,
            `${name}: ${error} is of depth ${depth}`,
          );
        }
      }
    }
  });

  QUnit.test("a good chain is told from the leaf to the trust anchor", async (assert) => {
    const result = await verifyChain(
      await optionsOf({
        leaf: "long",
        intermediates: ["inter", "three", "root", "two", "one"],
        roots: ["otherRoot", "root"],
        hostname: "host.wassl.test",
      }),
    );
    assert.true(result.ok);
    assert.deepEqual(
      result.chain.map((each) => each.subject),
      ["long", "three", "two", "one", "root"].map((name) => `CN=${name},O=Wassl chains`),
    );
    for (const [i, name] of ["long", "three", "two", "one", "root"].entries()) {
      assert.strictEqual(result.chain[i]?.pem, pem(name), name);
    }
  });

  QUnit.test("every failure is told, OpenSSL's own first", async (assert) => {
    const result = await verifyChain(
      await optionsOf({
        leaf: "weakSignature",
        intermediates: ["inter"],
        roots: ["root"],
        hostname: "elsewhere.wassl.test",
        purpose: "sslclient",
        time: Date.now() / 1000 + 60 * 86_400,
        crls: ["rootCrl"],
        securityLevel: 1,
      }),
    );
    if (result.ok) throw new Error("it was accepted");
    assert.deepEqual(
      result.failures.map(({ error, depth }) => `${depth} ${error}`),
      [
        "0 X509_V_ERR_INVALID_PURPOSE",
        "0 X509_V_ERR_CA_MD_TOO_WEAK",
        "0 X509_V_ERR_HOSTNAME_MISMATCH",
        "0 X509_V_ERR_UNABLE_TO_GET_CRL",
        "1 X509_V_ERR_CRL_HAS_EXPIRED",
        "2 X509_V_ERR_CRL_HAS_EXPIRED",
        "0 X509_V_ERR_CERT_HAS_EXPIRED",
      ],
    );
    assert.strictEqual(result.failures[1]?.text, "CA signature digest algorithm too weak");
    assert.strictEqual(result.failures[1]?.certificate?.subject, "CN=weakSignature,O=Wassl chains");
    assert.strictEqual(result.chain.length, 3);
  });

  QUnit.test("a chain that ends early is told as far as it goes", async (assert) => {
    const result = await verifyChain(
      await optionsOf({ leaf: "long", intermediates: ["three"], roots: ["root"] }),
    );
    assert.false(result.ok);
    assert.deepEqual(
      result.chain.map((each) => each.subject),
      ["CN=long,O=Wassl chains", "CN=three,O=Wassl chains"],
    );
  });

  QUnit.test("how names are compared: X509_CHECK_FLAG_*", async (assert) => {
    const check = async (leaf: string, hostname: string, ...flags: VerifyFlag[]) =>
      verdict(
        await verifyChain(await good({ leaf: pem(leaf), hostname, flags, unsafelyAllowLegacyNames: true })),
      );
    const mismatch = "X509_V_ERR_HOSTNAME_MISMATCH";
    for (const [leaf, hostname, flag, without, withIt] of [
      ["leaf", "a.wild.wassl.test", "NO_WILDCARDS", "ok", mismatch],
      ["leaf", "foo.part.wassl.test", "NO_PARTIAL_WILDCARDS", "ok", mismatch],
      ["leaf", "a.b.wild.wassl.test", "MULTI_LABEL_WILDCARDS", mismatch, "ok"],
      ["cnBesides", "cn.wassl.test", "ALWAYS_CHECK_SUBJECT", mismatch, "ok"],
      ["cnOnly", "cn.wassl.test", "NEVER_CHECK_SUBJECT", "ok", mismatch],
    ] as const) {
      assert.strictEqual(await check(leaf, hostname), without, hostname);
      assert.strictEqual(
        await check(leaf, hostname, `X509_CHECK_FLAG_${flag}`),
        withIt,
        `${hostname}, ${flag}`,
      );
    }
    // The one that is about names with a dot before them, which only OpenSSL itself takes.
    for (const [flags, expected] of [
      [[], "ok"],
      [["X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS"], mismatch],
    ] as const) {
      using store = (await openssl()).newX509Store();
      store.addCaCert(pem("root"));
      store.setVerifyParam({ hostname: ".test", flags });
      assert.strictEqual(verdict(store.verify([pem("leaf"), pem("inter")])), expected, `.test ${flags}`);
    }
  });

  QUnit.test("every flag has its name, and each is taken", async (assert) => {
    const all = [...Object.keys(ssl.X509_V_FLAG), ...Object.keys(ssl.X509_CHECK_FLAG)] as VerifyFlag[];
    assert.true(all.length >= 26, `${all.length} flags`);
    for (const flag of all) {
      const result = await verifyChain(await good({ flags: [flag], unsafelyAllowLegacyNames: true }));
      // What asks for lists, policies or stronger keys finds none.
      const expected: Record<string, string> = {
        X509_V_FLAG_CRL_CHECK: "X509_V_ERR_UNABLE_TO_GET_CRL",
        X509_V_FLAG_CRL_CHECK_ALL: "X509_V_ERR_UNABLE_TO_GET_CRL",
        X509_V_FLAG_EXPLICIT_POLICY: "X509_V_ERR_NO_EXPLICIT_POLICY",
        X509_V_FLAG_SUITEB_192_LOS: "X509_V_ERR_SUITE_B_LOS_NOT_ALLOWED",
      };
      assert.strictEqual(verdict(result), expected[flag] ?? "ok", flag);
    }
  });

  QUnit.test("a name is compared as startTls compares it", async (assert) => {
    for (const [hostname, expected] of [
      ["Bücher.wassl.test", "ok"],
      ["host.wassl.test.", "ok"],
      ["192.0.2.7", "ok"],
      ["[2001:db8::7]", "ok"],
      ["2001:db8::8", "X509_V_ERR_IP_ADDRESS_MISMATCH"],
      ["192.0.2.8", "X509_V_ERR_IP_ADDRESS_MISMATCH"],
    ] as const) {
      assert.strictEqual(verdict(await verifyChain(await good({ hostname }))), expected, hostname);
    }
  });

  QUnit.test("certificates may be PEM, DER or X509, alone or together", async (assert) => {
    const instance = await openssl();
    const x509 = (name: string) => instance.parseX509(pem(name));
    for (const change of [
      { leaf: x509("leaf"), intermediates: x509("inter"), roots: x509("root") },
      { leaf: x509("leaf").der, intermediates: [x509("inter").der], roots: x509("root").der },
      { leaf: `a chain file\n${pem("leaf")}${pem("inter")}`, intermediates: [], roots: pem("root") },
      { intermediates: undefined, leaf: pem("leaf") + pem("inter"), roots: pem("otherRoot") + pem("root") },
    ]) {
      assert.true((await verifyChain(await good({ ...change, hostname: "host.wassl.test" }))).ok);
    }
  });

  QUnit.test("crls: PEM or DER, one or several, and none accepts nothing", async (assert) => {
    const { cases } = env.chains;
    assert.false(cases.revoked?.cli.ok);
    const options = await good();
    const together = pem("interCrl") + pem("rootCrl");
    assert.true((await verifyChain({ ...options, crls: together })).ok);
    assert.true(
      (await verifyChain({ ...options, crls: [derOf(pem("interCrl")), derOf(pem("rootCrl"))] })).ok,
    );
    assert.strictEqual(verdict(await verifyChain({ ...options, crls: [] })), "X509_V_ERR_UNABLE_TO_GET_CRL");
    // OpenSSL looks at no list when told so without X509_V_FLAG_CRL_CHECK.
    const all = await verifyChain({
      ...options,
      leaf: pem("revoked"),
      crls: together,
      flags: ["X509_V_FLAG_CRL_CHECK_ALL"],
    });
    assert.strictEqual(verdict(all), "X509_V_ERR_CERT_REVOKED");
  });

  QUnit.test("what cannot be is refused, and nothing leaks", async (assert) => {
    const options = await good();
    const wrong: Record<string, unknown> = {
      "no certificate": { leaf: "nothing here" },
      "a leaf that is missing": { leaf: undefined },
      "bytes that are none": { leaf: new Uint8Array(100) },
      "a broken intermediate": {
        intermediates: [pem("inter"), "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"],
      },
      "a number for a root": { roots: [7] },
      "roots that are missing": { roots: undefined },
      "a root that is a CRL": { roots: pem("rootCrl") },
      "a CRL that is a number": { crls: 7 },
      "a CRL that is a root": { crls: pem("root") },
      "something behind a CRL": { crls: concat([derOf(pem("rootCrl")), new Uint8Array(1)]) },
      "a name that is undefined": { hostname: undefined },
      "an empty name": { hostname: "" },
      "a name for an address": { ip: "host.wassl.test" },
      "a flag for old names, without more": {
        hostname: "host.wassl.test",
        flags: ["X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT"],
      },
      "old names, as a text": { unsafelyAllowLegacyNames: "false" },
      "old names, as null": { unsafelyAllowLegacyNames: null },
      "a name with a NUL": { hostname: "host.wassl.test\0.evil.test" },
      "a URL": { hostname: "https://host.wassl.test" },
      "an address that is none": { ip: "192.0.2" },
      "an address that is undefined": { ip: undefined },
      "a name that is an address, and an address": { hostname: "192.0.2.7", ip: "192.0.2.7" },
      "an empty mail address": { email: "" },
      "a mail address that is undefined": { email: undefined },
      "a mail address with a NUL": { email: "user@wassl.test\0" },
      "an invalid date": { time: new Date(Number.NaN) },
      "a date that is a number": { time: 7 },
      "the year 10000": { time: new Date(Date.UTC(10_000, 0)) },
      "an unknown purpose": { purpose: "world-domination" },
      "an empty purpose": { purpose: "" },
      "a negative depth": { depth: -1 },
      "half a depth": { depth: 0.5 },
      "a depth without end": { depth: Infinity },
      "level 6": { securityLevel: 6 },
      "an unknown flag": { flags: ["X509_V_FLAG_EVERYTHING_IS_FINE"] },
      "a flag that every object has": { flags: ["constructor"] },
      "flags as a number": { flags: 4 },
    };
    const refuseAll = async () => {
      for (const [what, change] of Object.entries(wrong)) {
        const error = await tlsError(verifyChain({ ...options, ...(change as Partial<VerifyChainOptions>) }));
        assert.strictEqual(error.code, "invalid-argument", `${what}: ${error.message}`);
      }
    };
    // What OpenSSL makes at first use it keeps.
    await refuseAll();
    const { memory } = options.openssl!;
    await refuseAll();
    assert.strictEqual(options.openssl!.errors().length, 0, "no stale error");
    assert.true(
      options.openssl!.memory.used - memory.used <= 256,
      `${memory.used}, ${options.openssl!.memory.used}`,
    );
  });

  QUnit.test("nothing leaks", async (assert) => {
    const { openssl } = await good();
    const cases = Object.entries(env.chains.cases).filter(([name]) => !name.startsWith("random"));
    const all = await Promise.all(share(cases).map(([, each]) => optionsOf(each)));
    const once = async () => {
      for (const options of all) await verifyChain(options);
    };
    await once();
    const before = openssl!.memory;
    for (let i = 0; i < 4; i++) await once();
    const after = openssl!.memory;
    assert.strictEqual(after.size, before.size);
    // The last sixteen certificates stay (wasm/instead/interned.c), in what malloc makes of a thousand small pieces,
    // now so, now so. A leak in each case would be 2,500 bytes at least.
    assert.true(Math.abs(after.used - before.used) <= 1024, `${before.used} before, ${after.used} after`);
  });
});

QUnit.module("SslContext.setVerifyParam", () => {
  /** A handshake of two ends in one instance: what the client thinks of the server's certificate. */
  const handshake = async (param: ssl.VerifyParam, caCerts = env.certs.caPem): Promise<string> => {
    const instance = await openssl();
    using serverContext = instance.newContext("server");
    serverContext.useCertificateChain(env.certs.chains.ecdsa);
    serverContext.usePrivateKey(env.certs.keys.ecdsa);
    using context = instance.newContext("client");
    context.addCaCert(caCerts);
    context.setVerify(ssl.SSL_VERIFY_PEER);
    // An empty one changes nothing.
    context.setVerifyParam({});
    context.setVerifyParam(param);
    using pair = instance.newBioPair();
    using serverPair = instance.newBioPair();
    using client = context.newSsl(pair);
    using server = serverContext.newSsl(serverPair);
    client.setConnectState();
    server.setAcceptState();
    for (let i = 0; i < 20; i++) {
      const result = client.tryHandshake();
      if (result === 1) return "ok";
      if (result === -ssl.SSL_ERROR_SSL) {
        const failure = client.getVerifyFailure();
        instance.clearErrors();
        return failure?.error ?? "another error";
      }
      server.tryHandshake();
      for (const [from, to] of [
        [pair, serverPair],
        [serverPair, pair],
      ] as const) {
        const bytes = new Uint8Array(from.pending());
        from.read(bytes);
        to.write(bytes);
      }
    }
    throw new Error("the handshake does not get on");
  };

  QUnit.test("a connection verifies by it", async (assert) => {
    const later = new Date(Date.now() + 60 * 86_400_000);
    for (const [param, expected] of [
      [{}, "ok"],
      [{ hostname: "localhost", ip: "127.0.0.1" }, "ok"],
      [{ hostname: "elsewhere" }, "X509_V_ERR_HOSTNAME_MISMATCH"],
      [{ ip: "127.0.0.2" }, "X509_V_ERR_IP_ADDRESS_MISMATCH"],
      [{ email: "a@localhost" }, "X509_V_ERR_EMAIL_MISMATCH"],
      [{ time: later }, "X509_V_ERR_CERT_HAS_EXPIRED"],
      [{ time: new Date(0) }, "X509_V_ERR_CERT_NOT_YET_VALID"],
      [{ time: new Date() }, "ok"],
      [{ depth: 1 }, "ok"],
      [{ depth: 0 }, "X509_V_ERR_CERT_CHAIN_TOO_LONG"],
      [{ purpose: "sslserver" }, "ok"],
      [{ purpose: "smimesign" }, "X509_V_ERR_INVALID_PURPOSE"],
      [{ securityLevel: 3 }, "ok"],
      [{ securityLevel: 4 }, "X509_V_ERR_EE_KEY_TOO_SMALL"],
      [{ flags: ["X509_V_FLAG_CRL_CHECK"] }, "X509_V_ERR_UNABLE_TO_GET_CRL"],
      [{ flags: ["X509_V_FLAG_EXPLICIT_POLICY"] }, "X509_V_ERR_NO_EXPLICIT_POLICY"],
    ] as [ssl.VerifyParam, string][]) {
      assert.strictEqual(await handshake(param), expected, JSON.stringify(param));
    }
  });

  QUnit.test("wrong ones are refused; a partial chain is enough when they say so", async (assert) => {
    const instance = await openssl();
    using context = instance.newContext("client");
    const throws = (param: object, what: string) =>
      assert.throws(
        () => context.setVerifyParam(param),
        (error: unknown) => error instanceof TlsError && error.code === "invalid-argument",
        what,
      );
    throws({ flags: ["X509_V_FLAG_NONE"] }, "an unknown flag");
    throws({ time: new Date(Number.NaN) }, "no time");
    throws({ purpose: "anything" }, "no purpose");
    throws({ depth: 101 }, "no depth");
    const partial: ssl.VerifyParam = { flags: ["X509_V_FLAG_PARTIAL_CHAIN"] };
    const { caPem, intermediatePem } = env.certs;
    assert.strictEqual(await handshake(partial, intermediatePem), "ok");
    assert.strictEqual(await handshake({}, intermediatePem), "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT");
    assert.strictEqual(await handshake(partial, caPem), "ok");
  });
});

QUnit.module("verification options: policies", () => {
  const flags: VerifyFlag[] = ["X509_V_FLAG_EXPLICIT_POLICY"];

  QUnit.test("in a handshake, of a server and of a client", async (assert) => {
    const { chain, key, roots } = env.forged.policy;
    const identity = { cert: chain, key };
    for (const [policies, good] of [
      [undefined, false],
      [["2.5.29.32.0"], true],
      [["1.2.3.4"], true],
      [["1.2.3.5", "1.2.3.4"], true],
      [["1.2.3.5"], false],
    ] as const) {
      const verifyOptions = { flags, purpose: "any", ...(policies ? { policies } : {}) } as const;
      const own = { caCerts: roots, sessionStore: false as const };
      const [near] = await handshake({ ...own, verifyOptions }, identity);
      const [, far] = await handshake(
        { ...own, ...identity },
        { ...identity, caCerts: roots, clientAuth: "require", verifyOptions },
      );
      for (const [who, end] of Object.entries({ near, far })) {
        const said = end.status === "rejected" ? (end.reason as { verifyError?: string }).verifyError : "ok";
        assert.strictEqual(said, good ? "ok" : "X509_V_ERR_NO_EXPLICIT_POLICY", `${who}: ${policies}`);
      }
    }
  });

  QUnit.test("what is no list of object identifiers is refused", async (assert) => {
    for (const policies of [
      ...[
        [],
        [""],
        ["policy"],
        ["1"],
        ["1.2.x"],
        ["1..2"],
        [".1.2"],
        ["1.2."],
        ["9.9.9"],
        ["1.2.3.4", "1.2 "],
        [5],
      ],
      ...["1.2.3.4", 5, null, {}],
    ]) {
      const error = await tlsError(verifyChain(await good({ policies: policies as never, flags })));
      assert.strictEqual(error.code, "invalid-argument", JSON.stringify(policies));
    }
  });
});
