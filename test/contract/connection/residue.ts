/** When a connection, a context or a session ends, nothing of its secrets stays in linear memory. */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  type OpenSsl,
  type ServerOptions,
  startTls,
  TlsContext,
  type TlsStream,
} from "wassl";
import * as ssl from "wassl/openssl";
import { pair } from "../../fakes/pair.ts";
import { readAtLeast, tlsError, utf8, write } from "../../helpers/basics.ts";
import { client, clientCert, server } from "../../helpers/both-ends.ts";
import { cryptoKey, P256 } from "../../helpers/crypto-keys.ts";
import { settled } from "../../helpers/damage.ts";
import { env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";
import { Watch } from "../../helpers/residue.ts";

let compiled: Promise<WebAssembly.Module> | undefined;

async function compile(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await (await fetch(`${env.origin}/openssl.wasm`)).arrayBuffer());
}

const base64 = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const der = (pem: string) => base64(pem.replace(/-----[^-]+-----|\s/g, ""));
const hex = (text: string) => Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));

interface Settings {
  client?: Partial<ClientOptions>;
  server?: Partial<ServerOptions>;
}

interface Case {
  readonly watch: Watch;
  readonly openssl: OpenSsl;
}

interface Ends {
  client: TlsStream;
  server: TlsStream;
}

type Run = (the: Case) => Promise<void>;

const small = utf8(`a line that nobody else may read: ${"s".repeat(20)}`);
const large = randomBytes(70_000, 7);

/** What both ends of a connection come to, which is with a key log. */
async function meet({ watch, openssl }: Case, settings: Settings) {
  const keylog = (line: string) => {
    const [label, , secret] = line.split(" ") as [string, string, string];
    watch.secret(label, hex(secret));
  };
  const [near, far] = pair();
  const both = { openssl, keylog };
  const log = (end: object | undefined) => (end && "context" in end ? { openssl } : both);
  return Promise.allSettled([
    startTls(near, { ...client(), sessionStore: false, ...log(settings.client), ...settings.client }),
    acceptTls(far, {
      ...(settings.server?.context ? {} : server()),
      ...log(settings.server),
      ...settings.server,
    }),
  ]);
}

async function connect(the: Case, settings: Settings): Promise<Ends> {
  const [client, server] = await meet(the, settings);
  if (client.status === "rejected") throw client.reason;
  if (server.status === "rejected") throw server.reason;
  return { client: client.value, server: server.value };
}

/** Data both ways, of one record and of several. */
async function talk({ watch }: Case, { client, server }: Ends): Promise<void> {
  watch.secret("a small write", small);
  watch.secret("a large write", large);
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    for (const data of [large, small])
      await Promise.all([write(from.writable, data), readAtLeast(to.readable, data.length)]);
  }
  for (const end of [client, server])
    watch.secret("what was exported", end.exportKeyingMaterial("EXPERIMENTAL residue", 48));
}

async function close({ client, server }: Ends): Promise<void> {
  await client.closeWrite();
  await Promise.all([server.shutdown(), client.shutdown()]);
}

/** Connects, talks, and closes or aborts. */
const succeeds =
  (settings: Settings, end: "closes" | "aborts" = "closes"): Run =>
  async (the) => {
    const ends = await connect(the, settings);
    await talk(the, ends);
    if (end === "closes") await close(ends);
    ends.client.abort();
    ends.server.abort();
  };

const fails =
  (settings: Settings): Run =>
  async (the) => {
    const ends = await meet(the, settings);
    if (ends.every(({ status }) => status === "fulfilled")) {
      // In TLS 1.3 a client is done before the server looks at its certificate.
      throw new Error("the handshake should have failed");
    }
    for (const end of ends) if (end.status === "fulfilled") end.value.abort();
  };

/** The master secret, or in TLS 1.3 the one for resumption: the fifth field (ssl/ssl_asn1.c). */
function masterSecret(session: Uint8Array): Uint8Array {
  let at = session[1]! < 0x80 ? 2 : 2 + (session[1]! & 0x7f);
  for (let field = 0; field < 4; field++) at += 2 + session[at + 1]!;
  if (session[at] !== 4) throw new Error("no session");
  return session.subarray(at + 2, at + 2 + session[at + 1]!);
}

const versions = ["TLSv1.2", "TLSv1.3"] as const;

/** In both versions. */
function inBoth(run: (settings: Settings) => Run, { client, server }: Settings, both: object = {}): Run[] {
  return versions.map((version) => {
    const common = { minVersion: version, maxVersion: version, ...both };
    return run({ client: { ...common, ...client }, server: { ...common, ...server } });
  });
}

const rsa = () => ({ cert: env.certs.chains.rsa, key: env.certs.keys.rsa });
const asks = () => ({ clientAuth: "require", caCerts: env.certs.caPem }) as const;

const cases: Record<string, () => Run[] | Promise<Run[]>> = {
  "a full handshake": () => inBoth(succeeds, {}),
  "an RSA key": () => inBoth(succeeds, { server: rsa() }),
  "a key in DER": () => inBoth(succeeds, { server: { key: base64(env.certs.pkcs8.ecdsa) } }),
  "a client's certificate": () => inBoth(succeeds, { client: clientCert(), server: asks() }),
  "PKCS #12": () =>
    inBoth(succeeds, {
      client: { pkcs12: base64(env.certs.clientP12), passphrase: "secret" },
      server: asks(),
    }),
  "the groups": () =>
    ["X25519", "secp384r1", "secp521r1", "X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"].flatMap(
      // The last one for TLS 1.2 and the certificate's key.
      (group) => inBoth(succeeds, {}, { groups: `${group}:secp256r1` }),
    ),
  "key exchanges of TLS 1.2": () =>
    ["AES128-GCM-SHA256", "AES256-SHA256"].map((ciphers) => {
      const common = { maxVersion: "TLSv1.2", ciphers } as const;
      return succeeds({ client: common, server: { ...common, ...rsa() } });
    }),
  ciphers: () =>
    [
      { cipherSuites: "TLS_AES_256_GCM_SHA384", ciphers: "ECDHE-ECDSA-AES128-SHA256" },
      { cipherSuites: "TLS_AES_128_GCM_SHA256", ciphers: "ECDHE-ECDSA-AES256-CCM" },
    ].flatMap((both) => inBoth(succeeds, {}, both)),
  "a pre-shared key": () => {
    const psk = { identity: "sensor 7", key: randomBytes(32, 11) };
    const ciphers = "PSK-AES128-GCM-SHA256:ECDHE-PSK-CHACHA20-POLY1305";
    return versions.map((version) => async (the) => {
      the.watch.secret("the pre-shared key", psk.key);
      const common = { psk, ciphers, openssl: the.openssl, minVersion: version, maxVersion: version };
      using context = await TlsContext.server(common);
      await succeeds({ client: common, server: { context } })(the);
    });
  },
  "a key in WebCrypto": async () => inBoth(succeeds, { server: { key: await cryptoKey("ecdsa", P256) } }),
  "a selected context": () => inBoth(succeeds, { server: { selectContext: rsa } }),
  "a question about the peer": () => inBoth(succeeds, { client: { verify: () => true } }),
  "connections that are aborted": () => inBoth((settings) => succeeds(settings, "aborts"), {}),
  "a wrong name": () => inBoth(fails, { client: { hostname: "elsewhere.wassl.test" } }),
  "a peer that is refused": () => inBoth(fails, { client: { verify: () => false } }),
  "no group in common": () =>
    inBoth(fails, { client: { groups: "X25519" }, server: { groups: "secp384r1" } }),
  "no certificate of a client": () => inBoth(fails, { server: asks() }),
  "a passphrase that is wrong": () => [
    async (the) => {
      const passphrase = "a passphrase that is wrong";
      the.watch.secret("the passphrase", utf8(passphrase));
      const options = { openssl: the.openssl, pkcs12: base64(env.certs.clientP12), passphrase };
      const error = await tlsError(TlsContext.client(options));
      if (error.code !== "invalid-argument") throw error;
    },
  ],
  "sessions, and early data": () =>
    versions.map((version) => async (the) => {
      const { watch, openssl } = the;
      const ticketKey = randomBytes(80, 13);
      watch.secret("a ticket key", ticketKey.subarray(16));
      const common = { openssl, minVersion: version, maxVersion: version };
      using one = await TlsContext.server({ ...server(), ...common, maxEarlyData: 16_384 });
      using other = await TlsContext.server({ ...server(), ...common, ticketKeys: [ticketKey] });
      for (const context of [one, other]) {
        let session: Uint8Array | undefined;
        for (let round = 0; round < 3; round++) {
          const settings: Settings = {
            client: { ...common, ...(session && { session }) },
            server: { context },
          };
          if (session && context === one) {
            const earlyData = utf8(`early, ${"e".repeat(40)}`);
            watch.secret("early data", earlyData);
            settings.client!.earlyData = earlyData;
            settings.server!.onEarlyData = (_data, reply) => reply(earlyData);
          }
          const ends = await connect(the, settings);
          if (ends.client.info.sessionReused !== round > 0) throw new Error(`round ${round}: not resumed`);
          await talk(the, ends);
          session = ends.client.getSession()!;
          watch.secret("a session's master secret", masterSecret(session));
          await close(ends);
        }
      }
    }),
  "what comes behind close_notify": () =>
    inBoth(
      (settings) => async (the) => {
        const ends = await connect(the, settings);
        await talk(the, ends);
        await ends.client.closeWrite();
        const [mine, theirs] = await Promise.all([ends.client.shutdown(), ends.server.shutdown()]);
        await Promise.all([
          write(theirs.transport.writable, small),
          readAtLeast(mine.transport.readable, small.length),
        ]);
      },
      {},
    ),
  DTLS: () => [datagrams],
};

const datagrams: Run = async ({ watch, openssl }) => {
  const ends = (["client", "server"] as const).map((role) => {
    const context = openssl.newContext(`dtls-${role}`);
    context.setKeylog(true);
    if (role === "client") context.addCaCert(env.certs.caPem);
    else {
      context.useCertificateChain(env.certs.chains.ecdsa);
      context.usePrivateKey(env.certs.keys.ecdsa);
    }
    const pair = openssl.newDatagramPair();
    const connection = context.newSsl(pair);
    connection.setMtu(1400);
    if (role === "client") connection.setConnectState();
    else connection.setAcceptState();
    return { context, pair, ssl: connection };
  }) as [End, End];
  const datagram = new Uint8Array(16_384);
  const carry = () => {
    for (const [from, to] of [ends, ends.toReversed()] as [End, End][]) {
      for (let n = from.pair.readDatagram(datagram); n > 0; n = from.pair.readDatagram(datagram))
        to.pair.writeDatagram(datagram.subarray(0, n));
    }
  };
  for (let i = 0; i < 10; i++) {
    for (const end of ends) end.ssl.tryHandshake();
    carry();
  }
  const [near, far] = ends;
  watch.secret("a datagram", small);
  if (near.ssl.tryWrite(small) !== small.length) throw new Error("the handshake does not get on");
  carry();
  if (far.ssl.tryRead(datagram) !== small.length) throw new Error("nothing came");
  watch.secret("what was exported", near.ssl.exportKeyingMaterial("EXPERIMENTAL residue", 48));
  for (const { ssl, pair, context } of ends) {
    for (const event of ssl.takeEvents())
      if (event.type === "keylog") watch.secret("key log", hex(event.line.split(" ")[2]!));
    ssl.free();
    pair.free();
    context.free();
  }
};

interface End {
  context: ssl.SslContext;
  pair: ssl.BioPair;
  ssl: ssl.Ssl;
}

async function begin(watch: Watch): Promise<Case> {
  const { chains, caPem, keys, pkcs8 } = env.certs;
  for (const pem of [...Object.values(chains), caPem])
    for (const block of pem.match(/-----BEGIN CERT[\s\S]*?-----END CERTIFICATE-----/g) ?? [])
      watch.known(der(block));
  for (const [of, key] of Object.entries(keys)) {
    watch.secret(`the key of ${of}`, der(key));
    watch.secret(`the key of ${of}, PEM`, utf8(key).subarray(30, 200));
  }
  for (const [of, key] of Object.entries(pkcs8)) watch.secret(`the key of ${of}, PKCS #8`, base64(key));
  compiled ??= compile();
  return { watch, openssl: ssl.OpenSsl.loadSync(await compiled) };
}

QUnit.module("secrets in linear memory", () => {
  QUnit.test("are found where they are", async (assert) => {
    using watch = new Watch();
    const the = await begin(watch);
    const ends = await connect(the, {});
    await talk(the, ends);
    const found = new Set(watch.residue(the.openssl));
    for (const what of ["CLIENT_TRAFFIC_SECRET_0", "EXPORTER_SECRET", "a large write", "the key of ecdsa"])
      assert.true(found.has(what), what);
    ends.client.abort();
    ends.server.abort();
  });

  for (const [name, made] of Object.entries(cases)) {
    QUnit.test(`${name}: nothing stays`, async (assert) => {
      for (const [i, run] of (await made()).entries()) {
        using watch = new Watch();
        const the = await begin(watch);
        await run(the);
        await settled(the.openssl);
        assert.true(watch.count > 12, `${watch.count} secrets`);
        assert.deepEqual(watch.residue(the.openssl), [], `${name}, ${i}`);
        assert.strictEqual(watch.onStack, 0, "bytes on the stack");
      }
    });
  }
});
