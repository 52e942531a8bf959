/** Peers that don't speak TLS, or stop in the middle of the handshake: a typed error, soon, and nothing hangs. */
import QUnit from "qunit";
import { acceptTls, startTls, TlsAlertError, TlsTruncationError } from "wassl";
import { pair } from "../../fakes/pair.ts";
import { ALERT, APPLICATION_DATA, HANDSHAKE, records } from "../../fakes/tls13-client.ts";
import { tap } from "../../fakes/wrappers.ts";
import { eventsOf, rejection, tlsError, viaFault } from "../../helpers/basics.ts";
import { client, server } from "../../helpers/both-ends.ts";
import { connectTls } from "../../helpers/connect.ts";
import { env } from "../../helpers/env.ts";

QUnit.module("refusals: not TLS", () => {
  QUnit.test("HTTP in plaintext is recognised", async (assert) => {
    const error = await tlsError(connectTls("raw?do=http-400"));
    assert.strictEqual(error.code, "not-tls");
    assert.true(error.message.includes("HTTP"), error.message);
  });

  QUnit.test("a server that speaks first is recognised", async (assert) => {
    const error = await tlsError(connectTls("raw?do=smtp-banner&first=yes&then=wait"));
    assert.strictEqual(error.code, "not-tls", error.message);
    assert.true(error.message.includes("220 mail"), error.message);
  });

  QUnit.test("random bytes", async (assert) => {
    for (const then of ["close", "wait"]) {
      const error = await tlsError(connectTls(`raw?do=garbage&then=${then}`));
      assert.strictEqual(error.code, "not-tls", error.message);
    }
  });

  QUnit.test("a record longer than the protocol allows", async (assert) => {
    const error = await tlsError(connectTls("raw?do=oversized-record&then=wait"));
    assert.true(["protocol", "not-tls"].includes(error.code), `${error.code}: ${error.message}`);
  });
});

QUnit.module("refusals: a handshake that ends early", () => {
  QUnit.test("a fatal alert in plaintext", async (assert) => {
    const error = await rejection(connectTls("raw?do=handshake-failure"));
    assert.true(error instanceof TlsAlertError, String(error));
    if (!(error instanceof TlsAlertError)) return;
    assert.strictEqual(error.code, "alert");
    assert.deepEqual(error.alert, {
      direction: "received",
      level: "fatal",
      description: "handshake_failure",
      code: 40,
    });
  });

  QUnit.test("a close_notify in plaintext, after which nothing follows", async (assert) => {
    for (const then of ["wait", "close"]) {
      const error = await tlsError(
        connectTls(`raw?do=close-notify&then=${then}`, { handshakeTimeout: 2000 }),
      );
      assert.true(["truncated", "alert", "protocol"].includes(error.code), `${error.code}: ${error.message}`);
    }
  });

  for (const peer of [
    "raw?do=nothing",
    "raw?do=half-header",
    viaFault("cut=1"),
    viaFault("cut=100"),
    viaFault("cut=700"),
  ]) {
    QUnit.test(`the end of the transport (${peer})`, async (assert) => {
      const error = await rejection(connectTls(peer));
      assert.true(error instanceof TlsTruncationError, String(error));
      if (!(error instanceof TlsTruncationError)) return;
      assert.strictEqual(error.code, "truncated");
      assert.strictEqual(error.at, "handshake");
    });
  }

  for (const peer of ["raw?do=nothing&then=reset", viaFault("reset=100")]) {
    QUnit.test(`a reset (${peer})`, async (assert) => {
      const error = await tlsError(connectTls(peer));
      assert.strictEqual(error.code, "transport", error.message);
      assert.notStrictEqual(error.cause, undefined);
    });
  }

  QUnit.test("a byte of the handshake was changed", async (assert) => {
    for (const offset of [0, 3, 5, 20, 150, 400]) {
      const error = await tlsError(
        connectTls(viaFault(`flip=${offset}`, "tls?version=1.3"), { handshakeTimeout: 2000 }),
      );
      const codes = ["protocol", "not-tls", "alert", "timeout"];
      assert.true(codes.includes(error.code), `offset ${offset}: ${error.code}: ${error.message}`);
    }
  });

  QUnit.test("silence: handshakeTimeout", async (assert) => {
    const begin = Date.now();
    const error = await tlsError(connectTls("raw?do=nothing&then=wait", { handshakeTimeout: 300 }));
    assert.strictEqual(error.code, "timeout");
    assert.true(Date.now() - begin < 3000, `${Date.now() - begin} ms`);
    const stalled = await tlsError(connectTls(viaFault("stall=200"), { handshakeTimeout: 300 }));
    assert.strictEqual(stalled.code, "timeout");
  });

  QUnit.test("silence: a signal, whose reason is thrown as it is", async (assert) => {
    const reason = new Error("changed my mind");
    const abort = new AbortController();
    /** The connection is there before the signal can fire: it has to end a handshake. */
    const silent = async (signal: () => AbortSignal) => {
      const transport = await env.connect("raw?do=nothing&then=wait");
      return startTls(transport, { hostname: "localhost", signal: signal() });
    };
    const aborted = silent(() => {
      setTimeout(() => abort.abort(reason), 100);
      return abort.signal;
    });
    assert.strictEqual(await rejection(aborted), reason);
    assert.strictEqual(await rejection(connectTls("tls", { signal: AbortSignal.abort(reason) })), reason);
    const timeout = await rejection(silent(() => AbortSignal.timeout(50)));
    assert.strictEqual((timeout as DOMException).name, "TimeoutError");
  });

  QUnit.test("the transport is closed when the handshake fails", async (assert) => {
    for (const peer of [
      "raw?do=handshake-failure&then=wait",
      "raw?do=smtp-banner&then=wait",
      "raw?do=nothing&then=wait",
    ]) {
      await env.peer(peer);
      await env.events(peer);
      await rejection(connectTls(peer, { handshakeTimeout: 300 }));
      let events: string[] = [];
      for (let i = 0; i < 50 && events.length === 0; i++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        events = await env.events(peer);
      }
      assert.true(events.length > 0, `${peer}: ${events}`);
    }
  });
});

QUnit.module("refusals: the keys that a client's alert has", () => {
  const CHANGE_CIPHER_SPEC = 20;
  const stranger = () => ({ ...client(), caCerts: [], sessionStore: false }) as const;
  const types = (sent: Uint8Array) => records(sent).map(([type]) => type);
  const cases = [
    ["TLSv1.3", {}, {}, [HANDSHAKE, CHANGE_CIPHER_SPEC, APPLICATION_DATA]],
    // The second ClientHello has one change_cipher_spec in front of it.
    [
      "TLSv1.3",
      { groups: "X25519:P-384" },
      { groups: "P-384" },
      [HANDSHAKE, CHANGE_CIPHER_SPEC, HANDSHAKE, APPLICATION_DATA],
    ],
    // There the server's certificate comes in the clear.
    ["TLSv1.2", {}, {}, [HANDSHAKE, ALERT]],
  ] as const;
  for (const [version, ours, theirs, expected] of cases) {
    const name = `${version}${"groups" in theirs ? " behind a HelloRetryRequest" : ""}`;
    QUnit.test(`${name}: those of the handshake, once there are any`, async (assert) => {
      const only = { minVersion: version, maxVersion: version } as const;
      const [left, right] = pair();
      const { transport, sent } = tap(left);
      const [near, far] = await Promise.all([
        rejection(startTls(transport, { ...stranger(), ...only, ...ours })),
        rejection(acceptTls(right, { ...server(), ...only, ...theirs })),
      ]);
      assert.deepEqual(types(sent()), [...expected]);
      assert.strictEqual((near as { code?: string }).code, "certificate", String(near));
      const { alert } = far as TlsAlertError;
      assert.deepEqual(alert, { direction: "received", level: "fatal", description: "unknown_ca", code: 48 });
    });
  }

  QUnit.test("openssl s_server reads it", async (assert) => {
    const peer = `openssl?version=1.3&id=alert-keys-${env.runtime}`;
    const { transport, sent } = tap(await env.connect(peer));
    const error = await tlsError(startTls(transport, stranger()));
    assert.strictEqual(error.code, "certificate", error.message);
    assert.deepEqual(types(sent()), [HANDSHAKE, CHANGE_CIPHER_SPEC, APPLICATION_DATA]);
    const told = await eventsOf(peer, /^alert/);
    assert.true(told.includes("alert unknown_ca"), told.join("\n"));
  });
});
