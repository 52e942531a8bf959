/**
 * The programs of docs/examples, which docs/guide shows: each in the engine that it is for, against peers that are not
 * ours.
 */
import { execFileSync } from "node:child_process";
import { createHash, randomBytes, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import QUnit from "qunit";
import {
  checkInDeno,
  ended,
  given,
  inDeno,
  inNode,
  inWorkerd,
  open,
  portOf,
  relayTo,
  serveSite,
  text,
} from "../examples.ts";
import { afterTest, env } from "../helpers/env.ts";
import { freePort, start, waitForOutput } from "../peers/program.ts";

const caFile = () => given("ca.pem", env.certs.caPem);
const address = async (peer: string) => `localhost:${(await env.peer(peer)).port}`;

/** `openssl s_client` to a server of ours; it says what `input` says, and ends when the server does. */
function opensslClient(port: number, args: string[], input = "") {
  const common = [
    "s_client",
    "-connect",
    `127.0.0.1:${port}`,
    "-servername",
    "localhost",
    "-CAfile",
    caFile(),
  ];
  const child = start("openssl", [...common, "-verify_return_error", ...args]);
  afterTest(() => child.kill("SIGKILL"));
  child.stdin?.write(input);
  return child;
}

const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "pipe" }).toString();

/** Two ports: whoever connects to the one talks with whoever connects to the other. */
async function joined(): Promise<{ port: number; other: number }> {
  const listen = async () => {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const socket = new Promise<Socket>((resolve) => server.once("connection", resolve));
    afterTest(() => server.close());
    afterTest(async () => (await Promise.race([socket, undefined]))?.destroy());
    return { port: (server.address() as AddressInfo).port, socket };
  };
  const [one, two] = await Promise.all([listen(), listen()]);
  void Promise.all([one.socket, two.socket]).then(([a, b]) => {
    for (const socket of [a, b]) socket.on("error", () => {});
    a.pipe(b).pipe(a);
  });
  return { port: one.port, other: two.port };
}

QUnit.module("examples", (hooks) => {
  // Most start several programs, one after the other.
  hooks.beforeEach((assert) => assert.timeout(60_000));

  QUnit.test("mutual TLS, client: openssl s_server and gnutls-serv take its certificate", async (assert) => {
    const identity = [
      given("client.pem", env.certs.chains.client),
      given("client.key", env.certs.keys.client),
    ];
    for (const [peer, answer] of [
      ["openssl?ask=require", "olleh"],
      ["gnutls?ask=require", "hello"],
    ] as const) {
      const good = await ended(await inNode("mutual-tls-client", await address(peer), caFile(), ...identity));
      assert.deepEqual(good, { code: 0, output: `the server answered: ${answer}\n` }, peer);
    }
    // A certificate that is for servers.
    const other = [given("server.pem", env.certs.chains.ecdsa), given("server.key", env.certs.keys.ecdsa)];
    const to = await address("openssl?ask=require");
    const refused = await ended(await inNode("mutual-tls-client", to, caFile(), ...other));
    assert.deepEqual(refused, { code: 1, output: "the server refused us: unsupported_certificate\n" });
  });

  QUnit.test(
    "mutual TLS, server: openssl s_client gets in with a certificate that is known",
    async (assert) => {
      const files = [
        given("server.pem", env.certs.chains.ecdsa),
        given("server.key", env.certs.keys.ecdsa),
        caFile(),
      ];
      const [client, key] = [
        given("client.pem", env.certs.chains.client),
        given("client.key", env.certs.keys.client),
      ];
      const server = await inNode("mutual-tls-server", ...files, "email:client@wassl.test");
      const port = await portOf(server);
      const shown = [
        "-cert",
        client,
        "-key",
        key,
        "-cert_chain",
        given("chain.pem", env.certs.intermediatePem),
      ];
      await waitForOutput(opensslClient(port, shown), /hello, .*CN=client/);
      await waitForOutput(opensslClient(port, []), /alert certificate required/);
      await waitForOutput(server, /served: .*CN=client\nrefused: protocol: .*did not return a certificate/);

      const other = await inNode("mutual-tls-server", ...files, "email:somebody-else@wassl.test");
      await waitForOutput(opensslClient(await portOf(other), shown), /alert bad certificate/);
      await waitForOutput(other, /refused: certificate: /);
      assert.ok(true);
    },
  );

  QUnit.test("pinning: the key of the server, or of an authority above it; no other", async (assert) => {
    const pin = (pem: string) =>
      createHash("sha256")
        .update(new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" }))
        .digest("base64");
    const to = await address("openssl?id=pinning");
    const connect = async (...pins: string[]) => ended(await inNode("pinning", to, caFile(), ...pins));
    for (const pem of [env.certs.chains.ecdsa, env.certs.caPem]) {
      const { code, output } = await connect(pin(env.certs.chains.rsa), pin(pem));
      assert.strictEqual(code, 0, output);
      assert.true(/^connected to .*CN=ecdsa\n$/.test(output), output);
    }
    const { code, output } = await connect(pin(env.certs.chains.rsa));
    assert.strictEqual(code, 1);
    assert.true(output.startsWith("refused: "), output);
  });

  QUnit.test(
    "trust on first use: a stranger is met, known again, and refused with another key",
    async (assert) => {
      const known = given("known.json", "{}");
      const [first, second] = [
        await env.peer("openssl?cert=selfSigned"),
        await env.peer("openssl?cert=untrusted"),
      ];
      const to = (port: number) => `localhost:${port}`;
      const connect = async () => ended(await inNode("trust-on-first-use", to(first.port), known));
      assert.true((await connect()).output.startsWith(`met ${to(first.port)} for the first time`));
      assert.deepEqual(await connect(), { code: 0, output: `${to(first.port)} is known\n` });
      // As if the second server stood where the first one was.
      const [[, pin] = []] = Object.entries(JSON.parse(readFileSync(known, "utf8")));
      given("known.json", JSON.stringify({ [to(second.port)]: pin }));
      const { code, output } = await ended(await inNode("trust-on-first-use", to(second.port), known));
      assert.strictEqual(code, 1);
      assert.true(output.startsWith(`${to(second.port)} has another key than before`), output);
    },
  );

  QUnit.test("a WebCrypto key: certified, kept, and accepted by openssl s_server", async (assert) => {
    const site = await serveSite(["webcrypto-key"]);
    const ca = ["-keyout", given("own-ca.key", ""), "-out", given("own-ca.pem", "")];
    const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl("req", "-x509", ...newKey, "-subj", "/CN=own CA", ...ca);
    let enrolled = 0;
    site.answer = (path, body) => {
      if (path === "/ca.pem") return env.certs.caPem;
      enrolled++;
      const key = given("enrolled.der", body);
      const issuer = ["-CA", given("own-ca.pem", readFileSync(ca[3]!)), "-CAkey", ca[1]!];
      return openssl("x509", "-new", "-force_pubkey", key, "-subj", "/CN=a page", ...issuer);
    };
    const port = await freePort();
    const server = start("openssl", [
      ...["s_server", "-accept", `127.0.0.1:${port}`, "-www", "-Verify", "1", "-verify_return_error"],
      ...[
        "-cert",
        given("server.pem", env.certs.chains.ecdsa),
        "-key",
        given("server.key", env.certs.keys.ecdsa),
      ],
      ...["-cert_chain", given("chain.pem", env.certs.intermediatePem), "-CAfile", ca[3]!],
    ]);
    afterTest(() => server.kill("SIGKILL"));
    await waitForOutput(server, /ACCEPT/);
    const relay = (await relayTo(site, port))(port);
    const parameters = { relay, ca: "/ca.pem", enrol: "/enrol" };
    const page = await open(site, "webcrypto-key", parameters);
    assert.true(/Subject: CN ?= ?a page/.test(await text(page, /Subject: /)));
    await page.reload();
    assert.true(/Subject: CN ?= ?a page/.test(await text(page, /Subject: /)));
    assert.strictEqual(enrolled, 1, "the second time with the key that was kept");
  });

  QUnit.test("a server in a page, and its client in another tab", async (assert) => {
    const site = await serveSite(["server-in-a-page", "client-in-a-page"]);
    const page = await open(site, "server-in-a-page");
    const [tab] = await Promise.all([page.waitForEvent("popup"), page.click("button")]);
    assert.strictEqual(await text(tab, /\)/), "HELLO FROM THE OTHER TAB (complete)");
    assert.true(/connected: TLSv1.3, .*ended: complete$/.test(await text(page, /ended/)));
  });

  QUnit.test("a server in a page, and openssl s_client", async (assert) => {
    const site = await serveSite(["server-in-a-page"]);
    const key = randomBytes(32);
    const { port, other } = await joined();
    const psk = ["-psk", key.toString("hex"), "-psk_identity", "two tabs"];
    const client = opensslClient(other, [...psk, "-quiet", "-no_ign_eof"], "hello from openssl\n");
    const relay = (await relayTo(site, port))(port);
    const page = await open(site, "server-in-a-page", { relay, key: key.toString("base64") });
    assert.true(/connected: TLSv1.3/.test(await text(page, /connected/)));
    await waitForOutput(client, /HELLO FROM OPENSSL/);
  });

  QUnit.test("resumption in workers: the second one's handshake is short", async (assert) => {
    const site = await serveSite(["resumption-in-workers"], ["resumption-worker"]);
    site.answer = () => env.certs.caPem;
    const { port } = await env.peer("openssl?id=resumption-in-workers");
    const relay = (await relayTo(site, port))(port);
    const page = await open(site, "resumption-in-workers", { relay, ca: "/ca.pem" });
    assert.strictEqual(
      await text(page, /second: .*; /),
      "first: full handshake, olleh; second: resumed, olleh; ",
    );
  });

  QUnit.test(
    "where the .wasm goes: it is loaded while the WebSocket opens, and what is wrong is said",
    async (assert) => {
      const site = await serveSite(["where-the-wasm-goes"]);
      site.answer = (path) => {
        if (path === "/ca.pem") return env.certs.caPem;
        if (path === "/a-page.wasm") return "<!doctype html>";
        throw new Error("there is no such file");
      };
      const { port } = await env.peer("tls?id=where-the-wasm-goes");
      const relay = (await relayTo(site, port))(port);
      const said = async (wasm: string) =>
        text(await open(site, "where-the-wasm-goes", { wasm, relay, ca: "/ca.pem" }), /: /);
      assert.true(/^OpenSSL 3\.5.*: TLSv1\.3$/.test(await said("/openssl.wasm")));
      assert.true((await said("/no-such-file.wasm")).startsWith("wasm-not-found: "));
      assert.true((await said("/a-page.wasm")).startsWith("wasm-mime: "));
    },
  );

  QUnit.test("Deno server: curl and gnutls-cli are told who they are", async (assert) => {
    const files = [
      given("server.pem", env.certs.chains.ecdsa),
      given("server.key", env.certs.keys.ecdsa),
      caFile(),
    ];
    const identity = [
      given("client.pem", env.certs.chains.client),
      given("client.key", env.certs.keys.client),
    ];
    const server = inDeno("deno-server", ["--allow-net=127.0.0.1", "--allow-read"], ...files);
    const port = await portOf(server);
    const curl = (...args: string[]) =>
      ended(
        start("curl", [
          "--silent",
          "--show-error",
          "--cacert",
          caFile(),
          `https://localhost:${port}/`,
          ...args,
        ]),
      );
    const client = ["--cert", identity[0]!, "--key", identity[1]!];
    assert.deepEqual(await curl(...client), { code: 0, output: "you are O=Wassl tests,CN=client\n" });
    assert.deepEqual(await curl(), { code: 0, output: "you are a stranger\n" });
    const gnutls = start("gnutls-cli", ["--x509cafile", caFile(), "--port", String(port), "localhost"]);
    afterTest(() => gnutls.kill("SIGKILL"));
    gnutls.stdin?.write("GET / HTTP/1.1\r\n\r\n");
    await waitForOutput(gnutls, /you are a stranger/);
    // One whose certificate is not good, and one that speaks no TLS, cost the server nothing.
    const bad = [
      "--cert",
      given("bad.pem", env.certs.chains.rsa),
      "--key",
      given("bad.key", env.certs.keys.rsa),
    ];
    assert.notStrictEqual((await curl(...bad)).code, 0);
    assert.notStrictEqual((await ended(start("curl", ["--silent", `http://localhost:${port}/`]))).code, 0);
    await waitForOutput(server, /certificate: /);
    assert.strictEqual((await curl()).code, 0);
    const check = await ended(checkInDeno("deno-server"));
    assert.strictEqual(check.code, 0, check.output);
  });

  QUnit.test("Cloudflare Worker: in workerd, to openssl s_server", async (assert) => {
    const { port } = await env.peer("openssl?do=www&id=cloudflare");
    const url = await inWorkerd({ CA: env.certs.caPem, HOST: "localhost", PORT: String(port) });
    const answers = await Promise.all([1, 2, 3].map(async () => (await fetch(url)).text()));
    for (const answer of [...answers, await (await fetch(url)).text()]) {
      const { protocol, how, answer: page } = JSON.parse(answer) as Record<string, string>;
      assert.deepEqual([protocol, how], ["TLSv1.3", "complete"], answer);
      assert.true(page?.includes("s_server -accept"), page);
    }
  });

  QUnit.test(
    "DTLS: openssl s_server answers by UDP; one that nobody vouches for is refused",
    async (assert) => {
      const identity = [
        ...[
          "-cert",
          given("server.pem", env.certs.chains.ecdsa),
          "-key",
          given("server.key", env.certs.keys.ecdsa),
        ],
        ...["-cert_chain", given("chain.pem", env.certs.intermediatePem)],
      ];
      const connect = async (ca: string) => {
        const port = await freePort();
        const how = ["s_server", "-dtls1_2", "-accept", String(port), "-4", "-mtu", "1400"];
        // To a pipe it would print in large pieces.
        const server = start("stdbuf", ["-oL", "openssl", ...how, ...identity]);
        afterTest(() => server.kill("SIGKILL"));
        await waitForOutput(server, /ACCEPT/);
        // It prints what it gets, and sends what it is told: here, once the client has said something.
        const heard = waitForOutput(server, /^hello$/m).then(() => server.stdin?.write("hello too\n"));
        heard.catch(() => {});
        return ended(await inNode("dtls", `localhost:${port}`, ca));
      };
      const { code, output } = await connect(caFile());
      assert.strictEqual(code, 0, output);
      assert.true(/^DTLSv1.2, \S+\nthe server answered: hello too\n$/.test(output), output);
      const other = await connect(given("other.pem", env.certs.otherCaPem));
      assert.strictEqual(other.code, 1);
      assert.true(other.output.includes("X509_V_ERR_"), other.output);
    },
  );

  QUnit.test("ending well: each way is told as what it is", async (assert) => {
    const end = async (way: string, peer: string) =>
      ended(await inNode("ending-well", way, await address(`tls?${peer}&id=ending-well`), caFile()));
    const events = (peer: string) => env.events(`tls?${peer}&id=ending-well`);
    const ways = {
      request: ["do=reply-after-end", "complete: what do you make of this?\n"],
      dispose: ["do=mute", "closed-without-waiting\n"],
      upgrade: ["do=plaintext-after", "complete: plain hello\n"],
      truncation: ["do=no-close-notify", "cut off (record) behind: cut off\n"],
      "truncation?": ["do=end-and-wait", "all of it: bye\n\n"],
      abort: ["do=stuck", "Error: the user has changed their mind\n"],
    } as const;
    const endings = Object.entries(ways).map(async ([way, [peer, output]]) => {
      assert.deepEqual(await end(way.replace("?", ""), peer), { code: 0, output }, way);
    });
    await Promise.all(endings);
    const seen = await events("do=mute");
    assert.deepEqual(seen.slice(0, 2), ["secure", "end"], "close_notify, and then the transport's end");
    assert.false((await events("do=stuck")).includes("end"));
  });

  QUnit.test(
    "from node:tls: both ask the same, and one of them says that an answer was cut off",
    async (assert) => {
      const ask = async (peer: string) => ended(await inNode("from-node-tls", await address(peer), caFile()));
      const whole = { code: 0, output: "node:tls: true HTTP/1.0 200 ok\nwassl: true HTTP/1.0 200 ok\n" };
      assert.deepEqual(await ask("openssl?do=www"), whole);
      const cut = await ask("tls?do=no-close-notify&id=from-node-tls");
      assert.strictEqual(cut.code, 1);
      assert.true(/node:tls: true cut off\n[\s\S]*TlsTruncationError: /.test(cut.output), cut.output);
    },
  );

  QUnit.test(
    "from openssl s_client: what it tells, and what it says of a bad certificate",
    async (assert) => {
      const good = await ended(
        await inNode("from-s_client", await address("openssl?arg=-alpn&arg=http/1.1"), caFile()),
      );
      assert.strictEqual(good.code, 0, good.output);
      for (const part of [
        "sent client_hello",
        "received server_hello",
        "CLIENT_TRAFFIC_SECRET_0 ",
        "protocol: 'TLSv1.3'",
        "alpnProtocol: 'http/1.1'",
        "verified by O=Wassl tests,CN=Wassl test ca",
      ])
        assert.true(good.output.includes(part), part);
      const bad = await ended(await inNode("from-s_client", await address("openssl?cert=expired"), caFile()));
      assert.deepEqual(bad.code, 1);
      assert.true(
        bad.output.includes("X509_V_ERR_CERT_HAS_EXPIRED at depth 0: O=Wassl tests,CN=expired"),
        bad.output,
      );
    },
  );

  QUnit.test(
    "Postgres from a page: a real one, through the relay; the login is bound to the certificate",
    async (assert) => {
      assert.timeout(60_000);
      const site = await serveSite(["postgres-from-a-page"]);
      site.answer = () => env.certs.caPem;
      const { port } = await env.peer("postgres?password=secret");
      const relay = (await relayTo(site, port))(port);
      const ask = async (sql: string, password = "secret") => {
        const page = await open(site, "postgres-from-a-page", { relay, ca: "/ca.pem", sql, password });
        return text(page, /TLSv1|Error/);
      };
      assert.strictEqual(
        await ask("SELECT 6 * 7, NULL, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
        '[["42",null,"TLSv1.3"]] TLSv1.3 complete bound',
      );
      const rows = JSON.parse(
        (await ask("SELECT repeat('é', 3000) FROM generate_series(1, 300)")).split(" ")[0]!,
      );
      assert.deepEqual(rows, Array(300).fill(["é".repeat(3000)]));
      assert.true(/password authentication failed/.test(await ask("SELECT 1", "another")));
      assert.true(/division by zero/.test(await ask("SELECT 1/0")));
    },
  );

  QUnit.test(
    "STARTTLS, client: in TLS with a mail server; none where it is not offered, or where bytes were put in",
    async (assert) => {
      const connect = async (offer: string, consent: string) => {
        const port = await mailServer(offer, consent);
        return ended(await inNode("starttls-client", `localhost:${port}`, caFile()));
      };
      const good = await connect("250-mail.wassl.test\r\n250 STARTTLS\r\n", "220 go ahead\r\n");
      assert.deepEqual(good, { code: 0, output: "250 in TLS\n" });
      const stripped = await connect("250 mail.wassl.test\r\n", "220 go ahead\r\n");
      assert.strictEqual(stripped.code, 1);
      assert.true(stripped.output.startsWith("no TLS: "), stripped.output);
      const injected = await connect("250 STARTTLS\r\n", "220 go ahead\r\n250 AUTH PLAIN\r\n");
      assert.strictEqual(injected.code, 1);
      assert.true(injected.output.startsWith("no TLS: "), injected.output);
    },
  );

  QUnit.test("STARTTLS, server: openssl s_client", async (assert) => {
    const files = [given("server.pem", env.certs.chains.ecdsa), given("server.key", env.certs.keys.ecdsa)];
    for (const protocol of ["smtp", "imap", "postgres"]) {
      const server = await inNode("starttls-server", protocol, ...files);
      const client = opensslClient(
        await portOf(server),
        ["-starttls", protocol, "-quiet", "-no_ign_eof"],
        "hello\n",
      );
      await waitForOutput(client, /^hello$/m);
    }
    assert.ok(true);
  });
});

/** A mail server whose TLS is Node's. */
async function mailServer(offer: string, consent: string): Promise<number> {
  const { ecdsa: cert } = env.certs.chains;
  const secureContext = createSecureContext({ cert, key: env.certs.keys.ecdsa });
  const server = createServer((socket) => {
    afterTest(() => socket.destroy());
    socket.on("error", () => {});
    socket.write("220 mail.wassl.test ESMTP\r\n");
    socket.once("data", () => {
      socket.write(offer);
      socket.once("data", () => {
        socket.write(consent);
        const tls = new TLSSocket(socket, { isServer: true, secureContext });
        tls.on("error", () => {});
        tls.on("data", (line) => tls.write(/^EHLO /.test(String(line)) ? "250 in TLS\r\n" : "500 what?\r\n"));
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  afterTest(() => server.close());
  return (server.address() as AddressInfo).port;
}
