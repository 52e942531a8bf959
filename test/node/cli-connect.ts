/** `wassl connect`: against other TLS stacks, how it ends, and each of its options. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";
import QUnit from "qunit";
import { eventsOf, sleep, viaFault } from "../helpers/basics.ts";
import { certFile, connectTo, Run, type RunOptions } from "../helpers/cli.ts";
import { afterTest, env } from "../helpers/env.ts";
import { randomBytes } from "../helpers/random.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

QUnit.module("wassl connect", () => {
  for (const version of ["1.2", "1.3"]) {
    QUnit.test(`TLS ${version}: lines to other stacks and back`, async (assert) => {
      for (const [peer, answer] of [
        [`openssl?version=${version}`, "olleh\nereht\n"],
        [`gnutls?version=${version}`, "hello\nthere\n"],
        [`tls?version=${version}`, "hello\nthere\n"],
      ] as const) {
        // s_server reads a line from each record.
        const run = await connectTo(peer, [], { stdin: ["hello\n", 20, "there\n"] });
        assert.strictEqual(await run.ended, 0, peer + run.text);
        assert.strictEqual(run.out, answer, peer);
        assert.strictEqual(run.outcome.how, "complete", peer);
        assert.strictEqual((await run.line("connected")).protocol, `TLSv${version}`, peer);
      }
    });
  }

  QUnit.test("it is binary safe, and waits for a slow reader", async (assert) => {
    const bytes = randomBytes(3 << 20, env.seed);
    let most = 0;
    let inFlight = 0;
    const run = await connectTo("tls", [], {
      stdin: [bytes.subarray(0, 1 << 20), bytes.subarray(1 << 20)],
      async stdout({ byteLength }) {
        most = Math.max(most, ++inFlight);
        if (byteLength % 7 === 0) await sleep(1);
        inFlight--;
      },
    });
    assert.strictEqual(await run.ended, 0, run.text);
    assert.strictEqual(sha256(run.bytes), sha256(bytes));
    assert.strictEqual(most, 1, "one write at a time");
    const { sent, received, statistics } = run.outcome;
    assert.deepEqual([sent, received], [bytes.byteLength, bytes.byteLength]);
    assert.true((statistics as { sent: { records: number } }).sent.records >= 3 * 64, "and what it took");
  });

  QUnit.test(
    "half, the default: the answer to the end is awaited, and the peer's end is not ours",
    async (assert) => {
      const after = await connectTo("tls?do=reply-after-end", [], { stdin: ["all of it"] });
      assert.strictEqual(await after.ended, 0, after.text);
      assert.strictEqual(after.out, "all of it");

      const peer = "tls?do=end-first&id=cli-half";
      const first = await connectTo(peer, [], { stdin: [150, "late"] });
      assert.strictEqual(await first.ended, 0, first.text);
      assert.strictEqual(first.out, "hello\n");
      const read = `read 4 ${sha256(new TextEncoder().encode("late"))}`;
      assert.true((await eventsOf(peer, /read/)).includes(read), "it was read");
    },
  );

  QUnit.test("at a terminal the peer's end is ours", async (assert) => {
    const run = await connectTo("tls?do=end-first", [], { open: true, terminal: true, words: true });
    assert.strictEqual(await run.ended, 0, run.text);
    assert.true(/complete/.test(run.text), run.text);
  });

  QUnit.test("--close says what the end of standard input means", async (assert) => {
    // An end that comes ahead of the transport's was close_notify (see node-tls.ts).
    for (const [close, how, first] of [
      ["half", "complete", /^end/],
      ["shutdown", "complete", /^end/],
      ["close", "closed-without-waiting", /^end/],
      ["abort", "aborted", /^transport/],
    ] as const) {
      // It does not end by itself after a line.
      const peer = `tls?do=${close === "abort" ? "mute" : "echo"}&id=cli-close-${close}`;
      const run = await connectTo(peer, ["--close", close], { stdin: ["x\n"] });
      assert.strictEqual(await run.ended, 0, close + run.text);
      assert.strictEqual(run.outcome.how, how);
      const events = await eventsOf(peer, /^(end|transport)/);
      const ending = events.find((each) => /^(end|transport)/.test(each)) ?? "";
      assert.true(first.test(ending), `${close}: ${events}`);
    }
  });

  QUnit.test("--close none: a server that answers nobody who has closed", async (assert) => {
    const server = createServer({ cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa }, (socket) => {
      let closed = false;
      socket.on("end", () => {
        closed = true;
      });
      socket.on("error", () => {});
      socket.once("data", () => setTimeout(() => (closed ? socket.end() : socket.end("the answer")), 100));
    });
    server.listen(0, "127.0.0.1");
    afterTest(() => server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const run = async (...args: string[]) => {
      const made = new Run(["connect", `localhost:${port}`, "--ca", certFile("ca"), ...args], {
        stdin: ["GET"],
      });
      assert.strictEqual(await made.ended, 0, made.text);
      assert.strictEqual(made.outcome.how, "complete", args.join(" "));
      return made.out;
    };
    assert.strictEqual(await run(), "", "it has closed");
    assert.strictEqual(await run("--close", "none"), "the answer");
    // Silence is bounded as after our own end.
    const mute = await connectTo("tls?do=mute&id=close-none", ["--close", "none", "--timeout", "0.3"], {
      stdin: ["x"],
    });
    assert.strictEqual(await mute.ended, 5, mute.text);
  });

  QUnit.test("what is refused is told with the name of its option", async (assert) => {
    const refusals: [args: string[], message: RegExp][] = [
      [["--groups", "x25519:x448"], /^--groups: .*does not know "x448"$/],
      [["--sigalgs", "nope"], /^--sigalgs: .*does not know "nope"$/],
      [["--ciphersuites", "TLS_NOPE"], /^--ciphersuites: .*does not know "TLS_NOPE"$/],
      [["--ciphers", "NOPE"], /^--ciphers: ciphers "NOPE": /],
      [["--seclevel", "9"], /^--seclevel: /],
      [["--flag", "X509_V_FLAG_NOPE"], /^--flag: /],
      [["--policy", "one"], /^--policy: /],
      [["--ca", certFile("ecdsaKey")], /^--ca: .*PRIVATE KEY/],
      [["--cert", certFile("ecdsaKey")], /^--cert: /],
      [["--cert", certFile("ecdsa"), "--key", certFile("rsaKey")], /^--key: .*another kind/],
      [["--p12", certFile("ca")], /^--p12: .*PEM/],
      [["--crl", certFile("ca")], /^--crl: /],
      [["--min", "1.3", "--max", "1.2"], /^--min: /],
      [["--alpn", ""], /^--alpn: /],
      [["--ca", "-", "--crl", "-"], /^--(ca|crl) -: --(ca|crl) has standard input already$/],
    ];
    for (const [args, message] of refusals) {
      const run = await connectTo("tls", args, { stdin: ["x"] });
      assert.strictEqual(await run.ended, 2, `${args.join(" ")}: ${run.text}`);
      assert.true(
        message.test(run.outcome.error!.message),
        `${args.join(" ")}: ${run.outcome.error!.message}`,
      );
    }
    const lost = await connectTo("tls?cert=untrusted", [], { stdin: ["x"] });
    assert.strictEqual(await lost.ended, 3);
    assert.true(/ is neither among --ca nor /.test(lost.outcome.error!.message), lost.text);
  });

  QUnit.test("what can be judged without a server is judged before there is a connection", async (assert) => {
    let connections = 0;
    const server = createTcpServer((socket) => {
      connections++;
      socket.on("error", () => {}).destroy();
    }).listen(0, "127.0.0.1");
    afterTest(() => void server.close());
    await once(server, "listening");
    const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const noSession = certFile("ca");
    const wrong: [args: string[], message: RegExp][] = [
      [["--groups", "nope"], /^--groups: /],
      [["--sigalgs", "nope"], /^--sigalgs: /],
      [["--cert", certFile("ecdsa"), "--key", certFile("rsaKey")], /^--key: /],
      [["--verify-host", "a b"], /^--verify-host: /],
      [["--servername", "a b"], /^--servername: /],
      [["--bio-pair-size", "2000000000"], /^--bio-pair-size: /],
      [["--session-in", noSession], /^--session-in: /],
      [["--session-in", noSession, "--early-data", noSession], /^--session-in: /],
      [["--session-out", "/no/such/folder/x"], /^--session-out: /],
      [["--session-out", "/dev/null"], /^--session-out: /],
      [["--max", "1.2", "--ciphers", "PSK"], /^no ClientHello .*no ciphers available/],
      [["--seclevel", "5"], /^no ClientHello .*no suitable key share/],
    ];
    for (const [args, message] of wrong) {
      for (const more of [[], ["--starttls", "smtp"]]) {
        const run = new Run(["connect", at, ...args, ...more]);
        assert.strictEqual(await run.ended, 2, `${args.join(" ")}: ${run.text}`);
        const said = run.outcome.error!.message;
        assert.true(message.test(said), `${args.join(" ")}: ${said}`);
      }
    }
    assert.strictEqual(connections, 0);
    // This is what the server would have seen.
    assert.strictEqual(await new Run(["connect", at]).ended, 1);
    assert.strictEqual(connections, 1);
  });

  QUnit.test("- is standard input", async (assert) => {
    const { port } = await env.peer("tls");
    const run = new Run(["connect", `localhost:${port}`, "--ca", "-"], {
      stdin: [env.certs.caPem.slice(0, 100), env.certs.caPem.slice(100)],
    });
    assert.strictEqual(await run.ended, 0, run.text);
    const both = await connectTo("tls", ["--cert", "-"], {
      stdin: [env.certs.chains.client + env.certs.keys.client],
    });
    assert.strictEqual(await both.ended, 0, both.text);
    const verified = new Run(["verify", "-", "--ca", certFile("ca")], { stdin: [env.certs.chains.ecdsa] });
    assert.strictEqual(await verified.ended, 0, verified.text);
  });

  QUnit.test("--close shutdown tells what followed in the clear", async (assert) => {
    const run = await connectTo("tls?do=plaintext-after", ["--close", "shutdown"], { stdin: ["x\n"] });
    assert.strictEqual(await run.ended, 0, run.text);
    assert.strictEqual(run.outcome.how, "complete");
  });

  QUnit.test("exit codes", async (assert) => {
    const cases: [code: number, peer: string, args: string[], message: RegExp][] = [
      [1, "tls?version=1.2", ["--min", "1.3"], /protocol_version/],
      [1, "raw?do=http-400", [], /not speak TLS/],
      [1, "tls?do=reset", [], /ECONNRESET/],
      [1, "raw?do=nothing", [], /handshake/],
      [2, "tls", ["--ciphersuites", "TLS_NO_SUCH"], /TLS_NO_SUCH/],
      [2, "tls", ["--ca", "/no/such/file"], /--ca: .*\/no\/such\/file/],
      [3, "tls?cert=untrusted", [], /not accepted/],
      [3, "tls?cert=expired", [], /expired/],
      [3, "tls?cert=wrongHost", [], /hostname mismatch/],
      [4, "tls?do=no-close-notify", [], /close_notify/],
      [5, "raw?do=nothing&then=wait", ["--timeout", "0.2"], /within 0.2 s/],
      [5, "tls?do=mute", ["--timeout", "0.2"], /after our end/],
      [5, "tls?do=mute", ["--timeout", "0.2", "--close", "shutdown"], /close_notify/],
    ];
    for (const [code, peer, args, message] of cases) {
      // The reset and the missing close_notify come by themselves.
      const run = await connectTo(peer, args, /reset|no-close/.test(peer) ? { open: true } : {});
      const what = `${peer} ${args.join(" ")}: ${run.text}`;
      assert.strictEqual(await run.ended, code, what);
      assert.strictEqual(run.outcome.exitCode, code);
      assert.true(message.test(run.outcome.error?.message ?? ""), `${what}${run.text}`);
    }
    const { port } = await env.peer(viaFault("hold=fin"));
    const closed = new Run(["connect", `127.0.0.1:${port === 1 ? 2 : 1}`]);
    assert.strictEqual(await closed.ended, 1);
    assert.true(/ECONNREFUSED/.test(closed.outcome.error!.message), closed.text);
  });

  QUnit.test("--timeout is for silence, not for all of a long answer", async (assert) => {
    const { chains, keys } = env.certs;
    const identity = { cert: chains.ecdsa, key: keys.ecdsa };
    const server = createServer({ ...identity, allowHalfOpen: true }, (socket) => {
      socket.resume().on("end", async () => {
        for (let i = 0; i < 4; i++) {
          await sleep(150);
          socket.write("and ");
        }
        socket.end("so on");
      });
    });
    server.listen(0, "127.0.0.1");
    afterTest(() => server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const run = new Run(["connect", `localhost:${port}`, "--ca", certFile("ca"), "--timeout", "0.4"]);
    assert.strictEqual(await run.ended, 0, run.text);
    assert.strictEqual(run.out, "and and and and so on");
  });

  QUnit.test("the command line is wrong: it says what", async (assert) => {
    const cases: [string[], RegExp][] = [
      [["frobnicate"], /no command "frobnicate"/],
      [["connect"], /HOST:PORT is missing/],
      [["connect", "localhost"], /"localhost" is not HOST:PORT/],
      [["connect", "localhost:66000"], /not HOST:PORT/],
      [["connect", "localhost:0"], /not HOST:PORT/],
      [["connect", "a:1", "b:2"], /"b:2"/],
      [["connect", "a:1", "--frobnicate"], /--frobnicate/],
      [["connect", "a:1", "--www"], /--www/],
      [["connect", "a:1", "--ca"], /--ca/],
      [["connect", "a:1", "--json=yes"], /--json/],
      [["connect", "a:1", "--min", "1.1"], /--min is 1.2, 1.3; not "1.1"/],
      [["connect", "a:1", "--max", "2"], /--max/],
      [["connect", "a:1", "--close", "slam"], /--close is half, shutdown, close, abort, none; not "slam"/],
      [["connect", "a:1", "--timeout", "-1"], /--timeout/],
      [["connect", "a:1", "--timeout=soon"], /--timeout is a number of seconds/],
      [["connect", "a:1", "--seclevel", "high"], /--seclevel/],
      [["connect", "a:1", "--bio-pair-size", "0"], /--bio-pair-size/],
      [["connect", "a:1", "--eof-policy", "lax"], /--eof-policy/],
      [["connect", "a:1", "--ocsp", "maybe"], /--ocsp is off, soft, require/],
      [["verify"], /FILE is missing/],
      [["verify", "x", "--time", "noon"], /--time is like/],
      [["verify", "x", "--depth", "deep"], /--depth/],
      [["verify", "/no/such/file"], /\/no\/such\/file/],
      [["verify", "--trace", "x"], /--trace/],
      [["connect", "a:1", "--starttls", "http"], /--starttls is smtp, .*ldap; not "http"/],
      [["connect", "a:1", "--via", "https://relay"], /--via/],
      [["connect", "a:1", "--pass", "secret"], /--pass is env:NAME/],
      [["connect", "a:1", "--pass", "env:NO_SUCH"], /--pass: .*NO_SUCH/],
      [["connect", "a:1", "--psk", "pass:identity"], /--psk is IDENTITY:HEX/],
      [["connect", "a:1", "--psk", "pass:a:00", "--psk-hash", "md5"], /--psk-hash/],
      [["connect", "a:1", "--key", "x"], /--key needs --cert/],
      [["connect", "a:1", "--p12", "x", "--cert", "y"], /--p12/],
      [["serve"], /\[HOST:\]PORT is missing/],
      [["serve", "0"], /a server needs --cert/],
      [["serve", "0", "--echo", "--rev"], /--echo or --rev/],
      ...["ca", "crl", "policy", "flag"].map((name): [string[], RegExp] => [
        ["serve", "0", "--psk", "pass:a:00", `--${name}`, "x"],
        new RegExp(`--${name} needs --client-auth`),
      ]),
      [["serve", "0", "--psk-hash", "sha384"], /--psk-hash needs --psk/],
      [["serve", "0", "--naccept", "3"], /--naccept needs/],
      [["serve", "0", "--echo", "--naccept", "0"], /--naccept/],
      [["serve", "0", "--psk", "pass:a:00", "--client-auth", "maybe"], /--client-auth/],
      [["serve", "0", "--psk", "pass:a:00", "--starttls", "http"], /--starttls is smtp, /],
    ];
    for (const [args, message] of cases) {
      const run = new Run(args);
      assert.strictEqual(await run.ended, 2, args.join(" "));
      assert.true(message.test(run.outcome.error!.message), `${args.join(" ")}: ${run.text}`);
      const words = new Run(args, { words: true });
      assert.strictEqual(await words.ended, 2);
      assert.true(/^wassl: .*\n$/.test(words.text) && message.test(words.text), words.text);
    }
  });

  QUnit.test("--help", async (assert) => {
    for (const [args, pattern] of [
      [["--help"], /wassl connect HOST:PORT[\s\S]*wassl serve[\s\S]*Exit codes/],
      [["connect", "--help"], /--starttls PROTOCOL[\s\S]*Exit codes/],
      [["serve", "--help"], /--naccept N[\s\S]*Exit codes/],
    ] as const) {
      const run = new Run([...args], { words: true });
      assert.strictEqual(await run.ended, 0);
      assert.true(pattern.test(run.out), run.out);
    }
    const none = new Run([], { words: true });
    assert.strictEqual(await none.ended, 2, "without a command");
  });

  QUnit.test("interrupted: 130", async (assert) => {
    const run = await connectTo("tls?do=mute", [], { open: true });
    await run.line("connected");
    run.interrupt();
    assert.strictEqual(await run.ended, 130, run.text);
    const early = await connectTo("raw?do=nothing&then=wait", []);
    await early.line("transport");
    early.interrupt();
    assert.strictEqual(await early.ended, 130, early.text);
  });

  QUnit.test("nobody reads its output: it ends, and says so", async (assert) => {
    const peer = "tls?do=source&id=cli-epipe";
    const run = await connectTo(peer, [], {
      open: true,
      stdout: () => Promise.reject(new Error("EPIPE")),
    });
    assert.strictEqual(await run.ended, 1);
    assert.strictEqual(run.outcome.error?.message, "standard output: EPIPE");
    assert.true((await eventsOf(peer, /end/)).includes("end"), "with close_notify");
  });

  QUnit.test("long transfers have a line at a terminal, and only there", async (assert) => {
    const text = async (options: RunOptions) => {
      const stdin = ["a", 2_050, "b", 20, "c"];
      const run = await connectTo("tls", [], { stdin, words: true, ...options });
      assert.strictEqual(await run.ended, 0, run.text);
      return run.text;
    };
    const [shown, hidden] = await Promise.all([text({ terminal: true }), text({})]);
    assert.true(/\r\S+\d bytes sent, \d bytes received, \d+ bytes\/s/.test(shown), shown);
    assert.true(shown.includes("\r\x1b[Kwassl: complete"), "and it is gone in the end");
    assert.false(hidden.includes("\r"), hidden);
  });

  QUnit.test("--trace tells what happens", async (assert) => {
    const run = await connectTo("tls", ["--trace"], { words: true });
    assert.strictEqual(await run.ended, 0);
    assert.true(
      /handshake-start\n[\s\S]*handshake-done\n[\s\S]*alert sent warning close_notify/.test(run.text),
      run.text,
    );
    assert.true(/record sent handshake/.test(run.text), run.text);
    assert.true(/handshake received encrypted_extensions/.test(run.text), run.text);
    const without = await connectTo("tls", [], { words: true });
    assert.strictEqual(await without.ended, 0);
    assert.false(/handshake/.test(without.text), without.text);
  });

  QUnit.test("what the peer sends cannot command the terminal", async (assert) => {
    const run = await connectTo("tls?alpn=a%1bb", ["--alpn", "a\x1bb"], { words: true });
    assert.strictEqual(await run.ended, 0, run.text);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is meant
    assert.false(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(run.text), run.text);
  });
});

QUnit.module("wassl connect: options", () => {
  /** What node:tls says of the handshake. */
  const hello = async (peer: string, args: string[], options?: RunOptions) => {
    const run = await connectTo(peer, args, options);
    if ((await run.ended) !== 0) throw new Error(run.text);
    const connected = await run.line("connected");
    const said: Record<string, unknown> = JSON.parse(run.out);
    return {
      alpn: said.alpn,
      protocol: said.protocol,
      cipher: said.cipher,
      servername: said.servername,
      peer: said.peer,
      connected,
    };
  };

  QUnit.test(
    "a server that has but old cipher suites: what the error says, and what turns them on",
    async (assert) => {
      for (const suite of ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA"]) {
        const peer = `openssl?version=1.2&cert=rsa&arg=-cipher&arg=${suite}&arg=-no_etm`;
        const refused = await connectTo(peer);
        assert.strictEqual(await refused.ended, 1, refused.text);
        const { message } = refused.outcome.error!;
        assert.true(
          /handshake_failure; .* off by default: --ciphers DEFAULT turns them on$/.test(message),
          message,
        );
        const on = await connectTo(peer, ["--ciphers", "DEFAULT"], { stdin: ["x\n"] });
        assert.strictEqual(await on.ended, 0, on.text);
        assert.strictEqual((await on.line("connected")).cipher, suite);
      }
    },
  );

  QUnit.test("--alpn, --min, --max, --ciphers, --ciphersuites", async (assert) => {
    const { alpn, connected } = await hello("tls?do=hello&alpn=h2,http/1.1", ["--alpn", "http/1.1,x"]);
    assert.strictEqual(alpn, "http/1.1");
    assert.strictEqual(connected.alpnProtocol, "http/1.1");
    assert.strictEqual((await hello("tls?do=hello", ["--max", "1.2"])).protocol, "TLSv1.2");
    assert.strictEqual((await hello("tls?do=hello", ["--min=TLSv1.3"])).protocol, "TLSv1.3");
    for (const args of [
      ["--max", "1.2", "--ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305"],
      ["--ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
    ]) {
      assert.strictEqual((await hello("tls?do=hello", args)).cipher, args.at(-1));
    }
  });

  QUnit.test("--groups, --sigalgs, --seclevel, --bio-pair-size", async (assert) => {
    const { connected } = await hello("tls?do=hello", ["--groups", "secp384r1", "--bio-pair-size", "1"]);
    assert.strictEqual(connected.group, "secp384r1");
    const signed = await hello("tls?do=hello", ["--sigalgs", "ECDSA+SHA256:rsa_pss_rsae_sha256"]);
    assert.strictEqual(signed.connected.signatureAlgorithm, "ecdsa_secp256r1_sha256");
    const weak = await connectTo("tls?cert=rsa", ["--seclevel", "3"]);
    assert.strictEqual(await weak.ended, 3, weak.text);
    assert.strictEqual(weak.outcome.error?.verifyError, "X509_V_ERR_EE_KEY_TOO_SMALL");
  });

  QUnit.test("--servername is sent and checked", async (assert) => {
    const named = await hello("tls?do=hello&cert=wildcard", ["--servername", "a.wassl.test"]);
    assert.strictEqual(named.servername, "a.wassl.test");
    const wrong = await connectTo("tls?do=hello", ["--servername", "a.wassl.test"]);
    assert.strictEqual(await wrong.ended, 3, wrong.text);
  });

  QUnit.test("--verify-host is checked, and not sent", async (assert) => {
    const host = ["--verify-host", "a.wassl.test"];
    const named = await hello("tls?do=hello&cert=wildcard", host);
    assert.strictEqual(named.servername, "localhost");
    assert.true(named.connected.verified, "verified");
    const both = await hello("tls?do=hello&cert=wildcard", [...host, "--servername", "x.wassl.test"]);
    assert.strictEqual(both.servername, "x.wassl.test");
    const wrong = await connectTo("tls?do=hello", host);
    assert.strictEqual(await wrong.ended, 3, wrong.text);
    assert.strictEqual(wrong.outcome.error?.verifyError, "X509_V_ERR_HOSTNAME_MISMATCH");
  });

  QUnit.test("--crl: all certificates are checked then", async (assert) => {
    const crls = (...names: Parameters<typeof certFile>[0][]) =>
      names.flatMap((name) => ["--crl", certFile(name)]);
    for (const [args, verifyError] of [
      [crls("caCrl", "intermediateCrl"), undefined],
      [crls("caCrl", "revokesEcdsa"), "X509_V_ERR_CERT_REVOKED"],
      [crls("intermediateCrl"), "X509_V_ERR_UNABLE_TO_GET_CRL"],
    ] as const) {
      const run = await connectTo("tls?do=hello", args);
      assert.strictEqual(await run.ended, verifyError ? 3 : 0, run.text);
      assert.strictEqual(run.outcome.error?.verifyError, verifyError);
    }
  });

  QUnit.test("--ocsp", async (assert) => {
    for (const [file, ocsp, code] of [
      ["ocspGood", "require", 0],
      ["ocspRevoked", "require", 3],
      ["ocspRevoked", "soft", 3],
      ["ocspRevoked", "off", 0],
      [undefined, "soft", 0],
      [undefined, "require", 3],
    ] as const) {
      const staple = file ? `arg=-status_file&arg=${encodeURIComponent(certFile(file))}` : "";
      const run = await connectTo(`openssl?${staple}`, ["--ocsp", ocsp]);
      assert.strictEqual(await run.ended, code, `${file} ${ocsp} ${run.text}`);
    }
  });

  QUnit.test(
    "--ca may be repeated; by default it is Mozilla's, which know us not; --no-verify believes all",
    async (assert) => {
      const several = await connectTo("tls?do=hello", ["--ca", certFile("otherCa")]);
      assert.strictEqual(await several.ended, 0, several.text);
      assert.true((await several.line("connected")).verified, "verified");
      const { port } = await env.peer("tls?do=hello");
      for (const [args, code] of [
        [["--ca", certFile("otherCa")], 3],
        [["--no-verify"], 0],
      ] as const) {
        const run = new Run(["connect", `localhost:${port}`, ...args]);
        assert.strictEqual(await run.ended, code, run.text);
        if (code === 0) assert.false((await run.line("connected")).verified, "not verified");
      }
    },
  );

  QUnit.test("--cert, --key, --p12, --pass", async (assert) => {
    const passFile = join(process.cwd(), "passphrase");
    writeFileSync(passFile, "secret\nand more\n");
    const p12 = ["--p12", certFile("clientP12"), "--pass"];
    for (const args of [
      ["--cert", certFile("client"), "--key", certFile("clientKey")],
      ["--cert", certFile("clientBoth")],
      [...p12, "pass:secret"],
      [...p12, "env:P12_PASS"],
      [...p12, `file:${passFile}`],
    ]) {
      const options = { env: { P12_PASS: "secret" } };
      const { peer } = await hello("tls?do=hello&ask=require", args, options);
      assert.strictEqual(peer, "client", args.join(" "));
    }
    const rsa = ["--cert", certFile("rsa"), "--key", certFile("rsaKey")];
    const several = [...rsa, "--cert", certFile("client"), "--key", certFile("clientKey")];
    const asking = "openssl?ask=require&arg=-client_sigalgs&arg=ecdsa_secp256r1_sha256";
    const run = await connectTo(asking, [...several, "--close", "half"], { stdin: ["hello\n"] });
    assert.strictEqual(await run.ended, 0, run.text);
    assert.strictEqual(run.out, "olleh\n", "the one that the server asks for");
    const wrong = await connectTo("tls", [...p12, "pass:wrong"]);
    assert.strictEqual(await wrong.ended, 2, wrong.text);
  });

  QUnit.test("--psk, --psk-hash", async (assert) => {
    const key = "00112233445566778899aabbccddeeff";
    const server = `openssl?arg=-nocert&arg=-psk&arg=${key}&arg=-psk_identity&arg=a:b`;
    const args = ["--psk", "env:KEY", "--close", "half"];
    const run = await connectTo(server, args, { stdin: ["hello\n"], env: { KEY: `a:b:${key}` } });
    assert.strictEqual(await run.ended, 0, run.text);
    assert.strictEqual(run.out, "olleh\n");
    const connected = await run.line("connected");
    assert.deepEqual(connected.peerCertificates, []);
  });

  for (const version of ["1.2", "1.3"]) {
    QUnit.test(`--session-out, --session-in: TLS ${version}`, async (assert) => {
      const file = join(process.cwd(), `cli-session-${version}`);
      const peer = `tls?version=${version}`;
      const first = await connectTo(peer, ["--session-out", file], { stdin: ["x"] });
      assert.strictEqual(await first.ended, 0, first.text);
      assert.false((await first.line("connected")).sessionReused);
      assert.strictEqual(statSync(file).mode & 0o777, 0o600, "for us alone");
      const second = await connectTo(peer, ["--session-in", file], { stdin: ["x"] });
      assert.strictEqual(await second.ended, 0, second.text);
      assert.true((await second.line("connected")).sessionReused, "resumed");
      const third = await connectTo(peer, [], { stdin: ["x"] });
      assert.strictEqual(await third.ended, 0, third.text);
      assert.false((await third.line("connected")).sessionReused, "not by itself");
    });
  }

  QUnit.test("--session-out without a session; --session-in without one either", async (assert) => {
    const file = join(process.cwd(), "cli-no-session");
    const none = await connectTo("openssl?arg=-num_tickets&arg=0", ["--session-out", file]);
    assert.strictEqual(await none.ended, 0, none.text);
    assert.strictEqual((await none.line("session")).kept, false);
    assert.false(existsSync(file));
    for (const args of [
      ["--session-in", certFile("ca")],
      ["--session-in", file],
      ["--session-out", "/no/such/folder/x", "--max", "1.2"],
    ]) {
      const wrong = await connectTo("tls", args, { stdin: ["x"] });
      assert.strictEqual(await wrong.ended, 2, wrong.text);
    }
  });

  QUnit.test("--keylog: what the server logs too, appended", async (assert) => {
    const file = join(process.cwd(), "cli-keylog");
    for (const version of ["1.2", "1.3"]) {
      const peer = `openssl?keylog=1&version=${version}&id=cli-keylog`;
      const run = await connectTo(peer, ["--keylog", file], { stdin: ["x\n"] });
      assert.strictEqual(await run.ended, 0, run.text);
      const line = version === "1.2" ? /^keylog CLIENT_RANDOM/ : /^keylog CLIENT_TRAFFIC_SECRET_0/;
      const theirs = (await eventsOf(peer, line)).find((each) => line.test(each));
      assert.true(readFileSync(file, "utf8").includes(`${theirs?.slice(7)}\n`), theirs);
    }
    assert.true(/^CLIENT_RANDOM/.test(readFileSync(file, "utf8")), "the first one is still there");
    assert.strictEqual(statSync(file).mode & 0o777, 0o600, "for us alone");
    const wrong = await connectTo("tls", ["--keylog", "/no/such/folder/x"]);
    assert.strictEqual(await wrong.ended, 2, wrong.text);
  });

  QUnit.test("--eof-policy", async (assert) => {
    for (const policy of ["record-boundary", "ignore"]) {
      const run = await connectTo("tls?do=no-close-notify", ["--eof-policy", policy]);
      assert.strictEqual(await run.ended, 0, run.text);
      assert.strictEqual(run.outcome.how, "truncated");
      assert.strictEqual(run.out, "cut off\n");
    }
  });

  QUnit.test("--via", async (assert) => {
    const run = await connectTo("tls", ["--via", env.ws("/relay?port={port}")], { stdin: ["hello\n"] });
    assert.strictEqual(await run.ended, 0, run.text);
    assert.strictEqual(run.out, "hello\n");
    const refused = await connectTo("tls", ["--via", env.ws("/ws/refuse")]);
    assert.strictEqual(await refused.ended, 1);
    assert.true(/No WebSocket to ws:.*host=localhost&port=\d+/.test(refused.text), refused.text);
    const hangs = await connectTo("tls", ["--via", env.ws("/ws/hang"), "--timeout", "0.2"]);
    assert.strictEqual(await hangs.ended, 5, hangs.text);
  });
});
