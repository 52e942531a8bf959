/**
 * A context that `selectContext` chooses is taken over whole: each option by itself, both ways, so that nothing of the
 * one that was left stays behind, and nothing of the chosen one is missing. What is seen through the selection must be
 * what is seen without one, and not what the other gives.
 */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  OpenSsl,
  type ServerContextOptions,
  startTls,
  TlsContext,
  type TlsEvent,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { readAtLeast, utf8, within, write } from "../../helpers/basics.ts";
import { client, clientCert, server } from "../../helpers/both-ends.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

type Options = Partial<ServerContextOptions>;

interface Outcome {
  near: PromiseSettledResult<Awaited<ReturnType<typeof startTls>>>;
  far: PromiseSettledResult<Awaited<ReturnType<typeof startTls>>>;
  session: Uint8Array | undefined;
  tickets: number;
}

async function connect(context: TlsContext, options: Partial<ClientOptions> = {}): Promise<Outcome> {
  const [left, right] = pair();
  let tickets = 0;
  const onEvent = ({ type }: TlsEvent) => {
    if (type === "new-session") tickets++;
  };
  const [near, far] = await Promise.allSettled([
    startTls(left, { ...client(), sessionStore: false, onEvent, ...options }),
    acceptTls(right, { context }),
  ]);
  for (const end of [near, far]) if (end.status === "fulfilled") afterTest(() => end.value.abort());
  let session: Uint8Array | undefined;
  if (near.status === "fulfilled" && far.status === "fulfilled") {
    await write(far.value.writable, utf8("."));
    await within(readAtLeast(near.value.readable, 1), 3_000);
    session = near.value.getSession();
  }
  return { near, far, session, tickets };
}

const accepted = ({ far }: Outcome) =>
  far.status === "fulfilled" ? "accepted" : (far.reason.verifyError ?? far.reason.code);
const info = ({ near }: Outcome) => (near.status === "fulfilled" ? near.value.info : undefined);
const verified = (outcome: Outcome) =>
  `${accepted(outcome)} ${outcome.far.status === "fulfilled" && outcome.far.value.info.verified}`;
const subject = (outcome: Outcome) => info(outcome)?.peerCertificates[0]?.subject;

interface Row {
  one: Options;
  other: Options;
  /** What both have. */
  both?: Options;
  client?: Partial<ClientOptions>;
  /** What is seen of a connection; `first` is one to a context of `one`, whose session may be offered. */
  sees(outcome: Outcome): unknown;
  /** The client brings a session that it has of a context of `one`. */
  resumes?: boolean;
}

const tls12 = { maxVersion: "TLSv1.2" } as const;
const tls13 = { minVersion: "TLSv1.3" } as const;

// legacyServerConnect is a client's; of maxSessionAge the test of its own says more.
function rows(): Record<
  Exclude<keyof ServerContextOptions, "openssl" | "selectContext" | "legacyServerConnect" | "maxSessionAge">,
  Row | Row[]
> {
  const { chains, keys, caPem, otherCaPem, intermediatePem, ocsp } = env.certs;
  const rsa = { cert: chains.rsa, key: keys.rsa };
  const asks = { clientAuth: "require", caCerts: caPem } as const;
  const who = clientCert();
  const named = { one: rsa, other: server() as Options, sees: subject };
  const packed: Row = {
    one: {
      pkcs12: Uint8Array.from(atob(env.certs.clientP12), (c) => c.charCodeAt(0)),
      passphrase: "secret",
      cert: undefined!,
      key: undefined!,
    },
    other: {},
    // It is a client's.
    client: { unsafelyDisableVerification: true },
    sees: subject,
  };
  const lines = { one: 0, other: 0, request: 0, long: 0 };
  const ticketKeys = [randomBytes(80, env.seed)];
  const openssl = OpenSsl.shared();
  const session =
    (read: (session: ReturnType<OpenSsl["parseSession"]>) => number) => async (outcome: Outcome) => {
      using parsed = (await openssl).parseSession(outcome.session!);
      return read(parsed);
    };
  return {
    alpnProtocols: [
      {
        one: { alpnProtocols: ["one"] },
        other: { alpnProtocols: ["other"] },
        client: { alpnProtocols: ["other", "one"] },
        sees: (outcome) => info(outcome)?.alpnProtocol,
      },
      {
        one: { alpnProtocols: ["one"] },
        other: {},
        client: { alpnProtocols: ["one"] },
        sees: (outcome) => info(outcome)?.alpnProtocol,
      },
    ],
    minVersion: { one: { minVersion: "TLSv1.3" }, other: {}, client: tls12, sees: accepted },
    maxVersion: { one: { maxVersion: "TLSv1.2" }, other: {}, sees: (outcome) => info(outcome)?.protocol },
    ciphers: {
      one: { ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" },
      other: {},
      client: tls12,
      sees: (outcome) => info(outcome)?.cipher,
    },
    cipherSuites: {
      one: { cipherSuites: "TLS_AES_256_GCM_SHA384" },
      other: {},
      client: tls13,
      sees: (outcome) => info(outcome)?.cipher,
    },
    groups: { one: { groups: "secp384r1" }, other: {}, sees: (outcome) => info(outcome)?.group },
    signatureAlgorithms: {
      one: { signatureAlgorithms: "rsa_pss_rsae_sha512" },
      other: {},
      both: rsa,
      sees: (outcome) => info(outcome)?.signatureAlgorithm,
    },
    securityLevel: {
      one: { securityLevel: 3 },
      other: {},
      both: asks,
      client: { cert: chains.clientRsa, key: keys.clientRsa },
      sees: accepted,
    },
    maxCertificateList: {
      one: { maxCertificateList: 4096 },
      other: {},
      both: asks,
      client: { cert: chains.client + intermediatePem.repeat(20), key: keys.client },
      sees: accepted,
    },
    psk: [tls12, tls13].map((version) => ({
      one: { psk: { identity: "me", key: new Uint8Array(32).fill(1) }, ciphers: "PSK:ECDHE" },
      other: { ciphers: "PSK:ECDHE" },
      // Both would do: with a certificate from the server, and without.
      client: { ...version, psk: { identity: "me", key: new Uint8Array(32).fill(1) }, ciphers: "PSK:ECDHE" },
      sees: (outcome) => `${accepted(outcome)} ${info(outcome)?.peerCertificates.length}`,
    })),
    psks: [tls12, tls13].map((version) => ({
      one: { psks: [{ identity: "me", key: new Uint8Array(32).fill(1) }], ciphers: "PSK:ECDHE" },
      other: { ciphers: "PSK:ECDHE" },
      client: { ...version, psk: { identity: "me", key: new Uint8Array(32).fill(1) }, ciphers: "PSK:ECDHE" },
      sees: (outcome) => `${accepted(outcome)} ${info(outcome)?.peerCertificates.length}`,
    })),
    maxSendFragment: {
      one: { maxSendFragment: 512 },
      other: {},
      client: {
        trace: true,
        onEvent(event) {
          if (event.type === "record" && event.direction === "received" && event.length > 600) lines.long++;
        },
      },
      sees: () => {
        const { long } = lines;
        lines.long = 0;
        return long > 0;
      },
    },
    keylog: {
      one: { keylog: () => void lines.one++ },
      other: { keylog: () => void lines.other++ },
      sees: () => {
        const told = `${lines.one > 0} ${lines.other > 0}`;
        lines.one = lines.other = 0;
        return told;
      },
    },
    cert: named,
    key: named,
    passphrase: packed,
    pkcs12: packed,
    identities: {
      one: { identities: [rsa] },
      other: { identities: [server()] },
      both: { cert: undefined!, key: undefined! },
      sees: subject,
    },
    postHandshakeAuth: {
      one: { postHandshakeAuth: true },
      other: {},
      both: { clientAuth: "request", caCerts: caPem },
      client: { ...who, ...tls13 },
      sees: verified,
    },
    verify: [
      { one: { verify: () => false }, other: {}, both: asks, client: who, sees: accepted },
      {
        one: { verify: () => false },
        other: { verify: () => true },
        both: asks,
        client: who,
        sees: accepted,
      },
    ],
    unsafelyLetVerifyOverride: {
      one: { unsafelyLetVerifyOverride: true },
      other: {},
      both: { ...asks, caCerts: otherCaPem, verify: () => true },
      client: who,
      sees: verified,
    },
    verifyOptions: [
      { time: new Date("2049-01-01") },
      { depth: 0 },
      { crls: [] },
      { flags: ["X509_V_FLAG_CRL_CHECK"] as const },
      { purpose: "sslserver" } as const,
    ]
      .map(
        (verifyOptions): Row => ({
          one: { verifyOptions },
          other: {},
          both: asks,
          client: who,
          sees: accepted,
        }),
      )
      .concat(
        {
          one: { verifyOptions: { partialChain: true } },
          other: {},
          both: { ...asks, caCerts: intermediatePem },
          client: who,
          sees: verified,
        },
        {
          one: { verifyOptions: { purpose: "any" } },
          other: {},
          both: asks,
          client: server() as Partial<ClientOptions>,
          sees: verified,
        },
        {
          one: { verifyOptions: { flags: ["X509_V_FLAG_NO_CHECK_TIME"] } },
          other: { verifyOptions: { time: new Date("2049-01-01") } },
          both: asks,
          client: who,
          sees: verified,
        },
      ),
    caCerts: { one: { caCerts: otherCaPem }, other: {}, both: asks, client: who, sees: accepted },
    clientAuth: [
      { one: asks, other: {}, sees: accepted },
      { one: asks, other: {}, client: who, sees: verified },
      { one: asks, other: { ...asks, clientAuth: "request" }, sees: accepted },
    ],
    sendCaNames: {
      one: { sendCaNames: false },
      other: {},
      both: { clientAuth: "request", caCerts: caPem },
      client: {
        trace: true,
        onEvent(event) {
          if (event.type === "handshake" && event.message === "certificate_request")
            lines.request = event.length;
        },
      },
      sees: () => lines.request,
    },
    ocspResponse: {
      one: { ocspResponse: Uint8Array.from(atob(ocsp.good), (c) => c.charCodeAt(0)) },
      other: {},
      client: { ocsp: "soft" },
      sees: (outcome) => info(outcome)?.ocspResponse?.length,
    },
    tickets: [
      { one: { tickets: 4 }, other: {}, client: tls13, sees: ({ tickets }) => tickets },
      { one: { tickets: 0 }, other: {}, client: tls13, sees: ({ tickets }) => tickets },
    ],
    ticketKeys: [tls12, tls13].map((version) => ({
      one: { ticketKeys },
      other: { ticketKeys: [randomBytes(80, env.seed + 1)] },
      client: version,
      resumes: true,
      sees: (outcome) => info(outcome)?.sessionReused,
    })),
    sessionIdContext: [tls12, tls13].map((version) => ({
      one: { sessionIdContext: "one" },
      other: { sessionIdContext: "other" },
      both: { ticketKeys },
      client: version,
      resumes: true,
      sees: (outcome) => info(outcome)?.sessionReused,
    })),
    sessionTimeout: [tls12, tls13].map((version) => ({
      one: { sessionTimeout: 1000 },
      other: { sessionTimeout: 2000 },
      client: version,
      sees: session((parsed) => parsed.getTicketLifetimeHint()),
    })),
    maxEarlyData: {
      one: { maxEarlyData: 1000 },
      other: {},
      client: tls13,
      sees: session((parsed) => parsed.getMaxEarlyData()),
    },
  };
}

const names = [
  "alpnProtocols",
  "minVersion",
  "maxVersion",
  "ciphers",
  "cipherSuites",
  "groups",
  "signatureAlgorithms",
  "securityLevel",
  "maxCertificateList",
  "psk",
  "psks",
  "maxSendFragment",
  "keylog",
  "cert",
  "key",
  "passphrase",
  "pkcs12",
  "identities",
  "verify",
  "unsafelyLetVerifyOverride",
  "verifyOptions",
  "caCerts",
  "clientAuth",
  "postHandshakeAuth",
  "sendCaNames",
  "ocspResponse",
  "tickets",
  "ticketKeys",
  "sessionIdContext",
  "sessionTimeout",
  "maxEarlyData",
] as const;

QUnit.module("selected contexts", () => {
  const context = async (options: Options) => {
    const made = await TlsContext.server({ ...server(), ...options });
    afterTest(() => made.free());
    return made;
  };

  for (const name of names) {
    QUnit.test(name, async (assert) => {
      assert.deepEqual([...names].sort(), Object.keys(rows()).sort(), "each option has its test");
      for (const { one, other, both = {}, client: options, sees, resumes } of [rows()[name]].flat()) {
        const [a, b] = [await context({ ...both, ...one }), await context({ ...both, ...other })];
        const see = async (on: TlsContext) => {
          const session = resumes ? (await connect(a, options)).session : undefined;
          return sees(await connect(on, { ...options, ...(session && { session }) }));
        };
        const [fromA, fromB] = [await see(a), await see(b)];
        assert.notDeepEqual(fromA, fromB, "there is something to see");
        for (const [left, selected, expected] of [
          [{ ...both, ...one }, b, fromB],
          [{ ...both, ...other }, a, fromA],
          // A base that has nothing that it could leave behind.
          [{}, a, fromA],
        ] as const) {
          const chooser = await context({ ...left, selectContext: () => selected });
          assert.deepEqual(await see(chooser), expected, `${JSON.stringify(Object.keys(left))}`);
        }
        // And by options instead of a context; tickets are of no use there.
        if (!resumes) {
          const chooser = await context({
            ...both,
            ...one,
            selectContext: () => ({ ...server(), ...both, ...other }),
          });
          assert.deepEqual(await see(chooser), fromB, "by options");
        }
      }
    });
  }

  QUnit.test("selectContext: that of the chosen one is not asked", async (assert) => {
    let asked = 0;
    const chosen = await context({ selectContext: () => void asked++ });
    const chooser = await context({ selectContext: () => chosen });
    const { near } = await connect(chooser);
    assert.strictEqual(near.status, "fulfilled");
    assert.strictEqual(asked, 0);
  });
});
