/**
 * Random pairs of contexts, and a session of the one at the other: it lets no client in where a full handshake would
 * not. The wanted result is taken from a full handshake.
 */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  type PreliminaryResult,
  type ServerContextOptions,
  startTls,
  TlsContext,
  type TlsInfo,
  type TlsStream,
  type X509,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { utf8 } from "../../helpers/basics.ts";
import { client, server, sessionAfter } from "../../helpers/both-ends.ts";
import { afterTest, env, share } from "../../helpers/env.ts";
import { random, randomBytes } from "../../helpers/random.ts";

type Choices<T> = { readonly [name in keyof T]?: readonly T[name][] };
type Pick = () => number;

const one = <T>(list: readonly T[], next: Pick): T => list[Math.floor(next() * list.length)]!;

/** The first of the choices for each name, or, for every third, any. */
function draw<T extends object>(choices: Choices<T>, next: Pick): Partial<T> {
  const drawn: Partial<T> = {};
  for (const [name, list] of Object.entries(choices) as [keyof T, readonly T[keyof T][]][]) {
    const value = next() < 0.3 ? one(list, next) : list[0];
    if (value !== undefined) drawn[name] = value;
  }
  return drawn;
}

/** The same but for one or two names: what crosses between contexts that differ in little is what is looked for. */
function nearby<T extends object>(choices: Choices<T>, from: Partial<T>, next: Pick): Partial<T> {
  const near = { ...from };
  for (let n = 1 + Math.floor(next() * 2); n > 0; n--) {
    const name = one(Object.keys(choices), next) as keyof T;
    const value = one(choices[name]!, next);
    if (value === undefined) delete near[name];
    else near[name] = value;
  }
  return near;
}

/** What a `verify` may be. Each is a function of its own, and answers the same each time. */
const verifies: Record<string, (chain: readonly X509[], found: PreliminaryResult) => boolean> = {
  yes: () => true,
  "yes again": () => true,
  no: () => false,
  "whom OpenSSL accepts": (_chain, { ok }) => ok,
  "whose issuer is unknown": (_chain, { failure }) =>
    failure?.error === "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "whose time is over": (_chain, { failure }) => failure?.error === "X509_V_ERR_CERT_HAS_EXPIRED",
  "who is called client": (chain) => chain[0]!.subject.includes("CN=client"),
};

const psk = (n: number) => ({ identity: "both", key: randomBytes(32, n + 1) });
const later = new Date(Date.now() + 36_500 * 24 * 3600 * 1000);
const versions = ["TLSv1.2", "TLSv1.3"] as const;

function serverChoices(): Choices<ServerContextOptions> {
  const { chains, keys, caPem, otherCaPem, crls } = env.certs;
  const ecdsa = { cert: chains.ecdsa, key: keys.ecdsa };
  const rsa = { cert: chains.rsa, key: keys.rsa };
  return {
    clientAuth: ["require", "request", "none"],
    caCerts: [caPem, otherCaPem, [caPem, otherCaPem]],
    verify: [undefined!, ...Object.values(verifies)],
    unsafelyLetVerifyOverride: [undefined!, true],
    verifyOptions: [
      { purpose: "any" },
      undefined!,
      { purpose: "any", time: later },
      { purpose: "any", crls: [] },
      { purpose: "any", crls: [crls.ca, crls.revokesEcdsa] },
    ],
    identities: [[ecdsa], [rsa, ecdsa], []],
    psk: [undefined!, psk(0), psk(1)],
    sessionIdContext: ["app", undefined!],
    ticketKeys: [[randomBytes(80, env.seed)], undefined!],
    tickets: [undefined!, 0],
    maxEarlyData: [0, 1000],
    ciphers: [undefined!, "ECDHE+AESGCM:PSK", "ECDHE+CHACHA20:PSK"],
    groups: [undefined!, "X25519", "secp384r1"],
    signatureAlgorithms: [undefined!, "ECDSA+SHA256:rsa_pss_rsae_sha256", "rsa_pss_rsae_sha256"],
    securityLevel: [undefined!, 1, 3],
    minVersion: [undefined!, "TLSv1.3"],
  };
}

const identities = () => {
  const { chains, keys } = env.certs;
  return [
    {},
    { cert: chains.client, key: keys.client },
    { cert: chains.client, key: keys.client },
    { cert: chains.clientRsa, key: keys.clientRsa },
    // A server's, which is good with "any" alone, and may be revoked.
    { cert: chains.ecdsa, key: keys.ecdsa },
  ];
};

interface Met {
  /** Of the server, and of the client, if it accepted the other. */
  info: TlsInfo | undefined;
  mine: TlsInfo | undefined;
  session: Uint8Array | undefined;
  /** How much was told early. */
  early: number;
}

/** Both ends once; how the server took it. */
async function meet(context: TlsContext, options: Partial<ClientOptions>): Promise<Met> {
  const [near, far] = pair();
  let early = 0;
  const controller = new AbortController();
  const starting = startTls(near, { ...client(), sessionStore: false, ...options });
  // Options that are refused: no client comes.
  starting.catch((error) => error.code === "invalid-argument" && controller.abort(error));
  const [mine, theirs] = await Promise.allSettled([
    starting,
    acceptTls(far, {
      context,
      signal: controller.signal,
      onEarlyData(data) {
        early += data.length;
      },
    }),
  ]);
  let session: Uint8Array | undefined;
  if (mine.status === "fulfilled" && theirs.status === "fulfilled") {
    session = await sessionAfter(mine.value, theirs.value);
    // An abort would take the session out of the server's memory.
    await theirs.value.close();
    await mine.value.close();
  }
  for (const end of [theirs, mine]) if (end.status === "fulfilled") end.value.abort();
  const infoOf = (end: PromiseSettledResult<TlsStream>) =>
    end.status === "fulfilled" ? end.value.info : undefined;
  return { info: infoOf(theirs), mine: infoOf(mine), session, early };
}

const described = (options: object) =>
  JSON.stringify(options, (name, value) => {
    if (typeof value === "function") {
      return Object.entries(verifies).find(([, each]) => each === value)?.[0] ?? "function";
    }
    if (name === "cert" || name === "key" || name === "caCerts" || name === "crls") {
      return `#${String(value).length}`;
    }
    return value instanceof Uint8Array ? `#${value[0]}` : value;
  });

/** A context of these options, or what selects one. */
async function contextOf(options: Partial<ServerContextOptions>, selected: boolean): Promise<TlsContext> {
  const context = await TlsContext.server(options);
  afterTest(() => context.free());
  if (!selected) return context;
  const chooser = await TlsContext.server({
    ...server(),
    ...(options.maxEarlyData && { maxEarlyData: options.maxEarlyData }),
    selectContext: () => context,
  });
  afterTest(() => chooser.free());
  return chooser;
}

/** What was seen in all cases together, so that every part of it was tested by something. */
interface Seen {
  sessions: number;
  resumed: number;
  refused: number;
  early: number;
}

/** One case, from a seed alone. */
async function meetAtBoth(assert: Assert, seed: number, seen: Seen): Promise<void> {
  const next = random(seed);
  const choices = serverChoices();
  const version = one(versions, next);
  const who: Partial<ClientOptions> = {
    maxVersion: version,
    ...one(identities(), next),
    psk: one([undefined!, undefined!, psk(0)], next),
  };
  if (version === "TLSv1.3") who.minVersion = version;
  const first = draw(choices, next);
  const same = next() < 0.3;
  // Early data is for where the session is from.
  if (same) first.maxEarlyData = 1000;
  const second = nearby(choices, first, next);
  const selected = [next() < 0.3, next() < 0.3] as const;
  let a: TlsContext;
  let b: TlsContext;
  try {
    a = await contextOf(first, selected[0]);
    b = same ? a : await contextOf(second, selected[1]);
  } catch (error) {
    if ((error as { code?: string }).code === "invalid-argument") return;
    throw error;
  }
  const { session } = await meet(a, who);
  if (!session) return;
  seen.sessions++;
  let full = await meet(b, who);
  const back = await meet(b, { ...who, session, earlyData: utf8("early") });
  // OpenSSL looks at one identity alone: behind a ticket that it opens and then refuses, a wrong key is not looked at.
  const noIdentity = !full.info && back.info && !back.info.sessionReused;
  // And of a client that has both, a full handshake asks for no certificate: its session may be from one that did.
  const noCertificate = full.info && back.info && names(full.info) !== names(back.info);
  if (who.psk && (noIdentity || noCertificate)) full = await meet(b, { ...who, psk: undefined! });
  const what = `seed ${seed}: ${described(who)} from ${described(first)} to ${described(second)} ${selected}`;
  compare(assert, what, seen, full.info, back.info);
  if (back.early > 0) seen.early++;
  if (back.early > 0 && !full.info) assert.true(false, `its early data was told: ${what}`);
}

const names = (info: TlsInfo) => info.peerCertificates.map(({ subject }) => subject).join();

function compare(
  assert: Assert,
  what: string,
  seen: Seen,
  full: TlsInfo | undefined,
  back: TlsInfo | undefined,
): void {
  if (back?.sessionReused) seen.resumed++;
  if (!full) seen.refused++;
  if (back && !full) assert.true(false, `it got in: ${what}`);
  if (!back || !full) return;
  assert.strictEqual(names(back), names(full), what);
  assert.strictEqual(back.verified, full.verified, what);
}

function clientSettings(): Choices<ClientOptions> {
  const { chains, keys, caPem, otherCaPem, crls } = env.certs;
  return {
    hostname: ["localhost", "127.0.0.1", "wassl.test"],
    caCerts: [caPem, otherCaPem, [caPem, otherCaPem]],
    verify: [undefined!, ...Object.values(verifies)],
    unsafelyLetVerifyOverride: [undefined!, true],
    unsafelyDisableVerification: [undefined!, true],
    ocsp: [undefined!, "soft", "require"],
    verifyOptions: [
      undefined!,
      { time: later },
      { crls: [] },
      { crls: [crls.ca, crls.revokesEcdsa] },
      { depth: 0 },
    ],
    cert: [undefined!, chains.client],
    key: [keys.client],
    groups: [undefined!, "X25519", "secp384r1"],
    signatureAlgorithms: [undefined!, "rsa_pss_rsae_sha256"],
    ciphers: [undefined!, "ECDHE+AESGCM", "ECDHE+CHACHA20"],
    securityLevel: [undefined!, 3],
  };
}

/** The same for two clients of one server. */
async function clientsMeet(assert: Assert, seed: number, seen: Seen): Promise<void> {
  const next = random(seed);
  const choices = clientSettings();
  const version = one(versions, next);
  const { ocsp, caPem } = env.certs;
  const context = await TlsContext.server({
    ...server(),
    minVersion: version,
    maxVersion: version,
    clientAuth: "request",
    caCerts: caPem,
    ...(next() < 0.7 && { ocspResponse: fromBase64(next() < 0.6 ? ocsp.good : ocsp.revoked) }),
  });
  afterTest(() => context.free());
  const whole = (drawn: Partial<ClientOptions>) => {
    const { key, ...rest } = drawn;
    return rest.cert === undefined ? rest : drawn;
  };
  const first = draw(choices, next);
  const second = nearby(choices, first, next);
  try {
    const { session } = await meet(context, whole(first));
    if (!session) return;
    seen.sessions++;
    const full = await meet(context, whole(second));
    const back = await meet(context, { ...whole(second), session });
    compare(assert, `seed ${seed}: ${described(first)} to ${described(second)}`, seen, full.mine, back.mine);
  } catch (error) {
    if ((error as { code?: string }).code !== "invalid-argument") throw error;
  }
}

/** Found by the seed 371662671 of the test above. */
async function hearsOfAnotherName(assert: Assert): Promise<void> {
  for (const version of versions) {
    const context = await TlsContext.server({ ...server(), minVersion: version, maxVersion: version });
    afterTest(() => context.free());
    const options: Partial<ClientOptions> = {
      caCerts: env.certs.caPem,
      unsafelyDisableVerification: true,
      verify: verifies["whose time is over"]!,
      verifyOptions: { time: later },
    };
    const { mine, session } = await meet(context, { ...options, hostname: "localhost" });
    assert.notStrictEqual(mine, undefined, `${version}: verify lets it pass that the time is over`);
    const other = { ...options, hostname: "wassl.test" };
    assert.strictEqual((await meet(context, other)).mine, undefined, "but no other name");
    const back = await meet(context, { ...other, session: session! });
    assert.strictEqual(back.mine, undefined, "nor behind a session");
  }
}

const fromBase64 = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

QUnit.module("policies", () => {
  QUnit.test("verify is told of this handshake, where nothing is verified before it", hearsOfAnotherName);

  for (const [name, meetOnce] of [
    ["a client's session gets nobody in where a full handshake would not", meetAtBoth],
    ["a client that resumes believes nobody whom it would not in a full handshake", clientsMeet],
  ] as const) {
    QUnit.test(name, async (assert) => {
      const seen: Seen = { sessions: 0, resumed: 0, refused: 0, early: 0 };
      for (const seed of share(Array.from({ length: 120 }, (_, i) => env.seed + i))) {
        await meetOnce(assert, seed, seen);
      }
      assert.true(seen.sessions > 0 && seen.resumed > 0, `${JSON.stringify(seen)}, seeds from ${env.seed}`);
    });
  }
});
