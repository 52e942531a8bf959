/**
 * Handshakes of two ends of ours, whose messages are changed on the way: TLS 1.2 and 1.3, both roles, DTLS, and records
 * that follow.
 */
import { acceptTls, type ClientHello, startTls, TlsContext, type Transport } from "wassl";
import * as openssl from "wassl/openssl";
import { join } from "../../der.ts";
import { canonical, clone, mutate, parseFirst, write } from "../der.ts";
import { type Dice, equal } from "../dice.ts";
import { bigEndian, mutateMessage, NAMES, parseMessage, writeField } from "../messages.ts";
import * as pki from "../pki.ts";
import { attempt, attemptAsync, Failure, insist, note, type Run, type Target } from "../target.ts";
import { ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, type Item, Wire } from "../wire.ts";
import { hostOfLeaf, makeChain, serialOfLeaf } from "./certificates.ts";

const WANT_READ = -openssl.SSL_ERROR_WANT_READ;
const WANT_WRITE = -openssl.SSL_ERROR_WANT_WRITE;
const FAILED = -openssl.SSL_ERROR_SSL;

type Role = "client" | "server";
export type Chain = ReturnType<typeof makeChain>;

/** A finite number of turns is enough for any handshake; one that takes more goes in circles. */
const TURNS = 200;

export interface Ends {
  client: openssl.Ssl;
  server: openssl.Ssl;
  pairs: Record<Role, openssl.BioPair>;
  free(): void;
}

export function makeEnds(
  instance: openssl.OpenSsl,
  client: openssl.SslContext,
  server: openssl.SslContext,
  size = 1 << 17,
): Ends {
  const pairs = { client: instance.newBioPair(size), server: instance.newBioPair(size) };
  const ends = { client: client.newSsl(pairs.client), server: server.newSsl(pairs.server) };
  ends.client.setConnectState();
  ends.server.setAcceptState();
  ends.client.setHost(hostOfLeaf);
  ends.client.setServerName(hostOfLeaf);
  return {
    ...ends,
    pairs,
    free: () => {
      for (const each of [ends.client, ends.server, pairs.client, pairs.server]) each.free();
    },
  };
}

export function contextOf(
  instance: openssl.OpenSsl,
  role: Role,
  chain: Chain,
  version: number,
  more: (context: openssl.SslContext) => void = () => {},
): openssl.SslContext {
  const context = instance.newContext(role);
  if (version !== 0) {
    context.setMinProtoVersion(version);
    context.setMaxProtoVersion(version);
  }
  context.setCiphersuites("TLS_AES_128_GCM_SHA256");
  context.setGroups("x25519:secp256r1");
  context.addCaCert(write(chain.root));
  if (role === "client") context.setVerify(openssl.SSL_VERIFY_PEER);
  context.setKeylog(true);
  more(context);
  return context;
}

export function identify(context: openssl.SslContext, chain: Chain): void {
  context.useCertificateChain(
    pki.pem("CERTIFICATE", write(chain.leaf)) + pki.pem("CERTIFICATE", write(chain.intermediate)),
  );
  context.usePrivateKey(write(chain.keys.leaf.pkcs8));
}

const BUFFER = new Uint8Array(20_000);

/** What goes from one end to the other, possibly as something else. */
export type Between = (from: Role, bytes: Uint8Array) => Uint8Array;

/** Both ends work until nothing moves. A failed end has an alert to send, and is not asked again. */
export function run(ends: Ends, between: Between, data: Partial<Record<Role, Uint8Array>> = {}): Set<Role> {
  const failed = new Set<Role>();
  const wrote = new Set<Role>();
  const held: Record<Role, Uint8Array> = { client: new Uint8Array(0), server: new Uint8Array(0) };
  const feed = (role: Role) => {
    const n = Math.min(held[role].length, ends.pairs[role].writeGuarantee());
    if (n > 0) ends.pairs[role].write(held[role].subarray(0, n));
    held[role] = held[role].subarray(n);
  };
  for (let turn = 0, idle = 0; idle < 2; turn++) {
    insist(turn < TURNS, "the handshake goes in circles");
    idle++;
    for (const role of ["client", "server"] as const) {
      const [end, pair] = [ends[role], ends.pairs[role]];
      if (!failed.has(role)) {
        feed(role);
        let r = end.isInitFinished() ? 1 : end.tryHandshake();
        if (r === 1) {
          for (r = end.tryRead(BUFFER); r > 0; r = end.tryRead(BUFFER)) idle = 0;
          if (data[role] && !wrote.has(role)) {
            wrote.add(role);
            r = Math.min(r, end.tryWrite(data[role]));
          }
        }
        if (r < 0 && r !== WANT_READ && r !== WANT_WRITE) {
          failed.add(role);
          end.takeFailure();
          if (r === FAILED) end.dispatchAlert();
        }
      }
      const bytes = new Uint8Array(pair.pending());
      if (bytes.length === 0) continue;
      pair.read(bytes);
      idle = 0;
      const other = role === "client" ? "server" : "client";
      if (!failed.has(other)) held[other] = join(held[other], between(role, bytes));
    }
  }
  return failed;
}

/** The secrets of both ends, by label, as they become known. */
export function collector(ends: Ends): (label: string) => Uint8Array | undefined {
  const known = new Map<string, Uint8Array>();
  return (label) => {
    if (!known.has(label)) {
      for (const end of [ends.client, ends.server]) {
        for (const event of end.takeEvents()) {
          if (event.type !== "keylog") continue;
          const [name = "", , secret = ""] = event.line.split(" ");
          if (secret.length === 64) known.set(name, Uint8Array.from(Buffer.from(secret, "hex")));
        }
      }
    }
    return known.get(label);
  };
}

// ---- messages ----------------------------------------------------------------------------------------------------

/** A plan for what is done to the `index`th item of a direction. */
function change(items: Item[], at: number, dice: Dice, tls13: boolean, chain: Chain): void {
  const item = items[at]!;
  const copy = () => ({ ...item });
  switch (dice.below(11)) {
    case 0:
      items.splice(at, 1);
      return;
    case 1:
      items.splice(at, 0, copy());
      return;
    case 2:
      if (item.type !== undefined)
        items[at] = { ...item, type: dice.pick([...Object.keys(NAMES).map(Number), 6, 25, 255]) };
      return;
    case 3:
      items.splice(at, 0, foreign(dice, item.epoch));
      return;
    case 4:
      items[at] = { ...item, bytes: dice.garble(item.bytes) };
      return;
    case 5:
      // Swapped with its neighbour.
      if (at > 0) [items[at - 1], items[at]] = [items[at]!, items[at - 1]!];
      return;
    default: {
      if (item.type === undefined || item.sealed) {
        items[at] = { ...item, bytes: dice.garble(item.bytes) };
        return;
      }
      const field = parseMessage(item.type, item.bytes, tls13);
      mutateMessage(field, dice, (tree) => pki.resign(tree, chain.keys.intermediate));
      items[at] = { ...item, bytes: writeField(field) };
    }
  }
}

/** Something that is not expected here. */
function foreign(dice: Dice, epoch: Item["epoch"]): Item {
  const handshake = (type: number, bytes: Uint8Array): Item => ({ content: HANDSHAKE, type, bytes, epoch });
  return dice.pick<() => Item>([
    () => ({
      content: CHANGE_CIPHER_SPEC,
      bytes: Uint8Array.of(dice.pick([1, 1, 0, 2])),
      epoch: dice.pick([0, epoch]),
    }),
    () => ({
      content: ALERT,
      bytes: Uint8Array.of(dice.pick([1, 2, 3]), dice.pick([0, 10, 90, 100, 255])),
      epoch,
    }),
    () => ({ content: ALERT, bytes: dice.bytes(dice.size(8)), epoch }),
    () => ({ content: APPLICATION_DATA, bytes: dice.bytes(dice.size(300)), epoch }),
    () => ({ content: dice.pick([0, 19, 24, 25, 255]), bytes: dice.bytes(dice.size(64)), epoch }),
    () => handshake(0, new Uint8Array(0)),
    () => handshake(24, Uint8Array.of(dice.pick([0, 1, 2]))),
    () => handshake(4, dice.bytes(dice.size(200))),
    () => handshake(dice.pick([5, 13, 14, 20, 22, 67]), dice.bytes(dice.size(80))),
    () => handshake(11, dice.bytes(dice.size(20_000))),
    () => ({ content: HANDSHAKE, bytes: new Uint8Array(0), epoch }),
  ])();
}

/** Not covered by any Finished: they may be changed and the handshake succeeds. */
const UNCOVERED_12 = [0];
const UNCOVERED_13 = [0, 4, 24];

const transcript = (items: readonly Item[], tls13: boolean): string =>
  items
    .filter(({ type }) => type !== undefined && !(tls13 ? UNCOVERED_13 : UNCOVERED_12).includes(type))
    .map(({ type, bytes }) => `${type}:${Buffer.from(bytes).toString("base64")}`)
    .join();

interface Setting {
  tls13: boolean;
  clientAuth: boolean;
  resumed: boolean;
  retry: boolean;
  psk: boolean;
  ocsp: boolean;
}

export const handshakes: Target = {
  name: "handshakes",
  share: 24,
  start(instance, seed): Run {
    const chains = [makeChain(`${seed} ec`, "ec"), makeChain(`${seed} ed`, "ed")];
    const sessions = new Map<openssl.SslContext, Uint8Array>();
    const made = new Map<string, Record<Role, openssl.SslContext>>();
    const contexts = (chain: Chain, setting: Setting) => {
      const { tls13, clientAuth, retry, psk, ocsp, resumed } = setting;
      const key = `${chains.indexOf(chain)} ${JSON.stringify(setting)}`;
      let both = made.get(key);
      if (both) return both;
      const version = tls13 ? openssl.TLS1_3_VERSION : openssl.TLS1_2_VERSION;
      const response = pki.ocspResponse(
        { cn: `${seed} ${chain === chains[0] ? "ec" : "ed"} intermediate`, key: chain.keys.intermediate },
        serialOfLeaf,
        true,
      );
      both = {
        client: contextOf(instance, "client", chain, version, (context) => {
          if (clientAuth) identify(context, chain);
          if (psk) context.setPsk("me", new Uint8Array(32).fill(9));
          if (ocsp) context.requestOcspResponse();
          context.setAlpnProtocols(["h2", "http/1.1"]);
          context.setSessionCacheMode(openssl.SSL_SESS_CACHE_CLIENT);
          context.keepNewSessions(true);
        }),
        server: contextOf(instance, "server", chain, version, (context) => {
          identify(context, chain);
          if (clientAuth)
            context.setVerify(openssl.SSL_VERIFY_PEER | openssl.SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
          if (clientAuth) context.sendCaNames();
          if (retry) context.setGroups("secp256r1");
          if (psk) context.setPsk("me", new Uint8Array(32).fill(9));
          if (ocsp) context.setOcspResponse(write(response));
          context.setAlpnProtocols(["http/1.1"]);
          context.setSessionIdContext(Uint8Array.of(1));
          context.setTicketKeys([new Uint8Array(80).fill(7)]);
          // Nothing stays in the context but what is in tickets.
          context.setSessionCacheMode(openssl.SSL_SESS_CACHE_OFF);
        }),
      };
      if (resumed) sessions.set(both.client, firstSession(instance, both));
      made.set(key, both);
      return both;
    };
    return (dice) => {
      const chain = dice.pick(chains);
      const tls13 = dice.chance(0.6);
      const setting = {
        tls13,
        clientAuth: dice.chance(0.4),
        resumed: dice.chance(0.25),
        retry: tls13 && dice.chance(0.2),
        psk: tls13 && dice.chance(0.1),
        ocsp: dice.chance(0.2),
      };
      const { client, server } = contexts(chain, setting);
      const ends = makeEnds(instance, client, server);
      try {
        const session = sessions.get(client);
        if (session) {
          const parsed = instance.parseSession(session);
          ends.client.setSession(parsed);
          parsed.free();
        }
        oneHandshake(ends, dice, tls13, chain);
      } finally {
        ends.free();
      }
    };
  },
};

export function firstSession(
  instance: openssl.OpenSsl,
  contexts: Record<Role, openssl.SslContext>,
): Uint8Array {
  const ends = makeEnds(instance, contexts.client, contexts.server);
  const failed = run(ends, (_, bytes) => bytes, { server: Uint8Array.of(1) });
  if (failed.size > 0) throw new Error(`the handshake for a session fails: ${[...failed]}`);
  const all = ends.client.takeSessions();
  const session = all.at(-1) ?? ends.client.getSession();
  const bytes = session!.toBytes();
  for (const each of all) each.free();
  session!.free();
  ends.free();
  return bytes;
}

function oneHandshake(ends: Ends, dice: Dice, tls13: boolean, chain: Chain): void {
  const secrets = collector(ends);
  const wires = {
    client: new Wire("client", secrets, () => tls13),
    server: new Wire("server", secrets, () => tls13),
  };
  const from = dice.pick(["client", "server"] as const);
  const victim = from === "client" ? "server" : "client";
  let left = dice.below(from === "client" ? (tls13 ? 5 : 5) : tls13 ? 8 : 6);
  let edits = dice.chance(0.8) ? 1 : 3;
  const piece = dice.chance(0.1) ? dice.pick([1, 2, 7, 100, 1_000]) : 16_384;
  const padding = dice.chance(0.05) ? dice.size(200) : 0;
  const sent: Item[] = [];
  const arrived: Item[] = [];
  const between: Between = (who, bytes) => {
    const items = wires[who].read(bytes);
    if (who !== from) return wires[who].write(items);
    sent.push(...items);
    for (let at = 0; at < items.length && edits > 0; at++) {
      if (left-- > 0) continue;
      change(items, at, dice, tls13, chain);
      edits--;
    }
    arrived.push(...items);
    for (const item of items) note(`${from}, ${NAMES[item.type ?? -1] ?? item.content}`, item.bytes);
    return wires[who].write(items, piece, padding);
  };
  run(ends, between, { client: new Uint8Array(40).fill(1), server: new Uint8Array(40).fill(2) });
  const finished = ends[victim].isInitFinished();
  const changed = transcript(sent, tls13) !== transcript(arrived, tls13);
  // A client of TLS 1.3 that is done has heard the server's Finished; what comes after it is another matter.
  const end = (items: readonly Item[]) => items.filter(({ epoch }) => epoch < 2);
  if (finished && changed && (!tls13 || transcript(end(sent), tls13) !== transcript(end(arrived), tls13))) {
    const what = sent.map(({ type, content }) => NAMES[type ?? -1] ?? content).join(" ");
    throw new Failure(`the ${victim} finishes a handshake that was changed on the way (${what})`);
  }
  for (const role of ["client", "server"] as const) look(ends[role]);
}

/** Reads all that a connection says about itself. */
function look(end: openssl.Ssl): void {
  attempt("what a connection says", () => {
    const certificates = end
      .getPeerCertificates()
      .map(({ subject, subjectAltName }) => [subject, subjectAltName]);
    return [
      ...[certificates, end.getVersion(), end.getCipherName(), end.getGroupName(), end.getServerName()],
      ...[
        end.getAlpnSelected(),
        end.getOcspResponse(),
        end.getVerifyFailure()?.certificate?.subject,
        end.getServerEndPoint(),
      ],
      ...[end.getPeerSignatureName(), end.takeEvents(), end.sessionReused(), end.getEarlyDataStatus()],
    ];
  });
  const session = end.getSession();
  attempt("the session of a connection", () => session?.toBytes());
  session?.free();
  for (const each of end.takeSessions()) each.free();
}

// ---- records behind the handshake --------------------------------------------------------------------------------

export const records: Target = {
  name: "records",
  share: 6,
  start(instance, seed): Run {
    const chain = makeChain(`${seed} ec`, "ec");
    const client = contextOf(instance, "client", chain, openssl.TLS1_3_VERSION, (context) =>
      identify(context, chain),
    );
    const server = contextOf(instance, "server", chain, openssl.TLS1_3_VERSION, (context) => {
      identify(context, chain);
      context.setTicketKeys([new Uint8Array(80).fill(7)]);
      context.setSessionCacheMode(openssl.SSL_SESS_CACHE_OFF);
    });
    return (dice) => {
      const ends = makeEnds(instance, client, server);
      try {
        const secrets = collector(ends);
        const wires = {
          client: new Wire("client", secrets, () => true),
          server: new Wire("server", secrets, () => true),
        };
        if (dice.chance(0.3)) ends.client.setPostHandshakeAuth(true);
        run(ends, (from, bytes) => wires[from].write(wires[from].read(bytes)));
        insist(ends.client.isInitFinished() && ends.server.isInitFinished(), "an honest handshake fails");
        const to = dice.pick(["client", "server"] as const);
        const from = to === "client" ? "server" : "client";
        const items: Item[] = [];
        for (let count = 1 + dice.below(dice.chance(0.1) ? 200 : 12); count > 0; count--) {
          const item = foreign(dice, 2);
          if (item.type !== undefined && dice.chance(0.5)) {
            const field = parseMessage(item.type, item.bytes, true);
            mutateMessage(field, dice, () => {});
            item.bytes = writeField(field);
          }
          if (dice.chance(0.5)) item.content = APPLICATION_DATA;
          if (item.content === APPLICATION_DATA) delete item.type;
          items.push(item);
        }
        let bytes = wires[from].write(
          items,
          dice.chance(0.2) ? 1 + dice.below(40) : 16_384,
          dice.chance(0.3) ? dice.size(16_000) : 0,
        );
        if (dice.chance(0.2)) bytes = dice.garble(bytes);
        let sent = false;
        const actions: (() => void)[] = [
          () => ends[to].keyUpdate(dice.below(3)),
          () => ends[to].verifyClientPostHandshake(),
          () => ends[to].newSessionTicket(),
          () => ends[to].shutdown(),
          () => ends[to].renegotiate(),
          () => ends[to].peek(BUFFER),
        ];
        for (let i = dice.below(3); i > 0; i--) attempt("an operation", () => dice.pick(actions)());
        instance.clearErrors();
        const injected: Between = (who) => {
          if (who !== from || sent) return new Uint8Array(0);
          sent = true;
          return bytes;
        };
        run(ends, injected, { [from]: Uint8Array.of(1) });
        look(ends[to]);
      } finally {
        ends.free();
      }
    };
  },
};

// ---- DTLS --------------------------------------------------------------------------------------------------------

/** A handshake over datagrams, of which some are changed, lost, doubled or late. */
export const datagrams: Target = {
  name: "datagrams",
  share: 7,
  start(instance, seed): Run {
    const chain = makeChain(`${seed} ec`, "ec");
    const make = (role: Role) => {
      const context = instance.newContext(`dtls-${role}`);
      context.addCaCert(write(chain.root));
      context.setGroups("x25519:secp256r1");
      if (role === "client") context.setVerify(openssl.SSL_VERIFY_PEER);
      identify(context, chain);
      context.setSessionCacheMode(openssl.SSL_SESS_CACHE_OFF);
      return context;
    };
    const contexts = { client: make("client"), server: make("server") };
    return (dice) => {
      const pairs = { client: instance.newDatagramPair(1 << 17), server: instance.newDatagramPair(1 << 17) };
      const ends = {
        client: contexts.client.newSsl(pairs.client),
        server: contexts.server.newSsl(pairs.server),
      };
      try {
        ends.client.setConnectState();
        ends.server.setAcceptState();
        for (const end of [ends.client, ends.server]) end.setMtu(dice.pick([300, 576, 1_400, 4_096]));
        const failed = new Set<Role>();
        let late: [Role, Uint8Array][] = [];
        for (let turn = 0; turn < 24; turn++) {
          for (const role of ["client", "server"] as const) {
            const other = role === "client" ? "server" : "client";
            if (!failed.has(role)) {
              const r = ends[role].isInitFinished() ? ends[role].tryRead(BUFFER) : ends[role].tryHandshake();
              if (r < 0 && r !== WANT_READ && r !== WANT_WRITE) failed.add(role);
              instance.clearErrors();
            }
            for (;;) {
              const n = pairs[role].readDatagram(BUFFER);
              if (n <= 0) break;
              let datagram: Uint8Array = BUFFER.slice(0, n);
              if (dice.chance(0.25)) datagram = changeDatagram(datagram, dice, chain);
              if (dice.chance(0.05)) continue;
              if (dice.chance(0.1)) late.push([other, datagram]);
              for (let copies = dice.chance(0.05) ? 2 : 1; copies > 0; copies--)
                if (datagram.length > 0) pairs[other].writeDatagram(datagram);
            }
          }
          if (dice.chance(0.3)) {
            for (const [role, datagram] of late) if (datagram.length > 0) pairs[role].writeDatagram(datagram);
            late = [];
          }
          if (dice.chance(0.1)) ends[dice.pick(["client", "server"] as const)].dtlsHandleTimeout();
        }
        for (const role of ["client", "server"] as const) look(ends[role]);
      } finally {
        for (const each of [ends.client, ends.server, pairs.client, pairs.server]) each.free();
      }
    };
  },
};

/** Header of 13 bytes, of handshake messages in clear 12 more: type, length, sequence, fragment's offset and length. */
function changeDatagram(datagram: Uint8Array, dice: Dice, chain: Chain): Uint8Array {
  const records: Uint8Array[] = [];
  for (let at = 0; at + 13 <= datagram.length; ) {
    const end = at + 13 + ((datagram[at + 11]! << 8) | datagram[at + 12]!);
    records.push(datagram.slice(at, end));
    at = end;
  }
  if (records.length === 0) return datagram;
  const at = dice.below(records.length);
  const record = records[at]!;
  const put = (offset: number, width: number) =>
    record.set(dice.chance(0.5) ? dice.border(width) : dice.bytes(width), offset);
  const clear = record[0] === HANDSHAKE && record[3] === 0 && record[4] === 0 && record.length >= 25;
  switch (dice.below(9)) {
    case 0:
      put(dice.pick([0, 1, 3, 4, 5, 9, 10, 11, 12]), 1);
      break;
    case 1:
      records.splice(at, 0, record);
      break;
    case 2:
      records.reverse();
      break;
    case 3:
      if (clear) put(dice.pick([13, 17]), dice.pick([1, 2]));
      break;
    case 4:
      if (clear) put(dice.pick([14, 19, 22]), 3);
      break;
    case 5:
    case 6:
      if (clear) {
        const field = parseMessage(record[13]!, record.slice(25), false, true);
        mutateMessage(field, dice, (tree) => pki.resign(tree, chain.keys.intermediate));
        const body = writeField(field);
        const length = bigEndian(body.length, 3);
        if (body.length < 16_000)
          records[at] = join(
            record.subarray(0, 11),
            bigEndian(12 + body.length, 2),
            record.subarray(13, 14),
            length,
            record.subarray(17, 22),
            length,
            body,
          );
      }
      break;
    case 7: {
      // In two pieces, which may overlap or leave a gap.
      if (!clear) break;
      const cut = dice.below(record.length - 25 + 1);
      const piece = (from: number, to: number) =>
        join(
          record.subarray(0, 11),
          bigEndian(12 + to - from, 2),
          record.subarray(13, 19),
          bigEndian(from, 3),
          bigEndian(to - from, 3),
          record.subarray(25 + from, 25 + to),
        );
      const size = record.length - 25;
      records.splice(at, 1, piece(0, cut), piece(Math.max(cut - dice.below(3), 0), size));
      break;
    }
    default:
      records[at] = dice.garble(record);
  }
  return join(...records).subarray(0, 60_000);
}

// ---- stapled OCSP responses --------------------------------------------------------------------------------------

const elements = pki.pool();

export const ocsp: Target = {
  name: "OCSP responses",
  share: 6,
  start(instance, seed): Run {
    const chain = makeChain(`${seed} ec`, "ec");
    const issuer = { cn: `${seed} ec intermediate`, key: chain.keys.intermediate };
    const good = pki.ocspResponse(issuer, serialOfLeaf, true);
    const bad = pki.ocspResponse(issuer, serialOfLeaf, false);
    const client = contextOf(instance, "client", chain, openssl.TLS1_3_VERSION, (context) =>
      context.checkOcspResponse(true),
    );
    const server = contextOf(instance, "server", chain, openssl.TLS1_3_VERSION, (context) => {
      identify(context, chain);
      context.setTicketKeys([new Uint8Array(80).fill(7)]);
      context.setSessionCacheMode(openssl.SSL_SESS_CACHE_OFF);
    });
    const accepts = (response: Uint8Array): boolean => {
      if (
        attempt("setOcspResponse", () => server.setOcspResponse(response)) === undefined &&
        response.length === 0
      )
        return false;
      const ends = makeEnds(instance, client, server);
      try {
        run(ends, (_, bytes) => bytes);
        look(ends.client);
        return ends.client.isInitFinished();
      } finally {
        ends.free();
      }
    };
    if (!accepts(write(good)) || accepts(write(bad))) throw new Error("OCSP is not judged as it should be");
    return (dice) => {
      const revoked = dice.chance(0.5);
      const base = revoked ? bad : good;
      const tree = clone(base);
      const basic = pki.basicOf(tree)!;
      const covered = basic.kids![0]!;
      const inside = dice.chance(0.85);
      mutate(inside ? covered : tree, dice, elements);
      const again = inside && dice.chance(0.7);
      if (again) pki.resign(basic, chain.keys.intermediate);
      const bytes = write(tree);
      note("the response", bytes);
      const accepted = accepts(bytes);
      // As it was again, for the next case.
      server.setOcspResponse(write(good));
      if (!accepted || again) return;
      // What is not covered by the signature may change; what it covers may be written otherwise, as BER.
      const signedPart = (bytes: Uint8Array) => {
        const wrapped = parseFirst(bytes)?.kids?.[1]?.kids?.[0]?.kids?.[1];
        const content = wrapped?.bytes ?? join(...(wrapped?.kids ?? []).map(write));
        const part = parseFirst(content)?.kids?.[0];
        return part && canonical(write(part));
      };
      const [now, then] = [signedPart(bytes), signedPart(write(base))!];
      insist(!revoked && now !== undefined && equal(now, then), "a response that is not signed is believed");
    };
  },
};

// ---- through startTls and acceptTls ------------------------------------------------------------------------------

/**
 * What an end of the whole package makes of a first flight: ClientHellos that `selectContext` looks at, and what
 * servers answer.
 */
export const streams: Target = {
  name: "streams",
  share: 5,
  async start(instance, seed): Promise<Run> {
    const chain = makeChain(`${seed} ec`, "ec");
    const cert =
      pki.pem("CERTIFICATE", write(chain.leaf)) + pki.pem("CERTIFICATE", write(chain.intermediate));
    const key = write(chain.keys.leaf.pkcs8);
    const flights = [openssl.TLS1_2_VERSION, openssl.TLS1_3_VERSION].map((version) => {
      const ends = makeEnds(
        instance,
        contextOf(instance, "client", chain, version, (each) => each.setAlpnProtocols(["h2", "http/1.1"])),
        contextOf(instance, "server", chain, version, (each) => identify(each, chain)),
      );
      const first: Partial<Record<Role, Uint8Array>> = {};
      run(ends, (from, bytes) => {
        first[from] ??= bytes;
        return bytes;
      });
      ends.free();
      return { tls13: version === openssl.TLS1_3_VERSION, ...(first as Record<Role, Uint8Array>) };
    });
    let seen = "";
    const selectContext = (hello: ClientHello) => {
      seen = JSON.stringify(hello);
      return undefined;
    };
    const server = await TlsContext.server({ openssl: instance, cert, key, selectContext });
    return async (dice) => {
      const { tls13, ...flight } = dice.pick(flights);
      const from = dice.pick(["client", "client", "server"] as const);
      const wire = new Wire(
        from,
        () => undefined,
        () => tls13,
      );
      const items = wire.read(flight[from]);
      for (let count = 1 + dice.below(2); count > 0; count--) {
        if (items.length > 0) change(items, dice.below(items.length), dice, tls13, chain);
      }
      let bytes: Uint8Array = wire.write(items, dice.chance(0.2) ? dice.pick([1, 3, 100]) : 16_384);
      if (dice.chance(0.1)) bytes = dice.garble(bytes);
      note(`what the ${from} sends`, bytes);
      const step = Math.max(dice.pick([1, 7, 1_000, 100_000]), Math.ceil(bytes.length / 50));
      let at = 0;
      const transport: Transport = {
        readable: new ReadableStream({
          pull(controller) {
            if (at >= bytes.length) return controller.close();
            controller.enqueue(bytes.slice(at, at + step));
            at += step;
          },
        }),
        writable: new WritableStream(),
      };
      const caCerts = write(chain.root);
      const stream = await attemptAsync("a handshake", () =>
        from === "client"
          ? acceptTls(transport, { context: server, handshakeTimeout: 5_000 })
          : startTls(transport, { openssl: instance, hostname: hostOfLeaf, caCerts, sessionStore: false }),
      );
      insist(stream === undefined, "a handshake with half a peer succeeds");
      note("what selectContext was told", seen);
    };
  },
};
