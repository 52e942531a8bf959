/** What is done while memory runs out: each says what it came to, which must be the same as without, or an error. */
import { readFileSync } from "node:fs";
import {
  acceptTls,
  type ClientOptions,
  type OpenSsl,
  type ServerContextOptions,
  type ServerOptions,
  startTls,
  TlsContext,
  type TlsStream,
  type VerifyResult,
  verifyChain,
} from "wassl";
import { pair } from "../fakes/pair.ts";
import { readAtLeast, text, utf8, write } from "../helpers/basics.ts";
import { client, clientCert, server } from "../helpers/both-ends.ts";
import { cryptoKey, P256 } from "../helpers/crypto-keys.ts";
import { env } from "../helpers/env.ts";
import type { CertFiles } from "../peers/certs.ts";
import type { ChainCase } from "../peers/chain-cases.ts";

export interface Scenario {
  readonly name: string;
  /**
   * What it comes to. `victim` is the instance whose allocations fail, `clean` another one. A rejection is an answer
   * too if it says so itself: see `refused`.
   */
  run(victim: OpenSsl, clean: OpenSsl): Promise<string>;
  /** What it comes to by itself. */
  readonly expected?: RegExp;
  /** What it may come to as well when memory runs out. */
  readonly orElse?: RegExp;
  /** It is a judgement: no other error but "out-of-memory" may stand for it. */
  readonly verdict?: boolean;
}

/** Beside what env has: where the keys of all certificates are, and a session. */
export const world = {} as { certs: CertFiles; session: Uint8Array };

const base64 = (data: string) => Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
const versions = ["TLSv1.2", "TLSv1.3"] as const;

// ---- handshakes --------------------------------------------------------------------------------------------------

interface Settings {
  client?: Partial<ClientOptions>;
  server?: Partial<ServerOptions>;
}

type Made = Settings | ((victim: OpenSsl, clean: OpenSsl) => Settings | Promise<Settings>);

function told(stream: TlsStream): string {
  const { protocol, cipher, verified, sessionReused, earlyData, alpnProtocol, peerCertificates, group } =
    stream.info;
  const peer = peerCertificates.map((x) => `${x.subject} ${x.sha256Fingerprint.slice(0, 11)}`);
  return JSON.stringify({ protocol, cipher, group, verified, sessionReused, earlyData, alpnProtocol, peer });
}

/** What the victim's end came to. Bytes go both ways, and both close. */
async function connection(
  role: "client" | "server",
  victim: OpenSsl,
  clean: OpenSsl,
  settings: Settings,
): Promise<string> {
  const [near, far] = pair();
  const openssl = { client: role === "client" ? victim : clean, server: role === "server" ? victim : clean };
  const given = settings.server?.context ? {} : server();
  const common = { handshakeTimeout: 1000 };
  const mine = startTls(near, {
    ...client(),
    sessionStore: false,
    openssl: openssl.client,
    ...common,
    ...settings.client,
  });
  const theirs = acceptTls(far, { ...given, openssl: openssl.server, ...common, ...settings.server });
  const [own, other] = role === "client" ? [mine, theirs] : [theirs, mine];
  other.catch(() => {});
  const ends: TlsStream[] = [];
  try {
    const stream = await own;
    ends.push(stream);
    const answer = told(stream);
    const peer = await other;
    ends.push(peer);
    await Promise.all([write(stream.writable, utf8("hello")), readAtLeast(peer.readable, 5)]);
    await write(peer.writable, utf8("and hello to you"));
    if (text(await readAtLeast(stream.readable, 16)) !== "and hello to you") return "other bytes came";
    if (settings.client?.keylog) stream.exportKeyingMaterial("EXPERIMENTAL faults", 32);
    await stream.closeWrite();
    await Promise.all([stream.shutdown({ timeout: 500 }), peer.shutdown({ timeout: 500 })]);
    return answer;
  } finally {
    for (const end of ends) end.abort();
    await other.then(
      (end) => end.abort(),
      () => {},
    );
  }
}

/** Of a connection that must not come to be: its end, or the error. */
async function refusal(...args: Parameters<typeof connection>): Promise<string> {
  const answer = await connection(...args).catch((error) => {
    if (["certificate", "alert", "protocol", "callback"].includes(error.code)) return "refused";
    throw error;
  });
  return answer;
}

const bothRoles = ["client", "server"] as const;

function* handshakes(
  name: string,
  made: Made,
  bad = false,
  { orElse, roles = bothRoles }: { orElse?: RegExp; roles?: readonly (typeof bothRoles)[number][] } = {},
): Generator<Scenario> {
  for (const version of versions) {
    const only = { minVersion: version, maxVersion: version } as const;
    for (const role of roles) {
      yield {
        name: `${bad ? "refused" : "accepted"}: ${version}, ${role}, ${name}`,
        ...(orElse && { orElse }),
        ...(bad && { expected: /^refused$/ }),
        async run(victim, clean) {
          const ends = role === "client" ? ([victim, clean] as const) : ([clean, victim] as const);
          const settings = typeof made === "function" ? await made(...ends) : made;
          try {
            return await (bad ? refusal : connection)(role, victim, clean, {
              client: { ...only, ...settings.client },
              // What a context has settled is not said again.
              server: settings.server?.context ? settings.server : { ...only, ...settings.server },
            });
          } finally {
            settings.server?.context?.free();
          }
        },
      };
    }
  }
}

const asks = () => ({ clientAuth: "require", caCerts: env.certs.caPem }) as const;
const ocsp = (name: keyof typeof env.certs.ocsp) => ({ ocspResponse: base64(env.certs.ocsp[name]) });
const onlyPsk = "PSK-AES128-GCM-SHA256";
const psk = { identity: "sensor 7", key: new Uint8Array(32).fill(5) };
const shows = (leaf: "expired" | "untrusted" | "selfSigned" | "client") => ({
  cert: env.certs.chains[leaf],
  key: readFileSync(world.certs.file(leaf, "key"), "utf8"),
});

function* allHandshakes(): Generator<Scenario> {
  yield* handshakes("ECDSA", {
    client: { alpnProtocols: ["h2"], keylog() {} },
    server: { alpnProtocols: ["h2"] },
  });
  yield* handshakes("RSA", { server: { cert: env.certs.chains.rsa, key: env.certs.keys.rsa } });
  yield* handshakes("groups", { client: { groups: "X25519:secp256r1" }, server: { groups: "secp256r1" } });
  yield* handshakes("mutual", () => ({ client: clientCert(), server: asks() }));
  yield* handshakes("several identities", () => ({
    client: { identities: [shows("untrusted"), clientCert()] },
    server: asks(),
  }));
  yield* handshakes("PKCS #12", () => ({
    client: { pkcs12: base64(env.certs.clientP12), passphrase: "secret" },
    server: asks(),
  }));
  yield* handshakes("an OCSP response", () => ({ client: { ocsp: "require" }, server: ocsp("good") }));
  yield* handshakes("revocation lists", () => ({
    client: { verifyOptions: { crls: [env.certs.crls.ca, env.certs.crls.intermediate] } },
  }));
  yield* handshakes("verify", { client: { verify: () => true } });
  yield* handshakes("a selected context", () => ({ server: { selectContext: () => server() } }));
  yield* handshakes("a key in WebCrypto", async () => ({ server: { key: await cryptoKey("ecdsa", P256) } }));
  yield* handshakes("PSK", async (_client, openssl) => {
    const common = { psk, ciphers: onlyPsk };
    return { client: common, server: { context: await TlsContext.server({ ...common, openssl }) } };
  });

  const wrongName = { client: { hostname: "elsewhere.wassl.test" } };
  yield* handshakes("a wrong name", wrongName, true);
  yield* handshakes("a wrong IP address", { client: { hostname: "127.0.0.2" } }, true);
  for (const [whose, verify] of [
    ["", undefined],
    [", and verify says yes, which overrides nothing", () => true],
  ] as const) {
    yield* handshakes(
      `a server of another CA${whose}`,
      () => ({ client: { caCerts: env.certs.otherCaPem, ...(verify && { verify }) } }),
      true,
      { roles: ["client"] },
    );
  }
  for (const leaf of ["expired", "untrusted", "selfSigned", "client"] as const)
    yield* handshakes(`shows ${leaf}`, () => ({ server: shows(leaf) }), true);
  yield* handshakes(
    "revoked by a list",
    () => ({ client: { verifyOptions: { crls: [env.certs.crls.ca, env.certs.crls.revokesEcdsa] } } }),
    true,
  );
  yield* handshakes("no list", () => ({ client: { verifyOptions: { crls: [env.certs.crls.ca] } } }), true);
  for (const name of ["revoked", "unknown", "byAnother"] as const)
    yield* handshakes(`OCSP: ${name}`, () => ({ client: { ocsp: "require" }, server: ocsp(name) }), true);
  for (const [name, each] of Object.entries(env.forged.revocation.ocsp)) {
    const { chain, key, roots, response, soft, time, partialChain } = each;
    yield* handshakes(
      `OCSP by hand: ${name}`,
      {
        client: {
          caCerts: roots,
          ocsp: "soft",
          verifyOptions: {
            ...(time !== undefined && { time: new Date(time) }),
            ...(partialChain && { partialChain }),
          },
        },
        server: { cert: chain, key, ...(response && { ocspResponse: base64(response) }) },
      },
      soft !== "ok",
      { roles: ["client"] },
    );
  }
  yield* handshakes("refused by verify", { client: { verify: () => false } }, true);
  yield* handshakes("no certificate of the client", () => ({ server: asks() }), true);
  yield* handshakes(
    "a client of another CA",
    () => ({ client: clientCert(), server: { clientAuth: "require", caCerts: env.certs.otherCaPem } }),
    true,
  );
  yield* handshakes(
    "another PSK",
    {
      client: { psk, ciphers: onlyPsk },
      server: { psk: { ...psk, key: new Uint8Array(32) }, ciphers: onlyPsk },
    },
    true,
  );
}

/** The session of a connection between these. */
async function sessionOf(options: ClientOptions, context: TlsContext): Promise<Uint8Array | undefined> {
  const [near, far] = pair();
  const [one, other] = await Promise.all([
    startTls(near, { ...options, sessionStore: false, handshakeTimeout: 1000 }),
    acceptTls(far, { context, handshakeTimeout: 1000 }),
  ]);
  try {
    await write(other.writable, utf8("."));
    await readAtLeast(one.readable, 1);
    const session = one.getSession();
    // A session that allows early data is in the server's cache, and a connection that is given up removes it.
    await Promise.all([one.shutdown({ timeout: 500 }), other.shutdown({ timeout: 500 })]);
    return session;
  } finally {
    one.abort();
    other.abort();
  }
}

/** A session of an earlier connection; a full handshake will do as well. */
function* resumptions(): Generator<Scenario> {
  for (const version of versions) {
    for (const role of bothRoles) {
      for (const early of version === "TLSv1.3" ? [false, true] : [false]) {
        yield {
          name: `accepted: ${version}, ${role}, ${early ? "early data" : "a session"}`,
          expected: early ? /"earlyData":"accepted"/ : /"sessionReused":true/,
          orElse: /"verified":(true|false),"sessionReused":false/,
          async run(victim, clean) {
            const openssl = role === "server" ? victim : clean;
            const only = { minVersion: version, maxVersion: version } as const;
            using context = await TlsContext.server({
              ...server(),
              ...only,
              ...asks(),
              openssl,
              ...(early && { maxEarlyData: 1024 }),
            });
            const mine = { ...only, ...clientCert() };
            const own = { ...client(), ...mine, openssl: role === "client" ? victim : clean };
            const session = await sessionOf(own, context);
            let seen = "";
            const answer = await connection(role, victim, clean, {
              client: { ...mine, ...(session && { session }), ...(early && { earlyData: utf8("early") }) },
              server: {
                context,
                ...(early && {
                  onEarlyData(data) {
                    seen += text(data);
                  },
                }),
              },
            });
            return answer + (early && answer.includes('"accepted"') ? seen : "");
          },
        };
      }
    }
  }
}

/** A session of an earlier connection, whose peer would be refused now: it lets no peer in. `clean` made it. */
function* outlived(): Generator<Scenario> {
  const { otherCaPem, crls } = env.certs;
  const revoked = { verifyOptions: { crls: [crls.ca, crls.revokesEcdsa] } };
  type Later = { readonly client?: Partial<ClientOptions>; readonly server?: Partial<ServerContextOptions> };
  const cases: Record<string, { first?: Later; now: Later; role: "client" | "server"; good?: boolean }> = {
    "nothing else": { now: {}, role: "client", good: true },
    "nothing else, of a client": { now: {}, role: "server", good: true },
    "another name": { now: { client: { hostname: "elsewhere.wassl.test" } }, role: "client" },
    "another CA": { now: { client: { caCerts: otherCaPem } }, role: "client" },
    "a revocation": { now: { client: revoked }, role: "client" },
    "no override any more": {
      first: { client: { caCerts: otherCaPem, verify: () => true, unsafelyLetVerifyOverride: true } },
      now: { client: { caCerts: otherCaPem } },
      role: "client",
    },
    "another CA of clients": { now: { server: { caCerts: otherCaPem } }, role: "server" },
    "nobody asked for a certificate": {
      first: { client: { cert: undefined!, key: undefined! }, server: { clientAuth: "none" } },
      now: { client: { cert: undefined!, key: undefined! } },
      role: "server",
    },
  };
  const ticketKeys = [new Uint8Array(80).fill(7)];
  for (const version of versions) {
    const only = { minVersion: version, maxVersion: version } as const;
    for (const [name, { first = {}, now, role, good }] of Object.entries(cases)) {
      const contextOf = (openssl: OpenSsl, { server: more }: Later) =>
        TlsContext.server({
          ...server(),
          ...only,
          ...asks(),
          ...{ ticketKeys, sessionIdContext: "faults", openssl },
          ...more,
        });
      const own = { ...client(), ...only, ...clientCert() };
      yield {
        name: `${good ? "accepted" : "refused"}: ${version}, ${role}, a session, then ${name}`,
        ...(good && { orElse: /"sessionReused":false/ }),
        expected: good ? /"sessionReused":true/ : /^refused$/,
        async run(victim, clean) {
          using before = await contextOf(clean, first);
          const session = await sessionOf({ ...own, ...first.client, openssl: clean }, before);
          if (session === undefined) throw new Error("there is no session");
          using context = await contextOf(role === "server" ? victim : clean, now);
          return await (good ? connection : refusal)(role, victim, clean, {
            client: { ...own, ...now.client, session },
            server: { context },
          });
        },
      };
    }
  }
}

// ---- judgements --------------------------------------------------------------------------------------------------

const named = (name: string) => env.chains.pem[name]!;

function* verdicts(): Generator<Scenario> {
  for (const [name, each] of Object.entries(env.chains.cases)) yield verdict(name, each);
  for (const [name, { leaf, intermediates, roots, crls, flags }] of Object.entries(
    env.forged.revocation.crls,
  )) {
    const options = { leaf, intermediates, roots, crls, flags: flags as never[] };
    yield judgement(`a list by hand: ${name}`, (openssl) => verifyChain({ ...options, openssl }));
  }
  // Whatever became of the look at the one, the other is what it is.
  for (const [name, { look, want, roots, lookRoots = roots }] of Object.entries(env.forged.chains)) {
    yield judgement(`a forgery: ${name}`, async (openssl) => {
      const verify = (chain: string, roots: string) => {
        const [leaf, ...intermediates] = chain.match(/-----BEGIN.*?-----END CERTIFICATE-----/gs) as string[];
        return verifyChain({ openssl, leaf: leaf!, intermediates, roots });
      };
      await verify(look, lookRoots).catch(() => {});
      return verify(want, roots);
    });
  }
}

function judgement(name: string, judge: (openssl: OpenSsl) => Promise<VerifyResult>): Scenario {
  return {
    name: `verdict: ${name}`,
    verdict: true,
    async run(openssl) {
      const result = await judge(openssl);
      const failures = result.ok ? [] : result.failures.map(({ error, depth }) => [error, depth]);
      return JSON.stringify([result.ok, failures, result.chain.map((x) => x.subject)]);
    },
  };
}

function verdict(name: string, each: ChainCase): Scenario {
  const { leaf, intermediates = [], roots, crls, time, purpose, flags, path: _path, ...more } = each;
  // Which is not in its type: what `openssl verify` came to.
  const { cli: _cli, ...rest } = more as typeof more & { cli?: unknown };
  return judgement(name, (openssl) =>
    verifyChain({
      ...rest,
      openssl,
      leaf: named(leaf),
      intermediates: intermediates.map(named),
      roots: roots.map(named),
      ...(crls && { crls: crls.map(named) }),
      ...(time !== undefined && { time: new Date(time * 1000) }),
      ...(purpose && { purpose: purpose as "sslserver" }),
      ...(flags && { flags: flags as never[] }),
    }),
  );
}

// ---- what is read and told ---------------------------------------------------------------------------------------

function* readings(): Generator<Scenario> {
  yield {
    name: "reading: certificates, and what they say",
    verdict: true,
    async run(openssl) {
      return JSON.stringify(
        openssl
          .parseCertificates(env.certs.chains.rsa)
          .map((x) => [
            ...[x.subject, x.issuer, x.subjectAltName, x.serialNumber, x.notBefore, x.notAfter, x.publicKey],
            ...[x.pem, x.sha256Fingerprint, x.sha1Fingerprint],
          ]),
      );
    },
  };
  for (const kind of ["ecdsa", "rsa"] as const) {
    for (const key of [env.certs.keys[kind], base64(env.certs.pkcs8[kind])]) {
      yield {
        name: `reading: a key, ${kind}, ${typeof key === "string" ? "PEM" : "DER"}`,
        async run(openssl) {
          using context = openssl.newContext("server");
          context.useCertificateChain(env.certs.chains[kind]);
          context.usePrivateKey(key);
          return "read";
        },
      };
    }
  }
  yield {
    name: "reading: PKCS #12",
    async run(openssl) {
      using context = openssl.newContext("client");
      context.usePkcs12(base64(env.certs.clientP12), "secret");
      return "read";
    },
  };
  yield {
    name: "reading: a session, and writing it",
    verdict: true,
    async run(openssl) {
      using session = openssl.parseSession(world.session);
      const bytes = session.toBytes();
      return JSON.stringify([
        session.getProtocolVersion(),
        session.isResumable(),
        session.getPeerCertificate()?.subject,
        bytes.length === world.session.length && bytes.every((byte, i) => byte === world.session[i]),
      ]);
    },
  };
}

export function* scenarios(): Generator<Scenario> {
  yield* allHandshakes();
  yield* resumptions();
  yield* outlived();
  yield* verdicts();
  yield* readings();
}
