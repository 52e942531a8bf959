/**
 * Each option of each public function that has some: what is of another type, or out of range, is refused with its
 * name.
 */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientContextOptions,
  type ClientOptions,
  type CloseOptions,
  type Identity,
  type LoadOptions,
  MemorySessionStore,
  type MemorySessionStoreOptions,
  OpenSsl,
  type PreSharedKey,
  type ServerContextOptions,
  type ServerOptions,
  type ShutdownOptions,
  startTls,
  TlsContext,
  type TlsError,
  type TlsStream,
  type VerifyChainOptions,
  type VerifyOptions,
  verifyChain,
} from "wassl";
import {
  type AcceptOptions,
  accept,
  BlockingTransport,
  type CarryOptions,
  type ChannelOptions,
  type ConnectOptions,
  carry,
  connect,
  newChannel,
  type Timeout,
} from "wassl/blocking";
import { DenoKvSessionStore, type DenoKvSessionStoreOptions } from "wassl/sessions/deno-kv";
import { IndexedDbSessionStore, type IndexedDbSessionStoreOptions } from "wassl/sessions/indexeddb";
import { RedisSessionStore, type RedisSessionStoreOptions } from "wassl/sessions/redis";
import { type MessagePortOptions, messagePortTransport } from "wassl/transports/message-port";
import {
  type ConnectWebSocketOptions,
  connectWebSocket,
  type WebSocketTransportOptions,
  webSocketTransport,
} from "wassl/transports/websocket";
import { basicConstraints, commonName, pem } from "../../der.ts";
import { pair } from "../../fakes/pair.ts";
import { client, clientCert, connected, server } from "../../helpers/both-ends.ts";
import { certificate, newKey } from "../../helpers/certificates.ts";
import { afterTest, env } from "../../helpers/env.ts";

/** What may be given by mistake, by what it is. */
const values = {
  null: null,
  flag: true,
  zero: 0,
  negative: -1,
  half: 1.5,
  nan: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  huge: Number.MAX_VALUE,
  bigint: 1n,
  symbol: Symbol("x"),
  "empty text": "",
  text: "x",
  "long text": "x".repeat(70_000),
  "empty list": [],
  "list of numbers": [7],
  "list of texts": ["x"],
  "list with a hole": [undefined],
  "list of objects": [{}],
  object: {},
  function: () => {},
  bytes: new Uint8Array(7),
  "empty bytes": new Uint8Array(0),
  "other bytes": new Uint16Array(7),
  buffer: new ArrayBuffer(7),
  date: new Date(Number.NaN),
} as const;
type Value = keyof typeof values;

/** Those that are no mistake, as far as can be seen without OpenSSL. */
type Fits<T> = { readonly [Name in keyof T]-?: readonly Value[] };

const none: readonly Value[] = [];
const flag = ["flag"] as const;
const callback = ["function"] as const;
const anyText = ["empty text", "text", "long text"] as const;
const anyBytes = ["empty bytes", "bytes"] as const;
const data = [...anyText, ...anyBytes] as const;
const list = [...data, "empty list", "list of texts"] as const;
const size = ["zero", "half", "infinity", "huge"] as const;
const moreThan0 = ["half", "infinity", "huge"] as const;

const context: Fits<Omit<ClientContextOptions & ServerContextOptions, "openssl">> = {
  alpnProtocols: ["empty list", "list of texts"],
  minVersion: none,
  maxVersion: none,
  ciphers: anyText,
  cipherSuites: anyText,
  groups: anyText,
  signatureAlgorithms: anyText,
  securityLevel: ["zero"],
  maxCertificateList: none,
  psk: none,
  psks: none,
  legacyServerConnect: flag,
  maxSendFragment: none,
  keylog: callback,
  cert: data,
  key: data,
  pkcs12: anyBytes,
  passphrase: anyText,
  verify: callback,
  unsafelyLetVerifyOverride: flag,
  verifyOptions: ["object"],
  caCerts: list,
  postHandshakeAuth: flag,
  unsafelyAllowLegacyNames: flag,
  unsafelyDisableHostnameVerification: flag,
  unsafelyDisableVerification: flag,
  ocsp: none,
  identities: ["empty list", "list of objects"],
  clientAuth: none,
  sendCaNames: flag,
  ocspResponse: ["bytes"],
  tickets: ["zero"],
  ticketKeys: none,
  sessionIdContext: ["text", "bytes"],
  sessionTimeout: none,
  maxSessionAge: none,
  maxEarlyData: ["zero"],
  selectContext: callback,
};

const connection = {
  bioPairSize: none,
  quietShutdown: flag,
  eofPolicy: none,
  onEvent: callback,
  trace: flag,
};

const common = {
  ...connection,
  openssl: none,
  context: none,
  signal: none,
  handshakeTimeout: moreThan0,
  closeTimeout: size,
  preventClose: flag,
};

/** What `hostName` takes for a name. */
const peer = { hostname: ["text"], serverName: ["text"] } as const;

function pick<T>(from: object, leave: readonly string[]): Fits<T> {
  return Object.fromEntries(Object.entries(from).filter(([name]) => !leave.includes(name))) as Fits<T>;
}

const serversAlone = [
  "identities",
  "clientAuth",
  "sendCaNames",
  "ocspResponse",
  "tickets",
  "ticketKeys",
  "sessionIdContext",
  "sessionTimeout",
  "maxSessionAge",
  "maxEarlyData",
  "selectContext",
] as const;
const clientsAlone = [
  "unsafelyAllowLegacyNames",
  "unsafelyDisableHostnameVerification",
  "unsafelyDisableVerification",
  "ocsp",
] as const;

type Of<T, Not extends PropertyKey> = Omit<T, Not>;
const clientContext: Fits<Of<ClientContextOptions, "openssl">> = pick(context, serversAlone);
const serverContext: Fits<Of<ServerContextOptions, "openssl">> = pick(context, clientsAlone);

const timeout: Fits<Timeout> = { timeout: size };
const pskFits: Fits<PreSharedKey> = { identity: ["text"], key: ["bytes"], hash: none };
const verifyFits: Fits<VerifyOptions> = {
  time: none,
  purpose: none,
  depth: ["zero"],
  partialChain: flag,
  crls: list,
  policies: ["list of texts"],
  flags: ["empty list", "list of texts"],
};
const identityFits: Fits<Identity> = { cert: data, key: data, pkcs12: anyBytes, passphrase: anyText };

interface Api {
  fits: Readonly<Record<string, readonly Value[]>>;
  call(options: object): unknown;
  /** How an error calls the option. */
  path?: string;
  /** What has to be there besides. */
  base?: object;
}

/** Every function with options, and each of its options. */
function apis(stream: TlsStream, openssl: OpenSsl): Record<string, Api> {
  const untouched = async (call: (transport: ReturnType<typeof pair>[0]) => Promise<unknown>) => {
    const [near] = pair();
    const error = await errorOf(() => call(near));
    if (near.readable.locked || near.writable.locked) throw new Error("the transport was touched");
    if (error) throw error;
  };
  const fitsOf = {
    startTls: {
      ...clientContext,
      ...peer,
      ...common,
      session: ["bytes"],
      sessionStore: none,
      sessionPartition: anyText,
      onNewSession: callback,
      earlyData: ["bytes"],
    } satisfies Fits<ClientOptions>,
    acceptTls: { ...serverContext, ...common, onEarlyData: callback } satisfies Fits<ServerOptions>,
    clientContext: { ...clientContext, openssl: none } satisfies Fits<ClientContextOptions>,
    serverContext: { ...serverContext, openssl: none } satisfies Fits<ServerContextOptions>,
    verifyChain: {
      ...verifyFits,
      leaf: data,
      intermediates: list,
      roots: list,
      hostname: ["text"],
      ip: none,
      email: anyText,
      unsafelyAllowLegacyNames: flag,
      securityLevel: ["zero"],
      openssl: none,
    } satisfies Fits<VerifyChainOptions>,
    connect: {
      ...clientContext,
      ...peer,
      ...connection,
      openssl: none,
      handshakeTimeout: moreThan0,
      session: ["bytes"],
    } satisfies Fits<ConnectOptions>,
    accept: {
      ...pick<Of<AcceptOptions, keyof typeof connection | "openssl" | "handshakeTimeout">>(serverContext, [
        "selectContext",
      ]),
      ...connection,
      openssl: none,
      handshakeTimeout: moreThan0,
    } satisfies Fits<AcceptOptions>,
  };
  const all: Record<string, Api> = {
    startTls: {
      fits: fitsOf.startTls,
      base: client(),
      call: (options) => untouched((transport) => startTls(transport, options as ClientOptions)),
    },
    acceptTls: {
      fits: fitsOf.acceptTls,
      base: server(),
      call: (options) => untouched((transport) => acceptTls(transport, options as ServerOptions)),
    },
    "TlsContext.client": { fits: fitsOf.clientContext, call: (options) => TlsContext.client(options) },
    "TlsContext.server": { fits: fitsOf.serverContext, call: (options) => TlsContext.server(options) },
    "psk of TlsContext.client": {
      fits: pskFits,
      path: "psk.",
      base: { identity: "me", key: new Uint8Array(32) },
      call: (psk) => TlsContext.client({ psk: psk as PreSharedKey }),
    },
    "verifyOptions of TlsContext.client": {
      fits: verifyFits,
      path: "verifyOptions.",
      call: (verifyOptions) => TlsContext.client({ verifyOptions }),
    },
    "identities of TlsContext.server": {
      fits: identityFits,
      path: "identities[1].",
      base: server(),
      call: (identity) => TlsContext.server({ identities: [server() as Identity, identity] }),
    },
    verifyChain: {
      fits: fitsOf.verifyChain,
      base: { leaf: env.certs.chains.ecdsa, roots: env.certs.caPem },
      call: (options) => verifyChain(options as VerifyChainOptions),
    },
    "shutdown()": {
      fits: { signal: none, timeout: size, maxDiscard: size } satisfies Fits<ShutdownOptions>,
      call: (options) => stream.shutdown(options),
    },
    "close()": {
      fits: { timeout: size } satisfies Fits<CloseOptions>,
      call: (options) => stream.close(options),
    },
    "OpenSsl.load": {
      fits: {
        source: ["text", "long text", "function", "bytes", "empty bytes", "other bytes", "buffer"],
      } satisfies Fits<LoadOptions>,
      call: (options) => OpenSsl.load(options),
    },
    MemorySessionStore: {
      fits: { max: none, maxPerKey: none } satisfies Fits<MemorySessionStoreOptions>,
      call: (options) => new MemorySessionStore(options),
    },
    IndexedDbSessionStore: {
      fits: { name: anyText, max: none } satisfies Fits<IndexedDbSessionStoreOptions>,
      call: (options) => new IndexedDbSessionStore(options),
    },
    DenoKvSessionStore: {
      fits: { prefix: anyText } satisfies Fits<DenoKvSessionStoreOptions>,
      call: (options) => new DenoKvSessionStore({ get() {}, set() {}, atomic() {} } as never, options),
    },
    RedisSessionStore: {
      fits: {
        connect: callback,
        prefix: anyText,
        password: anyText,
        username: anyText,
        database: ["zero"],
        timeout: moreThan0,
      } satisfies Fits<RedisSessionStoreOptions>,
      base: { connect: () => pair()[0] },
      call: (options) => new RedisSessionStore(options as RedisSessionStoreOptions),
    },
    messagePortTransport: {
      fits: { window: none } satisfies Fits<MessagePortOptions>,
      call: (options) => messagePortTransport(new MessageChannel().port1 as never, options),
    },
    webSocketTransport: {
      fits: {
        signal: none,
        maxBufferedAmount: size,
        maxUnread: size,
        closeTimeout: size,
      } satisfies Fits<WebSocketTransportOptions>,
      call: (options) => webSocketTransport({} as never, options),
    },
    connectWebSocket: {
      fits: {
        signal: none,
        maxBufferedAmount: size,
        maxUnread: size,
        closeTimeout: size,
        protocols: [...anyText, "empty list", "list of texts"],
        WebSocket: callback,
      } satisfies Fits<ConnectWebSocketOptions>,
      call: (options) => connectWebSocket("ws://127.0.0.1:1", options),
    },
    newChannel: {
      fits: { size: none } satisfies Fits<ChannelOptions>,
      call: (options) => newChannel(options),
    },
    carry: {
      fits: { signal: none } satisfies Fits<CarryOptions>,
      call: (options) => untouched(async (transport) => carry(newChannel(), transport, options)),
    },
    connect: {
      fits: fitsOf.connect,
      base: { ...client(), openssl },
      call: (options) => connect(undefined as never, options as ConnectOptions),
    },
    accept: {
      fits: fitsOf.accept,
      base: { ...server(), openssl },
      call: (options) => accept(undefined as never, options as AcceptOptions),
    },
  };
  // A page must not block, and is told so first.
  if (!env.page) {
    const free = new BlockingTransport(newChannel());
    all["read() of a BlockingTransport"] = {
      fits: timeout,
      call: (options) => free.read(new Uint8Array(1), options as Timeout),
    };
    all["write() of a BlockingTransport"] = {
      fits: timeout,
      call: (options) => free.write(new Uint8Array(1), options as Timeout),
    };
  }
  return all;
}

async function errorOf(call: () => unknown): Promise<TlsError | undefined> {
  try {
    await call();
  } catch (error) {
    return error as TlsError;
  }
  return undefined;
}

async function everything(): Promise<[string, Api][]> {
  const { client: stream } = await connected({}, {});
  return Object.entries(apis(stream, await OpenSsl.shared()));
}

QUnit.module("wrong options", () => {
  QUnit.test("each option × what it cannot be", async (assert) => {
    let tried = 0;
    for (const [name, { fits, call, base = {}, path = "" }] of await everything()) {
      for (const [option, fit] of Object.entries(fits)) {
        const wrong: string[] = [];
        for (const [what, value] of Object.entries(values)) {
          if (fit.includes(what as Value)) continue;
          tried++;
          const error = await errorOf(() => call({ ...base, [option]: value }));
          if (error?.code !== "invalid-argument" || !error.message.startsWith(`${path}${option}`)) {
            wrong.push(`${what}: ${error ?? "accepted"}`);
          }
        }
        assert.deepEqual(wrong, [], `${name}: ${option}`);
      }
    }
    assert.true(tried > 3_000, `${tried} were tried`);
  });

  QUnit.test("what is undefined is not there, nor is what stands beside by a symbol", async (assert) => {
    for (const [name, { fits, call, base = {} }] of await everything()) {
      if (["shutdown()", "close()", "connect", "accept", "verifyChain"].includes(name)) continue;
      const all = Object.fromEntries(Object.keys(fits).map((option) => [option, undefined]));
      const options = { ...all, ...base, nonsense: undefined, [Symbol("nonsense")]: 1 };
      if (/Tls$|WebSocket|read|write|carry|load|message|webSocket/.test(name)) continue;
      assert.strictEqual(await errorOf(() => call(options)), undefined, name);
    }
    const { client: near } = await connected(
      { cert: undefined!, context: undefined!, signal: undefined!, [Symbol("x")]: 1 },
      { psk: undefined!, caCerts: undefined!, openssl: undefined! },
    );
    assert.true(near.info.verified);
    const { leaf, roots } = { leaf: env.certs.chains.ecdsa, roots: env.certs.caPem };
    assert.true((await verifyChain({ leaf, roots, time: undefined, crls: undefined })).ok);
  });

  QUnit.test("an option that there is not is refused, and the nearest is named", async (assert) => {
    for (const [name, { call, base = {}, fits }] of await everything()) {
      for (const [wrong, near] of Object.keys(fits).map((option) => [option.slice(1), option] as const)) {
        if (wrong in fits || wrong.length < 3) continue;
        const error = await errorOf(() => call({ ...base, [wrong]: 1 }));
        assert.strictEqual(error?.code, "invalid-argument", `${name}: ${wrong}: ${error}`);
        assert.true(error!.message.includes(`${wrong} is no option of `), error!.message);
        assert.true(error!.message.endsWith(`: did you mean ${near}?`), error!.message);
      }
      const error = await errorOf(() => call({ ...base, zzzzzzzzzzzzzz: 1 }));
      assert.true(/^zzzzzzzzzzzzzz is no option of [^:]+$/.test(error?.message ?? ""), `${name}: ${error}`);
    }
  });

  QUnit.test("the names that others have for it are known", async (assert) => {
    const start = (options: object) => startTls(pair()[0], { ...client(), ...options });
    const take = (options: object) => acceptTls(pair()[0], { ...server(), ...options });
    const expected: [(options: object) => Promise<unknown>, string, string][] = [
      [start, "caCert", "caCerts"],
      [start, "minVerison", "minVersion"],
      [start, "MinVersion", "minVersion"],
      [start, "ca", "caCerts"],
      [start, "ALPNProtocols", "alpnProtocols"],
      [start, "alpn", "alpnProtocols"],
      [start, "servername", "serverName"],
      [start, "host", "hostname"],
      [start, "rejectUnauthorized", "unsafelyDisableVerification"],
      [start, "checkServerIdentity", "verify"],
      [start, "pfx", "pkcs12"],
      [start, "secureContext", "context"],
      [start, "sigalgs", "signatureAlgorithms"],
      [start, "ecdhCurve", "groups"],
      [start, "crl", "verifyOptions"],
      [start, "requestOCSP", "ocsp"],
      [take, "requestCert", "clientAuth"],
      [take, "SNICallback", "selectContext"],
      [take, "servername", "hostname"],
      [(options) => verifyChain({ leaf: "", roots: "", ...options }), "ca", "roots"],
      [(options) => verifyChain({ leaf: "", roots: "", ...options }), "cert", "leaf"],
    ];
    for (const [call, wrong, right] of expected) {
      const { message = "" } = (await errorOf(() => call({ [wrong]: 1 }))) ?? {};
      // A server has no name that it means to talk to.
      const hint = wrong === "servername" && call === take ? "" : `: did you mean ${right}?`;
      assert.true(message.includes(`${wrong} is no option of`) && message.includes(hint), message);
    }
    const mine = await errorOf(() => start({ clientAuth: "require" }));
    assert.strictEqual(mine?.message, "clientAuth is no option of startTls, but of acceptTls");
    const yours = await errorOf(() => take({ hostname: "localhost" }));
    assert.strictEqual(yours?.message, "hostname is no option of acceptTls, but of startTls");
  });

  QUnit.test("no options, or something else instead", async (assert) => {
    const [near] = pair();
    for (const options of [undefined, null, 7, "localhost", [], new Uint8Array(1), () => {}]) {
      for (const call of [
        () => startTls(near, options as never),
        () => acceptTls(near, options as never),
        () => TlsContext.client(options as never),
        () => verifyChain(options as never),
      ]) {
        const error = await errorOf(call);
        assert.strictEqual(error?.code, "invalid-argument", `${String(options)}: ${error}`);
      }
    }
    assert.false(near.readable.locked || near.writable.locked);
  });

  QUnit.test("a secret is not in the message", async (assert) => {
    const secret = "correct horse";
    for (const options of [
      { key: [secret] },
      { passphrase: [secret] },
      { psk: secret },
      { session: secret },
    ]) {
      const error = await errorOf(() => startTls(pair()[0], { ...client(), ...options } as never));
      assert.strictEqual(error?.code, "invalid-argument");
      assert.false(error!.message.includes(secret), error!.message);
    }
  });

  QUnit.test(
    "options of a class: getters, inherited ones, and what is the class's own affair",
    async (assert) => {
      class Settings {
        /** No option, and enumerable. */
        readonly file = "settings.json";
        readonly #trusted = env.certs.caPem;
        readonly sessionStore = false as const;
        get caCerts() {
          return this.#trusted;
        }
      }
      class Ours extends Settings {
        get hostname() {
          return "localhost";
        }
      }
      const [near, far] = pair();
      const both = await Promise.all([startTls(near, new Ours()), acceptTls(far, server())]);
      for (const end of both) afterTest(() => end.abort());
      assert.true(both[0].info.verified);
      const defaults = { ...client(), caCert: env.certs.caPem };
      const error = await errorOf(() => startTls(pair()[0], Object.create(defaults)));
      assert.true(/^caCert is no option/.test(error?.message ?? ""), `of plain defaults: ${error}`);
      const bare = Object.assign(Object.create(null), { ...client(), caCert: "" });
      assert.true(/^caCert is no/.test((await errorOf(() => startTls(pair()[0], bare)))?.message ?? ""));
    },
  );
});

QUnit.module("options that mean nothing, or no more than a handshake can carry", () => {
  QUnit.test("alpnProtocols: [] is none at all", async (assert) => {
    let seen: readonly string[] | undefined;
    const { client: near } = await connected(
      { alpnProtocols: [] },
      {
        alpnProtocols: [],
        selectContext(hello) {
          seen = hello.alpnProtocols;
          return undefined;
        },
      },
    );
    assert.deepEqual(seen, []);
    assert.strictEqual(near.info.alpnProtocol, undefined);
    const { client: other } = await connected({ alpnProtocols: ["h2"] }, { alpnProtocols: [] });
    assert.strictEqual(other.info.alpnProtocol, undefined);
  });

  QUnit.test("more names of authorities than a message carries, unless they are not sent", async (assert) => {
    const ca = await newKey();
    const authority = async (i: number) => {
      const name = commonName(`authority number ${i} of a very large company`);
      const parts = { issuer: name, subject: name, spki: ca.spki, signer: ca };
      return pem(await certificate({ ...parts, extensions: [basicConstraints(true)] }));
    };
    const all = await Promise.all(Array.from({ length: 1_200 }, (_, i) => authority(i)));
    const many = all.join("");
    const asks = { ...server(), clientAuth: "request", caCerts: [env.certs.caPem, many] } as const;
    const error = await errorOf(() => TlsContext.server(asks));
    assert.strictEqual(error?.code, "invalid-argument", String(error));
    assert.true(/sendCaNames/.test(error!.message), error!.message);
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const only = { minVersion: version, maxVersion: version };
      const { server: far } = await connected({ ...clientCert(), ...only }, { ...asks, sendCaNames: false });
      assert.true(far.info.verified, version);
    }
    // What is just not too many is taken by a client.
    const few = all.slice(0, 840).join("");
    const { server: far } = await connected(clientCert(), { ...asks, caCerts: [env.certs.caPem, few] });
    assert.true(far.info.verified);
  });

  QUnit.test("trust options where no certificate is asked for", async (assert) => {
    const { caPem } = env.certs;
    for (const options of [{ caCerts: caPem }, { verify: () => true }, { verifyOptions: { depth: 1 } }]) {
      const error = await errorOf(() => TlsContext.server({ ...server(), ...options }));
      const [name] = Object.keys(options);
      assert.strictEqual(error?.message.split(" ")[0], name, String(error));
      assert.true(/clientAuth/.test(error!.message), error!.message);
      // Said in so many words it is meant.
      const stated = await TlsContext.server({ ...server(), ...options, clientAuth: "none" });
      stated.free();
    }
  });
});
