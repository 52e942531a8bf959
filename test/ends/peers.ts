/** The peers of the table: how each is started, what it is asked, and how it ends by itself. */

import { type ChildProcess, execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TlsStream, Transport } from "wassl";
import { text, utf8, write } from "../helpers/basics.ts";
import type { CertFiles } from "../peers/certs.ts";
import { serveByNginx } from "../peers/processes.ts";
import { freePort, type Started, start, waitForOutput, waitForPort } from "../peers/program.ts";
import { type Daemon, setUpDaemon, type Tools } from "../setup.ts";

export interface World {
  tools: Tools;
  certs: CertFiles;
  /** Of this run; every user may look into it. */
  folder: string;
}

export interface Running {
  child: Started;
  /** Where it listens; 0 if it connects to us. */
  port: number;
}

interface Act {
  /** Of the table's row. */
  label: string;
  /** A way to start it other than the usual. */
  start?: string;
  act(stream: TlsStream, child: Started): unknown;
}

export interface Kind {
  name: string;
  we: "connect" | "accept";
  /** @param port where we listen, for a peer that connects to us */
  start(world: World, way: string, port: number): Promise<Running>;
  /** What is said before TLS. */
  before?(transport: Transport): Promise<void>;
  /** An exchange, after which nothing is under way. */
  greet(stream: TlsStream, child: Started): Promise<unknown>;
  /** Makes it end. */
  ends: Act[];
  /** Makes it send `length` bytes, of which some are still to be sent when it has seen our close_notify. */
  answer: Act & { length: number; later?(child: Started): unknown };
  /** Makes it send more than is taken. */
  flood?(stream: TlsStream, child: Started): unknown;
}

/** More than all buffers between two programs hold. */
const many = 64 * 2 ** 20;

/** Reads until it fits. What is behind that is lost. */
async function hear(from: Transport, pattern: RegExp): Promise<void> {
  const reader = from.readable.getReader();
  try {
    for (let heard = ""; !pattern.test(heard); ) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`${pattern} was expected, but there is only "${heard}"`);
      heard += text(value);
    }
  } finally {
    reader.releaseLock();
  }
}

const say = (to: Transport, line: string) => write(to.writable, utf8(line));
const ask = async (whom: Transport, line: string, answer: RegExp) => {
  await say(whom, line);
  await hear(whom, answer);
};
const type = (child: Started, line: string) => child.stdin!.write(`${line}\n`);

const repeated = async (child: Started, stream: TlsStream, line: string) => {
  type(child, line);
  await hear(stream, new RegExp(line));
};

/** A folder of its own for a daemon that runs as `user`, with the key that it may read. */
export function homeOf(
  world: World,
  name: string,
  user: number,
): { home: string; key: string; chain: string } {
  const home = mkdtempSync(join(world.folder, `${name}-`));
  const [key, chain] = [join(home, "key.pem"), join(home, "chain.pem")];
  copyFileSync(world.certs.file("ecdsa", "key"), key);
  copyFileSync(world.certs.file("ecdsa", "chain"), chain);
  chmodSync(key, 0o600);
  for (const path of [home, key, chain]) chownSync(path, user, user);
  return { home, key, chain };
}

export const nobody = 65534;

/** The command that runs one of the daemon's programs, as that user. */
const commandOf = (daemon: Daemon, program: string, args: string[], user = 0): [string, string[]] => [
  "env",
  [...daemon.prefix, ...asUser(user), join(daemon.bin, program), ...args],
];
const asUser = (user: number) =>
  user === 0 ? [] : ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups"];

export async function runDaemon(port: number, ...daemon: Parameters<typeof commandOf>): Promise<Running> {
  const child = start(...commandOf(...daemon));
  await waitForPort(port, child);
  return { child, port };
}

/** SIGKILL for a process that we started, and for those that it started. */
export function killFamily(pid: number | undefined): void {
  if (pid === undefined) return;
  // Stopped, it starts no more of them, and they do not see it go.
  signal(pid, "SIGSTOP");
  for (const child of childrenOf(pid)) killFamily(child);
  signal(pid, "SIGKILL");
}

/** Kills it, and waits until it is gone: the next one may use the same files. */
export async function end(child: ChildProcess): Promise<void> {
  killFamily(child.pid);
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

function childrenOf(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return children.split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone already.
  }
}

const opensslServer: Kind = {
  name: "`openssl s_server`",
  we: "connect",
  async start({ tools, certs }) {
    const identity = ["-cert", certs.file("ecdsa", "cert"), "-key", certs.file("ecdsa", "key")];
    const chain = ["-cert_chain", certs.intermediateFile];
    const child = start(tools.openssl, ["s_server", "-accept", "127.0.0.1:0", ...identity, ...chain]);
    const [, port] = await waitForOutput(child, /ACCEPT \S*:(\d+)/);
    return { child, port: Number(port) };
  },
  greet: (stream, child) => repeated(child, stream, "hello"),
  ends: [
    { label: "`Q`", act: (_stream, child) => type(child, "Q") },
    { label: "end of its input", act: (_stream, child) => child.stdin!.end() },
  ],
  answer: { label: "typed later", act() {}, later: (child) => type(child, "late"), length: 5 },
};

const opensslClient: Kind = {
  name: "`openssl s_client`",
  we: "accept",
  async start({ tools, certs }, _way, port) {
    const where = ["-connect", `127.0.0.1:${port}`, "-servername", "localhost", "-CAfile", certs.caFile];
    return { child: start(tools.openssl, ["s_client", ...where]), port: 0 };
  },
  greet: (stream, child) => repeated(child, stream, "hello"),
  ends: opensslServer.ends,
  answer: opensslServer.answer,
};

const gnutlsServer: Kind = {
  name: "`gnutls-serv`",
  we: "connect",
  async start({ tools, certs }, way) {
    const port = await freePort();
    const child = start(tools.gnutlsServ, [
      ...["--port", String(port), "--disable-client-cert", ...(way === "http" ? [] : ["--echo"])],
      ...["--x509certfile", certs.file("ecdsa", "chain"), "--x509keyfile", certs.file("ecdsa", "key")],
    ]);
    await waitForPort(port, child);
    return { child, port };
  },
  greet: async () => {},
  ends: [
    { label: "after an HTTP answer", start: "http", act: (stream) => say(stream, "GET / HTTP/1.0\r\n\r\n") },
  ],
  answer: { label: "an echo", act: (stream) => say(stream, "a line\n"), length: 7 },
};

const gnutlsClient: Kind = {
  name: "`gnutls-cli`",
  we: "accept",
  async start({ tools, certs }, _way, port) {
    const program = tools.gnutlsServ.replace(/gnutls-serv$/, "gnutls-cli");
    const where = ["--port", String(port), "127.0.0.1", "--sni-hostname", "localhost"];
    return {
      child: start(program, [...where, "--verify-hostname", "localhost", "--x509cafile", certs.caFile]),
      port: 0,
    };
  },
  greet: (stream, child) => repeated(child, stream, "hello"),
  ends: [{ label: "end of its input", act: (_stream, child) => child.stdin!.end() }],
  answer: opensslServer.answer,
};

const nodePeer = fileURLToPath(new URL("node-peer.ts", import.meta.url));
const runNode = (...args: string[]) =>
  start(process.execPath, ["--import", import.meta.resolve("tsx"), nodePeer, ...args]);
const halfOpen = (way: string) => (way === "half-open" ? "yes" : "no");

const nodeEnds: Pick<Kind, "ends" | "answer" | "flood"> = {
  ends: [
    { label: "`end()`", act: (_stream, child) => type(child, "end") },
    { label: "`destroy()`", act: (_stream, child) => type(child, "destroy") },
  ],
  answer: {
    label: "written later, `allowHalfOpen`",
    start: "half-open",
    act() {},
    later: (child) => type(child, "say late\nend"),
    length: 5,
  },
  flood: (_stream, child) => type(child, `flood ${many}`),
};

const nodeServer: Kind = {
  name: "node:tls server",
  we: "connect",
  async start({ certs }, way) {
    const child = runNode("server", certs.file("ecdsa", "key"), certs.file("ecdsa", "chain"), halfOpen(way));
    const [, port] = await waitForOutput(child, /port (\d+)/);
    return { child, port: Number(port) };
  },
  greet: (stream) => ask(stream, "hello\n", /hello/),
  ...nodeEnds,
};

const nodeClient: Kind = {
  name: "node:tls client",
  we: "accept",
  start: async ({ certs }, way, port) => ({
    child: runNode("client", String(port), certs.caFile, halfOpen(way)),
    port: 0,
  }),
  greet: (stream) => ask(stream, "hello\n", /hello/),
  ...nodeEnds,
};

const get = (path: string, connection: string) =>
  `GET /${path} HTTP/1.1\r\nHost: localhost\r\nConnection: ${connection}\r\n\r\n`;

const nginx: Kind = {
  name: "nginx",
  we: "connect",
  async start({ tools, certs, folder }) {
    const home = mkdtempSync(join(folder, "nginx-"));
    mkdirSync(join(home, "www"));
    writeFileSync(join(home, "www", "index.html"), "It is nginx that says this.\n");
    openSync(join(home, "www", "many"), "w");
    truncateSync(join(home, "www", "many"), many);
    return serveByNginx(tools.nginx, home, [
      `ssl_certificate ${certs.file("ecdsa", "chain")}`,
      `ssl_certificate_key ${certs.file("ecdsa", "key")}`,
      "ssl_protocols TLSv1.2 TLSv1.3",
      "keepalive_timeout 1s",
    ]);
  },
  greet: (stream) => ask(stream, get("", "keep-alive"), /says this/),
  ends: [
    { label: "`Connection: close`", act: (stream) => say(stream, get("", "close")) },
    { label: "`keepalive_timeout`", act() {} },
  ],
  answer: { label: "64 MiB", act: (stream) => say(stream, get("many", "close")), length: many },
  flood: (stream) => say(stream, get("many", "close")),
};

export const redis: Kind = {
  name: "redis",
  we: "connect",
  async start(world, way) {
    const { home, key, chain } = homeOf(world, "redis", nobody);
    const port = await freePort();
    const tls = [
      "--tls-port",
      String(port),
      "--tls-cert-file",
      chain,
      "--tls-key-file",
      key,
      "--tls-auth-clients",
      "no",
    ];
    const rest = [
      "--tls-ca-cert-file",
      world.certs.caFile,
      "--save",
      "",
      "--dir",
      home,
      "--timeout",
      way === "timeout" ? "1" : "0",
    ];
    return runDaemon(port, setUpDaemon("redis"), "redis-server", [
      "--port",
      "0",
      "--bind",
      "127.0.0.1",
      ...tls,
      ...rest,
    ]);
  },
  greet: (stream) => ask(stream, `SETRANGE big ${many - 1} x\r\n`, /:\d+\r\n/),
  ends: [
    { label: "`QUIT`", act: (stream) => say(stream, "QUIT\r\n") },
    { label: "`timeout`", start: "timeout", act() {} },
  ],
  answer: { label: "64 MiB", act: (stream) => say(stream, "GET big\r\n"), length: many },
  flood: (stream) => say(stream, "GET big\r\n"),
};

/** A message of PostgreSQL's protocol: type, length, content. */
function message(kind: string, content: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(content as Uint8Array);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length + 4);
  return new Uint8Array(Buffer.concat([Buffer.from(kind), length, bytes]));
}
const query = (stream: TlsStream, sql: string) => write(stream.writable, message("Q", `${sql}\0`));
/** The end of ReadyForQuery, when idle. */
const readyForQuery = /Z.{4}I$/s;

let cluster: Promise<string> | undefined;

export const postgres: Kind = {
  name: "postgres",
  we: "connect",
  async start(world) {
    const daemon = setUpDaemon("postgres");
    cluster ??= (async () => {
      const { home } = homeOf(world, "postgres", nobody);
      const settings = ["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"];
      const [command, args] = commandOf(daemon, "initdb", ["-D", join(home, "data"), ...settings], nobody);
      execFileSync(command, args, { stdio: "pipe" });
      return home;
    })();
    const home = await cluster;
    const port = await freePort();
    const settings = {
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      fsync: "off",
      ssl: "on",
      ssl_cert_file: join(home, "chain.pem"),
      ssl_key_file: join(home, "key.pem"),
    };
    const args = ["-D", join(home, "data"), "-p", String(port)];
    for (const [name, value] of Object.entries(settings)) args.push("-c", `${name}=${value}`);
    const running = await runDaemon(port, daemon, "postgres", args, nobody);
    // It listens before that, but after a SIGKILL there is something to recover.
    await waitForOutput(running.child, /ready to accept connections/);
    return running;
  },
  async before(transport) {
    // SSLRequest, which is answered with one letter.
    await write(transport.writable, message("", Uint8Array.of(4, 210, 22, 47)));
    await hear(transport, /^S$/);
  },
  async greet(stream) {
    const startup = "\0\x03\0\0user\0postgres\0\0";
    await write(stream.writable, message("", startup));
    await hear(stream, readyForQuery);
  },
  ends: [
    { label: "Terminate", act: (stream) => write(stream.writable, message("X", "")) },
    {
      label: "`pg_terminate_backend()`",
      act: (stream) => query(stream, "SELECT pg_terminate_backend(pg_backend_pid())"),
    },
  ],
  answer: {
    label: "1 MB, half a second later",
    act: (stream) => query(stream, "SELECT pg_sleep(0.5), repeat('x', 1000000)"),
    length: 1_000_000,
  },
  flood: (stream) =>
    query(stream, "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT"),
};

export const dovecot: Kind = {
  name: "dovecot",
  we: "connect",
  async start(world, way) {
    const { home, key, chain } = homeOf(world, "dovecot", nobody);
    const port = await freePort();
    const mail = join(home, "mail");
    for (const folder of [mail, join(mail, "cur"), join(mail, "new"), join(mail, "tmp")]) {
      mkdirSync(folder);
      chownSync(folder, nobody, nobody);
    }
    const letter = join(mail, "cur", "1.large:2,");
    writeFileSync(letter, `Subject: large\n\n${`${"x".repeat(99)}\n`.repeat(many / 100)}`);
    chownSync(letter, nobody, nobody);
    const file = join(home, "dovecot.conf");
    writeFileSync(
      file,
      `base_dir = ${home}/run
state_dir = ${home}/state
log_path = /dev/stderr
protocols = ${way === "pop3" ? "pop3" : "imap"}
listen = 127.0.0.1
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
first_valid_uid = 1
ssl = required
ssl_cert = <${chain}
ssl_key = <${key}
mail_location = maildir:${mail}
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=${mail}
}
service imap-login {
  inet_listener imap {
    port = ${way === "starttls" ? port : 0}
  }
  inet_listener imaps {
    port = ${way === "" ? port : 0}
  }
}
service pop3-login {
  inet_listener pop3 {
    port = ${port}
  }
  inet_listener pop3s {
    port = 0
  }
}
`,
    );
    return runDaemon(port, setUpDaemon(way === "pop3" ? "dovecot-pop3" : "dovecot"), "dovecot", [
      "-F",
      "-c",
      file,
    ]);
  },
  async greet(stream) {
    await hear(stream, /^\* OK.*\r\n$/s);
    await ask(stream, "a LOGIN user pass\r\n", /^a OK.*\r\n$/m);
    await ask(stream, "b SELECT INBOX\r\n", /^b OK.*\r\n$/m);
  },
  ends: [{ label: "`LOGOUT`", act: (stream) => say(stream, "c LOGOUT\r\n") }],
  answer: { label: "64 MiB", act: (stream) => say(stream, "d FETCH 1 BODY[]\r\n"), length: many },
  flood: (stream) => say(stream, "d FETCH 1 BODY[]\r\n"),
};

const debianExim = 65533;

export const exim: Kind = {
  name: "exim",
  we: "connect",
  async start(world, way) {
    const { home, key, chain } = homeOf(world, "exim", debianExim);
    const port = await freePort();
    const file = join(home, "exim.conf");
    writeFileSync(
      file,
      `primary_hostname = localhost
spool_directory = ${home}/spool
log_file_path = ${home}/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
tls_advertise_hosts = *
tls_certificate = ${chain}
tls_privatekey = ${key}
host_lookup =
smtp_receive_timeout = ${way === "timeout" ? "1s" : "5m"}
acl_smtp_helo = helo
begin acl
helo:
  warn condition = \${if eq{$sender_helo_name}{slow.test}}
    delay = 1s
  accept
`,
    );
    return runDaemon(port, setUpDaemon("exim"), "exim4", ["-bdf", "-C", file]);
  },
  async before(transport) {
    await hear(transport, /^220 .*\r\n$/);
    await ask(transport, "EHLO us.test\r\n", /^250 .*\r\n$/m);
    await ask(transport, "STARTTLS\r\n", /^220 .*\r\n$/m);
  },
  greet: (stream) => ask(stream, "EHLO us.test\r\n", /^250 .*\r\n$/m),
  ends: [
    { label: "`QUIT`", act: (stream) => say(stream, "QUIT\r\n") },
    { label: "`smtp_receive_timeout`", start: "timeout", act() {} },
  ],
  answer: { label: "a second later", act: (stream) => say(stream, "EHLO slow.test\r\n"), length: 50 },
};

export const kinds: Kind[] = [
  opensslServer,
  opensslClient,
  gnutlsServer,
  gnutlsClient,
  nodeServer,
  nodeClient,
  nginx,
  redis,
  postgres,
  dovecot,
  exim,
];
