/**
 * Both ends of connections through simulated networks, by the thousand, each from a seed, against a model of what must
 * be seen.
 *
 *     npm run simulate -- --seeds N [--seed FIRST] [--trace]
 *
 * A failure prints its seed; `--seed THAT --seeds 1` replays it alone, `--trace` with all that happened.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { acceptTls } from "../../src/accept-tls.ts";
import { TlsError } from "../../src/errors.ts";
import { OpenSsl } from "../../src/openssl/openssl.ts";
import { type ClientOptions, startTls } from "../../src/start-tls.ts";
import { abortReason, act, type End, MARKER, makeEnd, makePlan, type Plan, watch } from "./ends.ts";
import { makeNetwork, type Network, type Seen, type Trouble } from "./network.ts";
import { World } from "./world.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
    trace: { type: "boolean", default: false },
  },
});

/**
 * An Ed25519 certificate from a key that is public. Its signatures always have one length, so that a seed means the
 * same schedule in every run.
 */
function makeCertificate(): { cert: string; key: string } {
  const folder = mkdtempSync(join(tmpdir(), "wassl-simulate-"));
  try {
    const pkcs8 = Buffer.concat([
      Buffer.from("302e020100300506032b657004220420", "hex"),
      Buffer.alloc(32, 7),
    ]);
    writeFileSync(join(folder, "key.der"), pkcs8);
    const run = (...args: string[]) =>
      execFileSync("openssl", args, { cwd: folder, stdio: "pipe", encoding: "utf8" });
    const key = run("pkey", "-inform", "DER", "-in", "key.der");
    writeFileSync(join(folder, "key.pem"), key);
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-set_serial", "1"];
    run("req", "-x509", "-key", "key.pem", "-days", "30", "-out", "cert.pem", ...subject);
    return { key, cert: readFileSync(join(folder, "cert.pem"), "utf8") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Scene {
  troubles: { toClient?: Trouble; toServer?: Trouble };
  options: { client: Options; server: Options };
  plans: { client: Plan; server: Plan };
}
type Options = Pick<
  ClientOptions,
  "maxVersion" | "bioPairSize" | "eofPolicy" | "quietShutdown" | "preventClose"
>;

function makeScene(world: World): Scene {
  const trouble = (): Trouble | undefined =>
    world.chance(0.15)
      ? { kind: world.pick(["end", "read-error", "stall", "write-error"]), at: world.size(40_000) - 1 }
      : undefined;
  const options = (): Options => ({
    ...(world.chance(0.3) ? { maxVersion: "TLSv1.2" as const } : {}),
    ...(world.chance(0.5) ? { bioPairSize: world.size(70_000) } : {}),
    ...(world.chance(0.2) ? { eofPolicy: world.pick(["record-boundary", "ignore"] as const) } : {}),
    quietShutdown: world.chance(0.1),
    preventClose: world.chance(0.2),
  });
  const toClient = trouble();
  const toServer = trouble();
  return {
    troubles: { ...(toClient && { toClient }), ...(toServer && { toServer }) },
    options: { client: options(), server: options() },
    plans: { client: makePlan(world), server: makePlan(world) },
  };
}

/** What is wrong with what was seen; empty when it is as the model has it. */
function judge(scene: Scene, network: Network, ends: { client: End; server: End }): string[] {
  const wrong: string[] = [];
  const sides = [
    { end: ends.client, peer: ends.server, arrived: network.toClient, left: network.toServer },
    { end: ends.server, peer: ends.client, arrived: network.toServer, left: network.toClient },
  ];
  for (const { end, peer, arrived, left } of sides) {
    const options = scene.options[end.role];
    const say = (what: string) => wrong.push(`${end.role}: ${what}`);
    for (const [name, count] of end.pending) if (count > 0) say(`${name} never settled`);
    if (end.wrongByte !== undefined) say(`the byte at ${end.wrongByte} is not the one that was sent`);
    if (!end.stream) {
      if (end.handshakeError === undefined) say("neither a stream nor an error");
      judgeHandshake(end, peer, arrived, left, say);
      continue;
    }
    const { outcome } = end;
    const discarded = outcome?.discarded ?? 0;
    if (end.read > peer.offered) say(`it read ${end.read} bytes of ${peer.offered}`);
    const closedByPeer =
      peer.verbs.some((verb) => verb !== "abort") && !scene.options[peer.role].quietShutdown;
    const lenient =
      arrived.ended &&
      (options.eofPolicy === "ignore" || (options.eofPolicy === "record-boundary" && !arrived.midRecord));
    if (end.readEnd === "end" && !lenient) {
      if (!closedByPeer) say("its reader saw a clean end, but the peer sent no close_notify");
      if (end.read + discarded !== peer.promised) {
        say(`a clean end after ${end.read} read and ${discarded} dropped, of ${peer.promised} promised`);
      }
    }
    if (outcome?.receivedCloseNotify && !closedByPeer) say("close_notify out of nowhere");
    if (outcome?.sentCloseNotify && options.quietShutdown) say("close_notify although quiet");
    const how = outcome?.how ?? (end.closedWith === abortReason ? "aborted" : "nothing");
    switch (how) {
      case "complete":
        if (!outcome?.sentCloseNotify || !outcome.receivedCloseNotify)
          say("complete, without both close_notify");
        // A server's sessions are with its clients, in their tickets.
        if (end.role === "client" && !outcome?.resumable) say("complete, and not resumable");
        break;
      case "closed-without-waiting":
        if (!outcome?.sentCloseNotify) say("closed without waiting, and without close_notify");
        if (options.quietShutdown) say("quiet, and it does not say so");
        break;
      case "quiet":
        if (!options.quietShutdown) say("quiet, unasked");
        break;
      case "truncated":
        if (!arrived.ended) say("truncated, but the transport did not end");
        if (outcome?.truncatedAt !== (arrived.midRecord ? "mid-record" : "record")) {
          say(`cut at "${outcome?.truncatedAt}", but mid-record is ${arrived.midRecord}`);
        }
        if (outcome?.receivedCloseNotify) say("truncated after close_notify");
        if (outcome?.resumable && !outcome.sentCloseNotify && !options.quietShutdown)
          say("cut, and resumable");
        break;
      case "failed":
        if (!arrived.failed && !left.refused) say("the transport failed, but it did not");
        break;
      case "timeout":
        if (!end.verbs.some((verb) => verb === "shutdown" || verb === "close")) say("a timeout of nothing");
        break;
      case "aborted":
        if (
          !end.verbs.includes("abort") &&
          !(end.closedWith instanceof TlsError && end.closedWith.code === "discard-limit")
        ) {
          say("aborted, by whom?");
        }
        break;
      case "alert":
        // OpenSSL answers a cut connection with decode_error, which may reach the one whose bytes were cut off.
        if (
          outcome?.alert?.direction !== "received" ||
          !(peer.handshakeError || (outcome.alert.description === "decode_error" && left.ended))
        ) {
          say(`an alert: ${end.closedWith}`);
        }
        break;
      default:
        say(`it ended with ${how} (${end.closedWith})`);
    }
    if (end.shutdownOk && peer.shutdownOk && how === "complete" && peer.outcome?.how === "complete") {
      const broken = arrived.failed || left.refused || scene.troubles.toClient || scene.troubles.toServer;
      if (!broken && end.plaintext !== MARKER) say(`after shutdown() it got "${end.plaintext}" in plaintext`);
    }
  }
  // With a sound network, and no end that breaks off or stays deaf, both ends come to the end of it.
  const { client, server } = ends;
  const sound = !scene.troubles.toClient && !scene.troubles.toServer;
  for (const { end, peer } of sides) {
    // In TLS 1.2 the server is done before the client, and may break off already.
    const excused = peer.verbs.includes("abort") || scene.options[peer.role].quietShutdown;
    if (sound && !end.stream && !excused) wrong.push(`${end.role}: no handshake over a sound network`);
  }
  const polite = (end: End, plan: Plan) =>
    end.verbs.filter((verb) => verb !== "writer.close" && verb !== "closeWrite").join() === "close" &&
    plan.closesWriter &&
    (plan.reads === "all" || plan.reads === "byob") &&
    !scene.options[end.role].quietShutdown;
  if (sound && polite(client, scene.plans.client) && polite(server, scene.plans.server)) {
    for (const { end, peer } of sides) {
      if (end.outcome?.how !== "complete")
        wrong.push(`${end.role}: both were polite, and yet ${end.outcome?.how}`);
      if (end.read !== peer.offered)
        wrong.push(`${end.role}: read ${end.read} of ${peer.offered} from a polite peer`);
    }
  }
  return wrong;
}

function judgeHandshake(end: End, peer: End, arrived: Seen, left: Seen, say: (what: string) => void): void {
  const error = end.handshakeError;
  const code = error instanceof TlsError ? error.code : String(error);
  if (code === "transport" && (arrived.failed || left.refused)) return;
  if (code === "truncated" && arrived.ended) return;
  if (code === "timeout") return;
  // The end that sees the network fail first tells the other, which may not be able to make sense of it.
  if ((code === "alert" || code === "protocol") && peer.handshakeError !== undefined) return;
  say(
    `the handshake failed with ${code}, and the peer ${peer.stream ? "has a stream" : `with ${peer.handshakeError}`}`,
  );
}

async function simulate(
  seed: number,
  openssl: OpenSsl,
  identity: { cert: string; key: string },
): Promise<string[]> {
  const world = new World(seed);
  const restore = world.install();
  const ends = { client: makeEnd("client"), server: makeEnd("server") };
  let scene: Scene;
  let network: Network;
  const wrong: string[] = [];
  const unhandled = (error: unknown) =>
    wrong.push(`nobody handled ${error instanceof Error ? error.stack : error}`);
  process.on("unhandledRejection", unhandled);
  process.on("uncaughtException", unhandled);
  try {
    scene = makeScene(world);
    network = makeNetwork(world, scene.troubles);
    const { cert, key } = identity;
    const life = async (end: End, plan: Plan) => {
      const options = { ...scene.options[end.role], openssl };
      const starting =
        end.role === "client"
          ? // A session of another scene would make this one another than its seed says.
            startTls(network.client, {
              ...options,
              hostname: "localhost",
              caCerts: cert,
              sessionStore: false,
            })
          : acceptTls(network.server, { ...options, cert, key });
      const result = await watch(end, "handshake", starting);
      if ("error" in result) {
        end.handshakeError = result.error;
        return;
      }
      end.stream = result.value;
      await act(world, end, plan);
    };
    const lives = (["client", "server"] as const).map((role) =>
      watch(ends[role], "life", life(ends[role], scene.plans[role])),
    );
    await world.run(100_000);
    for (const result of await Promise.race([Promise.all(lives), Promise.resolve([])])) {
      if ("error" in result) wrong.push(`the simulated program failed: ${(result.error as Error).stack}`);
    }
    wrong.push(...judge(scene, network, ends));
  } catch (error) {
    wrong.push(`the simulation failed: ${(error as Error).stack}`);
  } finally {
    restore();
    process.off("unhandledRejection", unhandled);
    process.off("uncaughtException", unhandled);
  }
  if (values.trace && (seeds === 1 || wrong.length > 0)) {
    console.log(world.trace.join("\n"));
    console.log(JSON.stringify({ scene: scene!, ends: summary(ends.client, ends.server) }, undefined, 1));
  }
  return wrong;
}

function summary(...ends: End[]): unknown {
  return ends.map(({ stream, ...rest }) => ({
    ...rest,
    pending: Object.fromEntries(rest.pending),
    closedWith: String(rest.closedWith),
    handshakeError: String(rest.handshakeError),
    connected: stream !== undefined,
  }));
}

const seeds = Number(values.seeds);
const first = Number(values.seed);
const identity = makeCertificate();
const openssl = await OpenSsl.load();
// The first error loads the texts of all, which stay. Scenes without one may be many.
try {
  openssl.parseX509("no certificate");
} catch {}
console.log(`seeds ${first} to ${first + seeds - 1}`);
let failed = 0;
let done = 0;
let used: number | undefined;
const begun = process.hrtime.bigint();
for (let i = 0; i < seeds; i++) {
  const seed = first + i;
  const wrong = await simulate(seed, openssl, identity);
  // The first ones leave behind what OpenSSL makes once, and malloc rounds by a few bytes, now so, now so.
  const now = openssl.memory.used;
  if (i === 20) used = now;
  if (used !== undefined && Math.abs(now - used) > 256) {
    wrong.push(`${now - used} bytes of linear memory were not given back`);
    used = now;
  }
  done++;
  if (wrong.length > 0) {
    failed++;
    console.log(`seed ${seed} failed: --seeds 1 --seed ${seed} --trace\n  ${wrong.join("\n  ")}`);
    if (failed >= 10) break;
  }
  if ((i + 1) % 10_000 === 0) console.log(`${i + 1} seeds, ${failed} failed`);
}
const elapsed = Number(process.hrtime.bigint() - begun) / 1e9;
console.log(
  `${done} seeds in ${elapsed.toFixed(1)} s, linear memory ${openssl.memory.size} bytes, ${failed} failed`,
);
process.exit(failed > 0 ? 1 : 0);
