/**
 * By which path a certificate is believed: others are tried where the first one is bad, and the one that was good is
 * told.
 */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  type ServerOptions,
  startTls,
  TlsCertificateError,
  TlsContext,
  verifyChain,
  type X509,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { clientCert, connected, handshake } from "../../helpers/both-ends.ts";
import { openssl, optionsOf, pem, verdict } from "../../helpers/chains.ts";
import { afterTest, env } from "../../helpers/env.ts";

const names = (chain: readonly X509[]) => chain.map(({ subject }) => /CN=([^,]*)/.exec(subject)?.[1]);
const pems = (...all: string[]) => all.map(pem).join("");

/** A server with a certificate of `chain-cases.ts`, and what a client makes of it. */
async function connect(
  { leaf, intermediates }: { leaf: string; intermediates: string[] },
  clientOptions: Partial<ClientOptions>,
  serverOptions: Partial<ServerOptions> = {},
) {
  const [near, far] = pair();
  const both = await Promise.allSettled([
    startTls(near, {
      hostname: "host.wassl.test",
      caCerts: pem("root"),
      sessionStore: false,
      ...clientOptions,
    }),
    acceptTls(far, { cert: pems(leaf, ...intermediates), key: env.chains.keys[leaf]!, ...serverOptions }),
  ]);
  for (const end of both) if (end.status === "fulfilled") afterTest(() => end.value.abort());
  return both;
}

const error = (end: PromiseSettledResult<unknown>) => {
  if (end.status === "fulfilled") return "ok";
  if (end.reason instanceof TlsCertificateError) return end.reason.verifyError;
  return String(end.reason);
};

QUnit.module("paths", () => {
  QUnit.test(
    "authorities that certify each other: good if one way is good, by openssl verify",
    async (assert) => {
      const { crossed } = env.chains;
      const found = { good: 0, bad: 0, missed: 0 };
      for (const { good, ...each } of crossed) {
        const result = await verifyChain(await optionsOf(each));
        found[good ? "good" : "bad"]++;
        if (good && !result.ok) found.missed++;
        if (!good && result.ok) assert.true(false, `seed ${env.seed}: ${JSON.stringify(each)} is accepted`);
        if (!result.ok) continue;
        const [leaf, root] = [result.chain[0]?.pem, result.chain.at(-1)?.pem];
        assert.true(leaf === pem(each.leaf) && root === pem("root"), "from the leaf to the anchor");
      }
      // Ten tries do not find a way through every maze.
      const enough = found.good >= 3 && found.bad >= 3 && found.missed <= found.good / 2;
      assert.true(enough, `seed ${env.seed}: ${JSON.stringify(found)}`);
    },
  );

  QUnit.test("in a handshake too, by client and server, and when a session is resumed", async (assert) => {
    const intermediates = ["bridgeOther", "bridgeLimited", "bridge"];
    const chain = ["crossed", "bridge", "root"];
    let asked: readonly X509[] = [];
    const verify: ClientOptions["verify"] = (sent, { ok, verifiedChain, failure }) => {
      asked = verifiedChain;
      return ok && failure === undefined && sent.length === 4;
    };
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const only = { minVersion: version, maxVersion: version } as const;
      for (const options of [{}, { verify }, { verify, unsafelyLetVerifyOverride: true }]) {
        asked = [];
        const [near] = await connect({ leaf: "crossed", intermediates }, { ...only, ...options });
        if (near.status === "rejected") throw near.reason;
        assert.true(near.value.info.verified, version);
        assert.deepEqual(names(near.value.info.verifiedChain), chain);
        assert.strictEqual(
          near.value.info.verifiedChain[1]?.pem,
          pem("bridge"),
          "not another one of that name",
        );
        assert.deepEqual(names(near.value.info.peerCertificates), ["crossed", "bridge", "bridge", "bridge"]);
        assert.deepEqual(names(asked), options.verify ? chain : []);
      }

      // The same certificate as a client's: it is good for anything.
      const context = await TlsContext.server({
        cert: env.certs.chains.ecdsa,
        key: env.certs.keys.ecdsa,
        clientAuth: "require",
        caCerts: pem("root"),
        verifyOptions: { purpose: "any" },
        openssl: await openssl(),
      });
      afterTest(() => context.free());
      const identity = { cert: pems("crossed", ...intermediates), key: env.chains.keys.crossed! };
      for (const reused of [false, true]) {
        const [a, b] = pair();
        const [near, far] = await Promise.all([
          startTls(a, {
            ...only,
            ...identity,
            hostname: "localhost",
            caCerts: env.certs.caPem,
            openssl: await openssl(),
            sessionPartition: `paths ${version} ${env.seed}`,
          }),
          acceptTls(b, { context }),
        ]);
        afterTest(() => near.abort());
        afterTest(() => far.abort());
        const read = near.readable.getReader().read();
        await far.writable.getWriter().write(new Uint8Array(1));
        await read;
        assert.strictEqual(far.info.sessionReused, reused, `${version}, reused`);
        assert.true(far.info.verified && near.info.verified);
        assert.deepEqual(names(far.info.verifiedChain), chain, `the server, reused: ${reused}`);
        assert.deepEqual(
          names(near.info.verifiedChain),
          ["ecdsa", "Wassl test intermediate", "Wassl test ca"],
          `the client, reused: ${reused}`,
        );
      }
    }
  });

  QUnit.test(
    "no path is good: the verdict of the first one is told, and nothing of it is verified",
    async (assert) => {
      const ways = { leaf: "crossed", intermediates: ["bridgeLimited", "bridgeOther"] };
      const [near] = await connect(ways, {});
      assert.strictEqual(error(near), "X509_V_ERR_EXCLUDED_VIOLATION");
      const [other] = await connect({ ...ways, intermediates: ["bridgeOther", "bridgeLimited"] }, {});
      assert.strictEqual(error(other), "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY");

      let asked: unknown;
      const [believed] = await connect(ways, {
        unsafelyLetVerifyOverride: true,
        verify(_, preliminary) {
          asked = preliminary;
          return true;
        },
      });
      if (believed.status === "rejected") throw believed.reason;
      assert.false(believed.value.info.verified);
      assert.deepEqual(believed.value.info.verifiedChain, []);
      const { ok, verifiedChain, failure } = asked as Parameters<NonNullable<ClientOptions["verify"]>>[1];
      assert.false(ok);
      assert.deepEqual(verifiedChain, []);
      assert.strictEqual(failure?.error, "X509_V_ERR_EXCLUDED_VIOLATION");
    },
  );

  QUnit.test(
    "what another path cannot mend ends it at once; who is not verified has no verified chain",
    async (assert) => {
      const ways = { leaf: "crossed", intermediates: ["bridgeOther", "bridge"] };
      const wrong = await connect(ways, { hostname: "elsewhere.wassl.test" });
      // The first path is bad before the name is looked at.
      assert.strictEqual(error(wrong[0]), "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
      const late = { verifyOptions: { time: new Date(Date.now() + 60 * 86_400_000) } };
      assert.true(/EXPIRED|ISSUER/.test(error((await connect(ways, late))[0])));

      const [anybody] = await connect(ways, { unsafelyDisableVerification: true });
      if (anybody.status === "rejected") throw anybody.reason;
      assert.deepEqual(anybody.value.info.verifiedChain, []);
      assert.strictEqual(anybody.value.info.peerCertificates.length, 3);
      assert.deepEqual(anybody.value.info.verifyFailures, [], "another path is good");
      const lost = { leaf: "crossed", intermediates: ["bridgeLimited", "bridgeOther"] };
      const [nobody] = await connect(lost, { unsafelyDisableVerification: true });
      if (nobody.status === "rejected") throw nobody.reason;
      const [first] = nobody.value.info.verifyFailures;
      assert.strictEqual(
        first?.error,
        "X509_V_ERR_EXCLUDED_VIOLATION",
        "of the first path, where no path is good",
      );
      const { server } = await connected({}, {});
      assert.deepEqual(server.info.verifiedChain, [], "no certificate of the client");
    },
  );

  QUnit.test("both ends tell the path, and share what was sent", async (assert) => {
    const both = await connected(clientCert(), { clientAuth: "require", caCerts: env.certs.caPem });
    for (const { info } of [both.client, both.server]) {
      assert.strictEqual(info.verifiedChain.length, 3);
      assert.strictEqual(info.verifiedChain[0], info.peerCertificates[0], "one object");
      assert.strictEqual(info.verifiedChain[1], info.peerCertificates[1]);
      const anchor = info.verifiedChain[2]?.pem.replace(/\s/g, "");
      assert.true(env.certs.caPem.replace(/\s/g, "").endsWith(anchor ?? "none"), "the anchor");
    }
  });

  QUnit.test("a chain of many that lead nowhere costs little more than one", async (assert) => {
    const { crossed, cases } = env.chains;
    const many = [...new Set(crossed.flatMap(({ intermediates = [] }) => intermediates))].filter(
      (name) => !name.endsWith("root") && !name.endsWith("Root"),
    );
    const options = await optionsOf({ leaf: "crossLeaf", intermediates: many, roots: ["root"] });
    const honest = await optionsOf(cases["a long chain"]!);
    const time = async (what: typeof options) => {
      const began = performance.now();
      for (let i = 0; i < 20; i++) await verifyChain(what);
      return performance.now() - began;
    };
    await time(options);
    await time(honest);
    const [spent, usual] = [await time(options), await time(honest)];
    assert.false((await verifyChain(options)).ok);
    // Reading so many certificates takes its time too.
    assert.true(spent < usual * 25 + 500, `${spent.toFixed()} ms, an honest chain ${usual.toFixed()} ms`);
  });
});

QUnit.module("names of RFC 9525", () => {
  const cases = [
    // what it is called, leaf, name, by default, with unsafelyAllowLegacyNames
    ["an alternative name", "leaf", "host.wassl.test", true, true],
    ["a wildcard", "leaf", "a.wild.wassl.test", true, true],
    ["a partial wildcard", "leaf", "foo.part.wassl.test", false, true],
    ["a wildcard is one label", "leaf", "a.b.wild.wassl.test", false, false],
    ["a wildcard is no label with an underscore", "leaf", "a_b.wild.wassl.test", false, false],
    ["two wildcards", "leaf", "a.x.b.wassl.test", false, false],
    ["a common name alone", "cnOnly", "cn.wassl.test", false, true],
    ["an address", "leaf", "192.0.2.7", true, true],
    ["an address as a mapped one", "leaf", "::ffff:192.0.2.7", false, false],
  ] as const;

  QUnit.test(
    "verifyChain: by default, with the option, and with flags that say other things",
    async (assert) => {
      const flags = [
        [],
        ["X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS"],
        ["X509_V_FLAG_TRUSTED_FIRST", "X509_CHECK_FLAG_NEVER_CHECK_SUBJECT"],
        ["X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS"],
      ] as const;
      for (const [what, leaf, hostname, expected, legacy] of cases) {
        const base = { ...(await optionsOf({ leaf, intermediates: ["inter"], roots: ["root"], hostname })) };
        for (const each of flags) {
          const result = await verifyChain({ ...base, unsafelyAllowLegacyNames: false, flags: each });
          assert.strictEqual(result.ok, expected, `${what}, ${each}: ${verdict(result)}`);
        }
        assert.strictEqual((await verifyChain(base)).ok, legacy, `${what}, legacy`);
      }
      for (const [name, expected] of [
        ["user@wassl.test", "X509_V_ERR_EMAIL_MISMATCH"],
        ["old@wassl.test", "X509_V_ERR_EMAIL_MISMATCH"],
      ] as const) {
        const mail = {
          leaf: "mailOnly",
          intermediates: ["inter"],
          roots: ["root"],
          email: name,
          purpose: "smimesign",
        };
        const result = await verifyChain({ ...(await optionsOf(mail)), unsafelyAllowLegacyNames: false });
        assert.strictEqual(verdict(result), expected, `${name} in the subject alone`);
      }
      const inName = { leaf: "leaf", intermediates: ["inter"], roots: ["root"], email: "user@wassl.test" };
      assert.true((await verifyChain({ ...(await optionsOf(inName)), unsafelyAllowLegacyNames: false })).ok);
    },
  );

  QUnit.test("handshakes, and sessions that are resumed", async (assert) => {
    for (const [what, leaf, hostname, expected, legacy] of cases) {
      const ways = { leaf, intermediates: ["inter"] };
      for (const [unsafelyAllowLegacyNames, wanted] of [
        [undefined, expected],
        [false, expected],
        [true, legacy],
      ] as const) {
        const options = {
          hostname,
          ...(unsafelyAllowLegacyNames !== undefined && { unsafelyAllowLegacyNames }),
        };
        const [near] = await connect(ways, options);
        assert.strictEqual(
          near.status === "fulfilled",
          wanted,
          `${what}, ${unsafelyAllowLegacyNames}: ${error(near)}`,
        );
        // Flags of the same kind do not turn the rules off.
        if (unsafelyAllowLegacyNames) continue;
        const flags = ["X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS"] as const;
        const [flagged] = await connect(ways, { ...options, verifyOptions: { flags } });
        assert.strictEqual(flagged.status === "fulfilled", wanted, `${what}, with a flag`);
      }
    }

    // A session of a client that accepts old names is not offered by a client that does not.
    const instance = await openssl();
    const context = await TlsContext.server({
      cert: pems("cnOnly", "inter"),
      key: env.chains.keys.cnOnly!,
      openssl: instance,
    });
    afterTest(() => context.free());
    const base = {
      hostname: "cn.wassl.test",
      caCerts: pem("root"),
      openssl: instance,
      sessionStore: false,
    } as const;
    const [near, far] = pair();
    const [client] = await Promise.all([
      startTls(near, { ...base, unsafelyAllowLegacyNames: true }),
      acceptTls(far, { context }).then(async (server) => {
        afterTest(() => server.abort());
        await server.writable.getWriter().write(new Uint8Array(1));
      }),
    ]);
    afterTest(() => client.abort());
    await client.readable.getReader().read();
    const session = client.getSession()!;
    const [a, b] = pair();
    const [again] = await Promise.allSettled([startTls(a, { ...base, session }), acceptTls(b, { context })]);
    assert.strictEqual(error(again), "X509_V_ERR_HOSTNAME_MISMATCH");
  });

  QUnit.test("a server holds a client's common name against the limits above it, as ever", async (assert) => {
    // The name is not compared, but a program may take it for a name.
    const [, far] = await handshake(
      { cert: pems("leaf", "inter"), key: env.chains.keys.leaf! },
      { clientAuth: "require", caCerts: pem("root"), verifyOptions: { depth: 5 } },
    );
    assert.strictEqual(far.status, "fulfilled", error(far));
    const outside = await optionsOf({ leaf: "outsideCn", intermediates: ["constrained"], roots: ["root"] });
    const result = await verifyChain({ ...outside, unsafelyAllowLegacyNames: false });
    assert.strictEqual(verdict(result), "X509_V_ERR_PERMITTED_VIOLATION");
  });
});
