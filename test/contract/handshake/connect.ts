/** The handshake with independent TLS stacks: what is agreed, and which peers are accepted. */
import QUnit from "qunit";
import { type ClientOptions, startTls, TlsAlertError, TlsCertificateError, type TlsStream } from "wassl";
import {
  concat,
  readAll,
  readAtLeast,
  rejection,
  text,
  tlsError,
  utf8,
  write,
  writeAndClose,
} from "../../helpers/basics.ts";
import { connectTls } from "../../helpers/connect.ts";
import { env } from "../../helpers/env.ts";

async function exchange(stream: TlsStream, request: string): Promise<string> {
  await write(stream.writable, utf8(request));
  return text(await readAtLeast(stream.readable, request.length));
}

QUnit.module("connect: independent stacks", () => {
  const reversed = (line: string) => `${[...line.trimEnd()].reverse().join("")}\n`;
  const stacks: [name: string, answer: (line: string) => string][] = [
    ["openssl", reversed],
    ["gnutls", (line) => line],
    ["tls", (line) => line],
  ];
  for (const [stack, answer] of stacks) {
    for (const version of ["1.2", "1.3"]) {
      for (const cert of ["ecdsa", "rsa"]) {
        QUnit.test(
          `${stack}, TLS ${version}, ${cert}: verified, talks, closes completely`,
          async (assert) => {
            const stream = await connectTls(`${stack}?version=${version}&cert=${cert}`);
            const { info } = stream;
            assert.strictEqual(info.protocol, `TLSv${version}`);
            assert.true(info.verified);
            assert.true(info.cipher.length > 0, info.cipher);
            assert.strictEqual(info.alpnProtocol, undefined);
            assert.false(info.sessionReused);
            const [leaf] = info.peerCertificates;
            assert.true(leaf?.subject.includes(`CN=${cert}`), leaf?.subject);
            assert.true(leaf?.issuer.includes("CN=Wassl test intermediate"), leaf?.issuer);
            assert.true(leaf?.subjectAltName.includes("DNS:localhost"), leaf?.subjectAltName.join());
            assert.strictEqual(await exchange(stream, "a line of text\n"), answer("a line of text\n"));
            const ending = await stream.shutdown();
            assert.strictEqual(ending.info.how, "complete");
            assert.deepEqual(stream.shutdownFlags, { sent: true, received: true });
            assert.strictEqual((await stream.closed).how, "complete");
          },
        );
      }
    }
  }

  for (const version of ["1.2", "1.3"]) {
    QUnit.test(`nginx, TLS ${version}: an HTTP request`, async (assert) => {
      const stream = await connectTls(`nginx?version=${version}`);
      assert.strictEqual(stream.info.protocol, `TLSv${version}`);
      await write(stream.writable, utf8("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
      const response = text(await readAll(stream.readable));
      assert.true(response.startsWith("HTTP/1.1 200 OK\r\n"), response);
      assert.true(response.endsWith("It is nginx that says this.\n"), response);
      await stream.close();
    });
  }

  QUnit.test("openssl s_server -www says what it sees of us", async (assert) => {
    const stream = await connectTls("openssl?do=www&version=1.3");
    await write(stream.writable, utf8("GET / HTTP/1.0\r\n\r\n"));
    const page = text(await readAll(stream.readable));
    assert.true(page.includes("TLSv1.3"), page);
    await stream.close();
  });
});

QUnit.module("connect: what is agreed", () => {
  QUnit.test("ALPN: the server's choice of what both have", async (assert) => {
    const stream = await connectTls("tls?do=hello&alpn=h2,http/1.1", { alpnProtocols: ["http/1.1", "smtp"] });
    assert.strictEqual(stream.info.alpnProtocol, "http/1.1");
    const hello = JSON.parse(text(await readAll(stream.readable))) as { alpn: string };
    assert.strictEqual(hello.alpn, "http/1.1");
  });

  QUnit.test("ALPN: nothing in common is an alert", async (assert) => {
    const error = await rejection(connectTls("tls?alpn=h2", { alpnProtocols: ["smtp"] }));
    assert.true(error instanceof TlsAlertError, String(error));
    if (!(error instanceof TlsAlertError)) return;
    assert.strictEqual(error.code, "alert");
    assert.strictEqual(error.alert.description, "no_application_protocol");
    assert.strictEqual(error.alert.direction, "received");
  });

  QUnit.test("SNI is the DNS name, and nothing for an IP address", async (assert) => {
    for (const [hostname, servername] of [
      ["localhost", "localhost"],
      ["127.0.0.1", false],
      ["::1", false],
      ["localhost.", "localhost"],
    ] as const) {
      const stream = await connectTls("tls?do=hello", { hostname });
      const hello = JSON.parse(text(await readAll(stream.readable))) as { servername: string | false };
      assert.strictEqual(hello.servername, servername, hostname);
      await stream.close();
    }
  });

  QUnit.test("serverName is sent instead of hostname, and checks nothing", async (assert) => {
    for (const [hostname, serverName, servername] of [
      ["localhost", "other.wassl.test", "other.wassl.test"],
      ["127.0.0.1", "other.wassl.test.", "other.wassl.test"],
      ["localhost", false, false],
    ] as const) {
      const stream = await connectTls("tls?do=hello", { hostname, serverName });
      assert.true(stream.info.verified, "verified");
      const hello = JSON.parse(text(await readAll(stream.readable))) as { servername: string | false };
      assert.strictEqual(hello.servername, servername, String(serverName));
      await stream.close();
    }
    const other = { hostname: "elsewhere.wassl.test", serverName: "localhost" };
    const error = await tlsError(connectTls("tls", other));
    assert.strictEqual(error.code, "certificate", error.message);
  });

  QUnit.test("minVersion and maxVersion", async (assert) => {
    const old = await connectTls("tls", { maxVersion: "TLSv1.2" });
    assert.strictEqual(old.info.protocol, "TLSv1.2");
    const current = await connectTls("tls", { minVersion: "TLSv1.3" });
    assert.strictEqual(current.info.protocol, "TLSv1.3");
    const refused = await rejection(connectTls("tls?version=1.2", { minVersion: "TLSv1.3" }));
    assert.true(refused instanceof TlsAlertError, String(refused));
    if (refused instanceof TlsAlertError) assert.strictEqual(refused.alert.description, "protocol_version");
    const tooNew = await tlsError(connectTls("tls?version=1.3", { maxVersion: "TLSv1.2" }));
    assert.strictEqual(tooNew.code, "alert", tooNew.message);
  });
});

QUnit.module("connect: which peers are accepted", () => {
  const refused = async (peer: string, options: Partial<ClientOptions> = {}) => {
    const error = await rejection(connectTls(peer, options));
    if (error instanceof TlsCertificateError) return error;
    throw new Error(`a TlsCertificateError was expected, not ${String(error)}`, { cause: error });
  };

  for (const hostname of [
    "localhost",
    "LocalHost",
    "localhost.",
    "127.0.0.1",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
  ]) {
    QUnit.test(`"${hostname}" is in the certificate`, async (assert) => {
      assert.true((await connectTls("tls", { hostname })).info.verified);
    });
  }

  for (const [hostname, verifyError] of [
    ["localhost.localdomain", "X509_V_ERR_HOSTNAME_MISMATCH"],
    ["host", "X509_V_ERR_HOSTNAME_MISMATCH"],
    ["127.0.0.2", "X509_V_ERR_IP_ADDRESS_MISMATCH"],
    ["::2", "X509_V_ERR_IP_ADDRESS_MISMATCH"],
  ] as const) {
    QUnit.test(`"${hostname}" is not`, async (assert) => {
      const error = await refused("tls", { hostname });
      assert.strictEqual(error.code, "certificate");
      assert.strictEqual(error.verifyError, verifyError);
      assert.strictEqual(error.depth, 0);
      assert.true(error.message.includes(hostname), error.message);
    });
  }

  QUnit.test("a wildcard stands for one label", async (assert) => {
    assert.true((await connectTls("tls?cert=wildcard", { hostname: "a.wassl.test" })).info.verified);
    for (const hostname of ["a.b.wassl.test", "wassl.test", "a.wassl.test.evil"]) {
      const error = await refused("tls?cert=wildcard", { hostname });
      assert.strictEqual(error.verifyError, "X509_V_ERR_HOSTNAME_MISMATCH", hostname);
    }
  });

  for (const [cert, verifyError] of [
    ["wrongHost", "X509_V_ERR_HOSTNAME_MISMATCH"],
    ["expired", "X509_V_ERR_CERT_HAS_EXPIRED"],
    ["notYetValid", "X509_V_ERR_CERT_NOT_YET_VALID"],
    ["untrusted", "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY"],
    ["selfSigned", "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"],
  ] as const) {
    for (const version of ["1.2", "1.3"]) {
      QUnit.test(`${cert}, TLS ${version}: refused by name, and the server is told`, async (assert) => {
        const peer = `tls?cert=${cert}&version=${version}`;
        await env.peer(peer);
        await env.events(peer);
        const error = await refused(peer);
        assert.strictEqual(error.code, "certificate");
        assert.strictEqual(error.verifyError, verifyError);
        assert.true(error.subject.includes(`CN=${cert}`), `subject ${error.subject}`);
        for (let i = 0; i < 50; i++) {
          const events = (await env.events(peer)).join();
          if (!events) await new Promise((resolve) => setTimeout(resolve, 20));
          else {
            assert.true(/error ERR_SSL_\w*ALERT/.test(events), events);
            break;
          }
        }
      });
    }
  }

  QUnit.test("without caCerts no peer is trusted", async (assert) => {
    for (const caCerts of [[], env.certs.otherCaPem]) {
      const error = await refused("tls", { caCerts });
      assert.strictEqual(error.verifyError, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
    }
  });

  QUnit.test("unsafelyDisableVerification lets anybody in, and says so", async (assert) => {
    for (const cert of ["untrusted", "expired", "wrongHost"]) {
      const stream = await connectTls(`tls?cert=${cert}`, { caCerts: [], unsafelyDisableVerification: true });
      assert.false(stream.info.verified, cert);
      assert.true(stream.info.peerCertificates[0]?.subject.includes(`CN=${cert}`));
    }
  });

  QUnit.test("caCerts: PEM, DER, several in one PEM, lists of them", async (assert) => {
    const { caPem, otherCaPem } = env.certs;
    const der = Uint8Array.from(atob(env.certs.caDer), (character) => character.charCodeAt(0));
    for (const [form, caCerts] of Object.entries({
      PEM: caPem,
      "PEM in bytes": utf8(caPem),
      DER: der,
      "DER in the middle of a buffer": concat([utf8("xyz"), der, utf8("xyz")]).subarray(
        3,
        3 + der.byteLength,
      ),
      "several in one PEM": `# other\n${otherCaPem}\nthis one:\n${caPem}`,
      list: [otherCaPem, der],
      "the same twice": [caPem, caPem],
    })) {
      assert.true((await connectTls("tls", { caCerts })).info.verified, form);
    }
  });

  QUnit.test("invalid caCerts are refused before anything is sent", async (assert) => {
    const broken = env.certs.caPem.replace(/[A-Z]{4}/g, "####");
    for (const caCerts of [
      "",
      "no PEM",
      broken,
      new Uint8Array(100),
      env.certs.caPem.slice(0, 200),
      5 as never,
    ]) {
      const transport = await env.connect("tls");
      const error = await tlsError(startTls(transport, { hostname: "localhost", caCerts }));
      assert.strictEqual(error.code, "invalid-argument", String(caCerts).slice(0, 40));
      assert.false(transport.writable.locked, "the transport was not touched");
    }
  });

  QUnit.test("invalid hostnames are refused before anything is sent", async (assert) => {
    for (const hostname of [
      "",
      " ",
      "a b",
      "a\0b",
      "localhost:443",
      "https://localhost",
      undefined as never,
      5 as never,
    ]) {
      const transport = await env.connect("tls");
      const error = await tlsError(startTls(transport, { hostname, caCerts: env.certs.caPem }));
      assert.strictEqual(error.code, "invalid-argument", String(hostname));
      assert.false(transport.writable.locked, "the transport was not touched");
    }
  });

  QUnit.test("options that cannot be are refused", async (assert) => {
    for (const options of [
      { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" },
      { minVersion: "TLSv1.1" as never },
      { alpnProtocols: [""] },
      { alpnProtocols: ["x".repeat(256)] },
      { bioPairSize: 0 },
      { serverName: "127.0.0.1" },
      { serverName: "::1" },
      { serverName: "" },
      { serverName: "a b" },
      { unsafelyAllowLegacyNames: "false" as never },
      { unsafelyDisableVerification: "false" as never },
      { unsafelyDisableVerification: 1 as never },
      { unsafelyLetVerifyOverride: "no" as never, verify: () => true },
      { verifyOptions: { flags: ["X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT"] } },
      { handshakeTimeout: -1 },
      { handshakeTimeout: Number.NaN },
    ] satisfies Partial<ClientOptions>[]) {
      const error = await tlsError(connectTls("tls", options));
      assert.strictEqual(error.code, "invalid-argument", JSON.stringify(options));
    }
  });

  QUnit.test("the certificates are shown", async (assert) => {
    const { info } = await connectTls("tls");
    assert.strictEqual(info.peerCertificates.length, 2);
    const [leaf, intermediate] = info.peerCertificates;
    assert.strictEqual(intermediate?.pem.replace(/\s/g, ""), env.certs.intermediatePem.replace(/\s/g, ""));
    assert.true(leaf && leaf.notBefore < new Date() && leaf.notAfter > new Date());
    assert.true(
      /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/.test(leaf?.sha256Fingerprint ?? ""),
      leaf?.sha256Fingerprint,
    );
    assert.true(leaf?.publicKey.includes("P-256") || leaf?.publicKey.includes("prime256v1"), leaf?.publicKey);
    assert.deepEqual(leaf?.subjectAltName.slice(0, 2), ["DNS:localhost", "IP Address:127.0.0.1"]);
  });

  QUnit.test("ten connections at once", async (assert) => {
    // Chromium lets more WebSockets than this wait for seconds, each of them.
    const streams = await Promise.all(Array.from({ length: 10 }, () => connectTls("tls")));
    const answers = streams.map(async (stream, i) => {
      await writeAndClose(stream.writable, utf8(`connection ${i}`));
      return text(await readAll(stream.readable));
    });
    assert.deepEqual(
      await Promise.all(answers),
      streams.map((_, i) => `connection ${i}`),
    );
  });
});
