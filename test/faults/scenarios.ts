/** What is done while memory runs out: each says what it came to, which must be the same as without, or an error. */
import { readFileSync } from "node:fs";
import {
  acceptTls,
  type ClientOptions,
  type OpenSsl,
  type ServerOptions,
  startTls,
  TlsContext,
  type TlsStream,
  verifyChain,
} from "wassl";
import { client, clientCert, server } from "../contract/both-ends.ts";
import { cryptoKey, P256 } from "../contract/crypto-keys.ts";
import { env } from "../contract/env.ts";
import { readAtLeast, text, utf8, write } from "../contract/helpers.ts";
import { pair } from "../fakes/pair.ts";
import type { CertFiles } from "../peers/certs.ts";
import type { ChainCase } from "../peers/chain-cases.ts";

export interface Scenario {
  readonly name: string;
  /**
   * What it comes to. `victim` is the instance whose allocations fail, `clean` another one. A rejection is an answer too if it
   * says so itself: see `refused`.
   */
  run(victim: OpenSsl, clean: OpenSsl): Promise<string>;
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

function* handshakes(name: string, made: Made, bad = false, orElse?: RegExp): Generator<Scenario> {
  for (const version of versions) {
    const only = { minVersion: version, maxVersion: version } as const;
    for (const role of ["client", "server"] as const) {
      yield {
        name: `${bad ? "refused" : "accepted"}: ${version}, ${role}, ${name}`,
        ...(orElse && { orElse }),
        async run(victim, clean) {
          const ends = role === "client" ? ([victim, clean] as const) : ([clean, victim] as const);
          const settings = typeof made === "function" ? await made(...ends) : made;
          return (bad ? refusal : connection)(role, victim, clean, {
            client: { ...only, ...settings.client },
            server: { ...only, ...settings.server },
          });
        },
      };
    }
  }
}

const asks = () => ({ clientAuth: "require", caCerts: env.certs.caPem }) as const;
const ocsp = (name: keyof typeof env.certs.ocsp) => ({ ocspResponse: base64(env.certs.ocsp[name]) });
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
    const common = { psk, ciphers: "PSK-AES128-GCM-SHA256" };
    return { client: common, server: { context: await TlsContext.server({ ...common, openssl }) } };
  });

  const wrongName = { client: { hostname: "elsewhere.wassl.test" } };
  yield* handshakes("a wrong name", wrongName, true);
  yield* handshakes("a wrong IP address", { client: { hostname: "127.0.0.2" } }, true);
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
  yield* handshakes("refused by verify", { client: { verify: () => false } }, true);
  yield* handshakes("no certificate of the client", () => ({ server: asks() }), true);
  yield* handshakes(
    "a client of another CA",
    () => ({ client: clientCert(), server: { clientAuth: "require", caCerts: env.certs.otherCaPem } }),
    true,
  );
  yield* handshakes(
    "another PSK",
    { client: { psk }, server: { psk: { ...psk, key: new Uint8Array(32) } } },
    true,
  );
}

/** A session of an earlier connection; a full handshake will do as well. */
function* resumptions(): Generator<Scenario> {
  for (const version of versions) {
    for (const role of ["client", "server"] as const) {
      for (const early of version === "TLSv1.3" ? [false, true] : [false]) {
        yield {
          name: `accepted: ${version}, ${role}, ${early ? "early data" : "a session"}`,
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
            const [near, far] = pair();
            const [one, other] = await Promise.all([
              startTls(near, {
                ...client(),
                ...mine,
                sessionStore: false,
                openssl: role === "client" ? victim : clean,
                handshakeTimeout: 1000,
              }),
              acceptTls(far, { context, handshakeTimeout: 1000 }),
            ]).catch((error) => {
              throw error;
            });
            let session: Uint8Array | undefined;
            try {
              await write(other.writable, utf8("."));
              await readAtLeast(one.readable, 1);
              session = one.getSession();
            } finally {
              one.abort();
              other.abort();
            }
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

// ---- judgements --------------------------------------------------------------------------------------------------

const named = (name: string) => env.chains.pem[name]!;

function* verdicts(): Generator<Scenario> {
  for (const [name, each] of Object.entries(env.chains.cases)) yield verdict(name, each);
}

function verdict(name: string, each: ChainCase): Scenario {
  const { leaf, intermediates = [], roots, crls, time, purpose, flags, ...rest } = each;
  return {
    name: `verdict: ${name}`,
    verdict: true,
    async run(openssl) {
      const result = await verifyChain({
        ...rest,
        openssl,
        leaf: named(leaf),
        intermediates: intermediates.map(named),
        roots: roots.map(named),
        ...(crls && { crls: crls.map(named) }),
        ...(time !== undefined && { time: new Date(time * 1000) }),
        ...(purpose && { purpose: purpose as "sslserver" }),
        ...(flags && { flags: flags as never[] }),
      });
      const failures = result.ok ? [] : result.failures.map(({ error, depth }) => [error, depth]);
      return JSON.stringify([result.ok, failures, result.chain.map((x) => x.subject)]);
    },
  };
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
  yield* verdicts();
  yield* readings();
}
