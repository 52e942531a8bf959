/**
 * Bytes, dates, lists and options that another realm made: an iframe, a vm context, jsdom. Their classes are not ours.
 */
import QUnit from "qunit";
import {
  acceptTls,
  OpenSsl,
  type ServerOptions,
  startTls,
  TlsContext,
  type Transport,
  verifyChain,
} from "wassl";
import { BlockingTransport, carry, newChannel } from "wassl/blocking";
import { DenoKvSessionStore } from "wassl/sessions/deno-kv";
import { denoTransport } from "wassl/transports/deno";
import { messagePortTransport } from "wassl/transports/message-port";
import { nodeTransport } from "wassl/transports/node";
import { webSocketTransport } from "wassl/transports/websocket";
import { pair } from "../../fakes/pair.ts";
import { readAll, readAtLeast, rejection, text, utf8 } from "../../helpers/basics.ts";
import { client, connected, server } from "../../helpers/both-ends.ts";
import { afterTest, env } from "../../helpers/env.ts";

/** Another realm: what code comes to there. */
type Realm = (code: string) => unknown;

async function realm(): Promise<Realm> {
  if (env.page) {
    const frame = document.createElement("iframe");
    document.body.append(frame);
    afterTest(() => frame.remove());
    return (code) => (frame.contentWindow as unknown as { eval: Realm }).eval(code);
  }
  // Hidden from the bundler, which knows no such module for Deno.
  const vm = (await import(["node", "vm"].join(":"))) as typeof import("node:vm");
  const context = vm.createContext({});
  return (code) => vm.runInContext(code, context);
}

/** The same bytes there. */
function foreign(there: Realm, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const made = there(`Uint8Array.of(${bytes.join()})`) as Uint8Array<ArrayBuffer>;
  if (made instanceof Uint8Array) throw new Error("it is of this realm");
  return made;
}

const binary = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

QUnit.module("other realms", () => {
  QUnit.test("options of all kinds", async (assert) => {
    const there = await realm();
    const make = (value: unknown) => there(`(${JSON.stringify(value)})`) as object;
    const bytes = (value: string | Uint8Array) =>
      foreign(there, typeof value === "string" ? utf8(value) : value);
    const list = (...each: unknown[]) => {
      const made = there("[]") as unknown[];
      for (const one of each) made[made.length] = one;
      return made;
    };
    const { caPem, chains, keys, ocsp, clientP12 } = env.certs;
    const both: [object, object][] = [
      [
        Object.assign(make({ hostname: "localhost", alpnProtocols: ["b", "a"], sessionStore: false }), {
          caCerts: list(bytes(caPem)),
          cert: bytes(chains.client),
          key: bytes(keys.client),
          ocsp: "require",
          earlyData: bytes("early"),
          verifyOptions: Object.assign(make({}), { time: there("new Date()"), flags: list() }),
          verify: there("(() => true)"),
        }),
        Object.assign(make({ alpnProtocols: ["a"], clientAuth: "require" }), {
          caCerts: bytes(caPem),
          identities: list(Object.assign(make({}), { cert: bytes(chains.ecdsa), key: bytes(keys.ecdsa) })),
          ocspResponse: bytes(binary(ocsp.good)),
          ticketKeys: list(bytes(new Uint8Array(80).fill(1))),
          sessionIdContext: bytes("here"),
        }),
      ],
      [
        { ...client(), pkcs12: bytes(binary(clientP12)), passphrase: "secret" },
        { ...server(), clientAuth: "require", caCerts: caPem },
      ],
      [
        { ...client(), psk: Object.assign(make({ identity: "me" }), { key: bytes(new Uint8Array(32)) }) },
        { psk: { identity: "me", key: bytes(new Uint8Array(32)) } },
      ],
    ];
    for (const [i, [near, far]] of both.entries()) {
      const [left, right] = pair();
      const ends = await Promise.all([
        startTls(left, near as Parameters<typeof startTls>[1]),
        acceptTls(right, far as ServerOptions),
      ]);
      for (const end of ends) afterTest(() => end.abort());
      assert.strictEqual(ends[0].info.verified, i !== 2);
      if (i < 2) assert.true(ends[1].info.verified, `${i}`);
    }
    const checked = await verifyChain(
      Object.assign(make({ hostname: "localhost" }), {
        leaf: bytes(chains.ecdsa),
        intermediates: list(bytes(caPem)),
        roots: list(bytes(caPem)),
        time: there("new Date()"),
      }) as Parameters<typeof verifyChain>[0],
    );
    assert.true(checked.ok);
    // What somebody has put into that realm's Object.prototype is no option either.
    there("Object.prototype.unsafelyDisableVerification = true; Object.prototype.nonsense = 1");
    const strange = Object.assign(make({ hostname: "localhost" }), { caCerts: env.certs.otherCaPem });
    const [left, right] = pair();
    const taking = acceptTls(right, server()).catch(() => {});
    const error = (await rejection(startTls(left, strange as Parameters<typeof startTls>[1]))) as Error;
    assert.strictEqual((error as { code?: string }).code, "certificate", error.message);
    await taking;
    assert.true((await verifyChain({ leaf: chains.ecdsa, roots: caPem })).ok);
  });

  QUnit.test("what is written, exported, resumed and kept", async (assert) => {
    const there = await realm();
    const bytes = (value: Uint8Array) => foreign(there, value);
    const { client: near, server: far } = await connected({}, {});
    const writer = near.writable.getWriter();
    await writer.write(bytes(utf8("foreign")));
    assert.strictEqual(text(await readAtLeast(far.readable, 7)), "foreign");
    const context = bytes(utf8("c"));
    assert.deepEqual(
      near.exportKeyingMaterial("label", 16, context),
      far.exportKeyingMaterial("label", 16, context),
    );
    const session = near.getSession()!;
    const { client: again } = await connected({ session: bytes(session), sessionStore: false }, {});
    assert.strictEqual(again.info.protocol, "TLSv1.3");
    // A store whose values come from there: that they are taken is what is asked, not that a ticket is good.
    let taken = 0;
    const context2 = await TlsContext.server(server());
    afterTest(() => context2.free());
    const kept: Uint8Array[] = [];
    const store = {
      get: () => undefined,
      put: (_key: string, value: Uint8Array) => void kept.push(bytes(value)),
      take: () => {
        const value = kept.pop();
        if (value) taken++;
        return value;
      },
    };
    const once = async () => {
      const [left, right] = pair();
      const ends = await Promise.all([
        startTls(left, { ...client(), sessionStore: store }),
        acceptTls(right, { context: context2 }),
      ]);
      for (const end of ends) afterTest(() => end.abort());
      const writing = ends[1].writable.getWriter();
      await writing.write(utf8("."));
      await readAtLeast(ends[0].readable, 1);
      return ends[0].info.sessionReused;
    };
    assert.false(await once());
    assert.true(await once());
    assert.strictEqual(taken, 1);
    const value = { session: bytes(session), expires: Date.now() + 60_000 };
    const kv = { get: async () => ({ key: [], value, versionstamp: "1" }), set() {}, atomic() {} };
    assert.deepEqual([...(await new DenoKvSessionStore(kv as never).get("k"))!], [...session]);
  });

  QUnit.test("transports that bring such bytes, and such that are given them", async (assert) => {
    const there = await realm();
    const translated = ({ readable, writable }: Transport): Transport => ({
      readable: readable.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform: (chunk, controller) => controller.enqueue(foreign(there, chunk)),
        }),
      ),
      writable,
    });
    const [left, right] = pair();
    const ends = await Promise.all([
      startTls(translated(left), client()),
      acceptTls(translated(right), server()),
    ]);
    for (const end of ends) afterTest(() => end.abort());
    assert.true(ends[0].info.verified);

    const sent: unknown[] = [];
    const chunk = () => foreign(there, utf8("foreign"));
    const events = { addEventListener() {}, start() {}, close() {} };
    const sinks: Record<string, () => Transport> = {
      webSocket: () =>
        webSocketTransport({
          ...events,
          readyState: 1,
          bufferedAmount: 0,
          url: "ws://there",
          binaryType: "",
          send: (data: Uint8Array) => sent.push(text(data)),
        } as never),
      node: () =>
        nodeTransport({
          on() {},
          read: () => null,
          write: (data: Uint8Array, done: () => void) => {
            sent.push(text(data));
            done();
            return true;
          },
          destroyed: false,
          errored: null,
        } as never),
      deno: () =>
        denoTransport({
          read: async () => null,
          write: async (data: Uint8Array) => sent.push(text(data)) * 0 + data.length,
          closeWrite: async () => {},
          close() {},
        }),
    };
    for (const [name, make] of Object.entries(sinks)) {
      await make().writable.getWriter().write(chunk());
      assert.strictEqual(sent.pop(), "foreign", name);
    }
    const { port1, port2 } = new MessageChannel();
    const [one, other] = [messagePortTransport(port1), messagePortTransport(port2)];
    void one.writable.getWriter().write(chunk());
    assert.strictEqual(text(await readAtLeast(other.readable, 7)), "foreign");
    await one.readable.cancel();
    port1.close();

    let message: ((event: { data: unknown }) => void) | undefined;
    const socket = webSocketTransport({
      ...events,
      addEventListener(type: string, listener: typeof message) {
        if (type === "message") message = listener;
      },
      readyState: 1,
      bufferedAmount: 0,
      url: "ws://there",
      binaryType: "",
    } as never);
    message?.({ data: chunk().buffer });
    assert.strictEqual(text(await readAtLeast(socket.readable, 7)), "foreign", "a frame of another realm's");
  });

  QUnit.test("blocking mode", async (assert) => {
    const there = await realm();
    if (env.page) {
      assert.true(true, "a page must not block");
      return;
    }
    const channel = newChannel();
    const transport = new BlockingTransport(channel);
    assert.strictEqual(transport.write(foreign(there, utf8("foreign"))), 7);
    const [near, far] = pair();
    carry(channel, near).catch(() => {});
    assert.strictEqual(text(await readAtLeast(far.readable, 7)), "foreign");
    transport.close();
    await readAll(far.readable);
  });

  QUnit.test("the module itself, and OpenSSL as it is", async (assert) => {
    const there = await realm();
    const module = new Uint8Array(await (await fetch(`${env.origin}/openssl.wasm`)).arrayBuffer());
    const copy = there(`new Uint8Array(${module.length})`) as Uint8Array<ArrayBuffer>;
    copy.set(module);
    const openssl = await OpenSsl.load({ source: copy });
    assert.true(openssl.version.startsWith("OpenSSL 3"), "bytes");
    assert.true(
      (await OpenSsl.load({ source: copy.buffer })).version.startsWith("OpenSSL 3"),
      "an ArrayBuffer",
    );
    const { ecdsa } = env.certs.chains;
    assert.strictEqual(
      openssl.parseX509(foreign(there, utf8(ecdsa))).subject,
      openssl.parseX509(ecdsa).subject,
    );
    assert.deepEqual(openssl.sha256(foreign(there, utf8("x"))), openssl.sha256(utf8("x")));
    const bio = openssl.newBioPair();
    assert.strictEqual(bio.write(foreign(there, utf8("x"))), 1);
    bio.free();
  });
});
