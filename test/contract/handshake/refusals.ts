/** Peers that don't speak TLS, or stop in the middle of the handshake: a typed error, soon, and nothing hangs. */
import QUnit from "qunit";
import { startTls, TlsAlertError, TlsTruncationError } from "wassl";
import { rejection, tlsError, viaFault } from "../../helpers/basics.ts";
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
