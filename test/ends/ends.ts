/**
 * `npm run peers`: how connections with real peers end, and what is reported of it. Starts each peer, brings it to each
 * of its endings in TLS 1.2 and 1.3, with a tap in between, and makes the table in docs/shutdown.md of what was seen.
 *
 *     tsx test/ends/ends.ts [--write] [--only TEXT]… [--runs N] [--verbose]
 *
 * TEXT is a part of "peer, what happens".
 *
 * Without `--write` it compares: the exit code is 1 if something was seen that the table does not have. With it each
 * case is run three times, since some peers do now this and now that; the cell says both then.
 */
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  acceptTls,
  type CloseInfo,
  startTls,
  TlsError,
  type TlsEvent,
  type TlsStream,
  type Transport,
} from "wassl";
import { nodeTransport } from "wassl/transports/node";
import { PENDING, within } from "../helpers/basics.ts";
import { makeCerts } from "../peers/certs.ts";
import { listen } from "../peers/peer.ts";
import { setUp } from "../setup.ts";
import { end, type Kind, killFamily, kinds, type Running, type World } from "./peers.ts";
import { openTap, type Sight, type Tap } from "./tap.ts";

const document = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "docs", "shutdown.md");
const [tableBegin, tableEnd] = ["<!-- peers: made by `npm run peers -- --write` -->", "<!-- /peers -->"];
const versions = ["1.2", "1.3"] as const;

/** When nothing comes for so long, nothing will, in milliseconds. */
const patience = 4_000;
const shutdownTimeout = 2_000;
const caseTimeout = 30_000;

const { values: options } = parseArgs({
  options: {
    write: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    runs: { type: "string" },
    verbose: { type: "boolean", default: false },
  },
});

interface Connection extends Running {
  stream: TlsStream;
  tap: Tap;
  alerts: TlsEvent[];
  close(): Promise<void>;
}

async function open(
  world: World,
  kind: Kind,
  version: (typeof versions)[number],
  way = "",
): Promise<Connection> {
  const disposers: (() => unknown)[] = [];
  const close = async () => {
    for (const dispose of disposers.reverse()) await dispose();
  };
  try {
    let server: Server | undefined;
    let ourPort = 0;
    if (kind.we === "accept") {
      server = createServer({ allowHalfOpen: true, noDelay: true });
      ({ port: ourPort } = await listen(server, []));
      disposers.push(() => server?.close());
    }
    const taps: Tap[] = [];
    const tapTo = async (port: number) => {
      const tap = await openTap(port, kind.we === "accept");
      taps.push(tap);
      disposers.push(() => tap.close());
      return tap.port;
    };
    const accepted = server && once(server, "connection");
    const running = await kind.start(world, way, server ? await tapTo(ourPort) : 0);
    disposers.push(() => end(running.child));
    let socket: Socket;
    if (accepted) {
      [socket] = (await accepted) as [Socket];
    } else {
      socket = connect({
        port: await tapTo(running.port),
        host: "127.0.0.1",
        allowHalfOpen: true,
        noDelay: true,
      });
      await once(socket, "connect");
    }
    disposers.push(() => socket.destroy());
    const transport = nodeTransport(socket);
    await kind.before?.(transport);
    const [tap] = taps as [Tap];
    tap.beginTls();
    const alerts: TlsEvent[] = [];
    const common = {
      minVersion: `TLSv${version}`,
      maxVersion: `TLSv${version}`,
      onEvent: (event: TlsEvent) => void (event.type === "alert" && alerts.push(event)),
    } as const;
    const { chains, keys, caPem } = world.certs;
    const stream = server
      ? await acceptTls(transport, { ...common, cert: chains.ecdsa, key: keys.ecdsa })
      : await startTls(transport, { ...common, hostname: "localhost", caCerts: caPem });
    disposers.push(() => stream.abort());
    await kind.greet(stream, running.child);
    // What both still have to say about the handshake.
    await sleep(100);
    tap.mark();
    return { ...running, stream, tap, alerts, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Reads to the end, or to what else there is instead of one. */
async function drain(stream: TlsStream): Promise<{ length: number; clean: boolean }> {
  const reader = stream.readable.getReader();
  let length = 0;
  try {
    for (;;) {
      const read = await within(reader.read(), patience);
      if (read === PENDING) return { length, clean: false };
      if (read.done) return { length, clean: true };
      length += read.value.byteLength;
    }
  } catch {
    return { length, clean: false };
  } finally {
    reader.releaseLock();
  }
}

/** shutdown(), and then the transport is closed as well. */
async function shutDown(stream: TlsStream): Promise<void> {
  try {
    const { transport } = await stream.shutdown({ timeout: shutdownTimeout });
    await within(closeBoth(transport), 1_000);
  } catch {
    // `closed` says it.
  }
}

async function closeBoth({ readable, writable }: Transport): Promise<void> {
  await writable.close();
  for await (const _chunk of readable);
}

interface Case {
  label: string;
  way?: string | undefined;
  /** Returns what there is to say about the data. */
  run(connection: Connection): Promise<string | undefined>;
}

function casesOf(kind: Kind): Case[] {
  const { answer, flood } = kind;
  const cases: Case[] = kind.ends.map(({ label, start, act }) => ({
    label: `it ends: ${label}`,
    way: start,
    async run({ stream, child }) {
      await act(stream, child);
      if ((await drain(stream)).clean) await shutDown(stream);
      return undefined;
    },
  }));
  cases.push(
    {
      label: "`shutdown()`",
      async run({ stream }) {
        await shutDown(stream);
        return undefined;
      },
    },
    {
      label: `\`closeWrite()\`, an answer is due: ${answer.label}`,
      way: answer.start,
      async run({ stream, child }) {
        await answer.act(stream, child);
        await stream.closeWrite();
        await sleep(300);
        answer.later?.(child);
        const { length } = await drain(stream);
        return length >= answer.length ? "all of it" : length > 0 ? "a part of it" : "nothing of it";
      },
    },
    {
      label: "it is killed",
      async run({ stream, child }) {
        killFamily(child.pid);
        if ((await drain(stream)).clean) await shutDown(stream);
        return undefined;
      },
    },
  );
  if (flood) {
    cases.push({
      label: "it is killed while it sends",
      async run({ stream, child, tap }) {
        await flood(stream, child);
        // Until it cannot send any more, since its peer does not read.
        while (!(await tap.seen()).theirs.includes("data"));
        killFamily(child.pid);
        if ((await drain(stream)).clean) await shutDown(stream);
        return undefined;
      },
    });
  }
  return cases;
}

interface Report {
  info: CloseInfo | undefined;
  code: string;
}

/** How it ended: what `closed` comes to, unless that takes too long. */
async function reportOf(stream: TlsStream): Promise<Report> {
  try {
    const info = await within(stream.closed, 500);
    return { info: info === PENDING ? undefined : info, code: "none" };
  } catch (error) {
    if (error instanceof TlsError && error.outcome) return { info: error.outcome, code: `\`${error.code}\`` };
    throw error;
  }
}

function wire(
  sights: Sight[],
  direction: "sent" | "received",
  alerts: TlsEvent[],
  data: string | undefined,
): string {
  const names = alerts.flatMap((event) =>
    event.type === "alert" && event.direction === direction ? [event] : [],
  );
  const words = sights.map((sight) => {
    if (typeof sight === "object") return names[sight.alert]?.description ?? "an alert";
    return sight === "data" && data ? data : sight;
  });
  if (data && !words.includes(data)) words.unshift(data);
  return words.filter((word, i) => word !== words[i - 1]).join(", ") || "nothing";
}

/** The cells behind the peer, the version and the case. */
async function observe(
  world: World,
  kind: Kind,
  version: (typeof versions)[number],
  each: Case,
): Promise<string[]> {
  const connection = await open(world, kind, version, each.way);
  try {
    const { stream, tap, alerts } = connection;
    const about = await within(each.run(connection), caseTimeout);
    if (about === PENDING) throw new Error("it does not come to an end");
    const { info, code } = await reportOf(stream);
    const { ours, theirs } = await tap.seen();
    const { sent, received } = stream.shutdownFlags;
    const notify = [
      (info?.sentCloseNotify ?? sent) ? "sent" : "",
      (info?.receivedCloseNotify ?? received) ? "received" : "",
    ];
    const how = info ? `${info.how}${info.truncatedAt ? `: ${info.truncatedAt}` : ""}` : "still open";
    return [
      wire(theirs, "received", alerts, about),
      wire(ours, "sent", alerts, undefined),
      how,
      code,
      notify.filter(Boolean).join(", ") || "neither",
      info ? (info.resumable ? "yes" : "no") : "undecided",
    ];
  } finally {
    await connection.close();
  }
}

/** The row of a case in one version: the cells, and for each what it may be. */
type Seen = Map<string, Set<string>[]>;
const keyOf = (peer: string, version: string, label: string) => `${peer}, TLS ${version}, ${label}`;

const head = [
  "peer",
  "TLS",
  "what happens",
  "the peer sends",
  "we send",
  "how",
  "error",
  "close_notify",
  "resumable",
];
const alternatives = (cell: string) => new Set(cell.split(" or "));

/** The table in the document, and the text around it. */
function readDocument(): { before: string; written: Seen; after: string } {
  const [before = "", rest = ""] = readFileSync(document, "utf8").split(tableBegin);
  const [table = "", after] = rest.split(tableEnd);
  if (after === undefined) throw new Error(`${document} has no place for the table`);
  const written: Seen = new Map();
  for (const line of table
    .split("\n")
    .filter((each) => each.startsWith("|"))
    .slice(2)) {
    const [peer = "", version = "", label = "", ...cells] = line.slice(2, -2).split(" | ");
    for (const each of version === "both" ? versions : [version]) {
      written.set(keyOf(peer, each, label), cells.map(alternatives));
    }
  }
  return { before, written, after };
}

/** In the order of the peers and their cases; the two versions in one row if they do not differ. */
function tableOf(seen: Seen): string {
  const rows = [head, head.map(() => "---")];
  for (const kind of kinds) {
    for (const { label } of casesOf(kind)) {
      const texts = versions.flatMap((version) => {
        const cells = seen.get(keyOf(kind.name, version, label));
        return cells ? [[version, cells.map((cell) => [...cell].sort().join(" or "))] as const] : [];
      });
      const same = texts.length === 2 && texts[0]![1].join() === texts[1]![1].join();
      for (const [version, cells] of same ? texts.slice(1) : texts) {
        rows.push([kind.name, same ? "both" : version, label, ...cells]);
      }
    }
  }
  return rows.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/** What is a matter of chance in one version is so in the other, seen or not. */
function shareChance([one = [], other = []]: Set<string>[][]): void {
  for (const [i, mine] of one.entries()) {
    const theirs = other[i];
    if (!theirs || (mine.size === 1 && theirs.size === 1)) continue;
    for (const cell of [...mine, ...theirs]) {
      mine.add(cell);
      theirs.add(cell);
    }
  }
}

async function main(): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "wassl-peers-"));
  // The daemons that run as another user have their homes there.
  chmodSync(folder, 0o755);
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const tools = setUp();
  const world: World = { tools, certs: makeCerts(tools.openssl, join(folder, "certs")), folder };
  const { before, written, after } = readDocument();
  const { only } = options;
  const wanted = (kind: Kind, label: string) =>
    only.length === 0 || only.some((each) => `${kind.name}, ${label}`.includes(each));
  const runs = Number(options.runs ?? (options.write ? 3 : 1));
  const seen: Seen = new Map();
  const complaints: string[] = [];
  for (const kind of kinds) {
    for (const each of casesOf(kind).filter(({ label }) => wanted(kind, label))) {
      for (const version of versions) {
        const key = keyOf(kind.name, version, each.label);
        for (let run = 0; run < runs; run++) {
          try {
            const cells = await observe(world, kind, version, each);
            if (options.verbose) console.log(`${key}: ${cells.join(" | ")}`);
            const sets = seen.get(key) ?? cells.map(() => new Set<string>());
            for (const [i, cell] of cells.entries()) sets[i]!.add(cell);
            seen.set(key, sets);
          } catch (error) {
            complaints.push(`${key}: ${error instanceof Error ? error.stack : error}`);
          }
        }
      }
      shareChance(versions.flatMap((version) => [seen.get(keyOf(kind.name, version, each.label)) ?? []]));
    }
  }
  console.log(tableOf(seen));
  if (options.write) {
    const all = only.length === 0 ? seen : new Map([...written, ...seen]);
    writeFileSync(document, `${before}${tableBegin}\n\n${tableOf(all)}\n${tableEnd}${after}`);
  } else {
    for (const [key, sets] of seen) {
      const known = written.get(key);
      for (const [i, set] of sets.entries()) {
        for (const cell of set) {
          if (!known?.[i]?.has(cell))
            complaints.push(`${key}: "${head[i + 3]}" was ${cell}, which is not in the table`);
        }
      }
    }
    for (const key of written.keys()) {
      if (only.length === 0 && !seen.has(key)) complaints.push(`${key}: in the table, but not seen`);
    }
  }
  for (const complaint of complaints) console.log(complaint);
  console.log(`${seen.size} cases, ${complaints.length} complaints`);
  return complaints.length === 0;
}

process.exit((await main()) ? 0 : 1);
