/**
 * The first half of `npm run peers`: `wassl connect --starttls` to real servers of the eight protocols, and a word with
 * each of them in TLS.
 *
 *     tsx test/ends/starttls.ts [--only PROTOCOL]…
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { makeCerts } from "../peers/certs.ts";
import { freePort } from "../peers/program.ts";
import { setUp, setUpDaemon } from "../setup.ts";
import {
  dovecot,
  end,
  exim,
  homeOf,
  nobody,
  postgres,
  type Running,
  runDaemon,
  type World,
} from "./peers.ts";

interface Server {
  start(world: World): Promise<Running>;
  /** What is said in TLS, what the server answers to it, and what it is told then. */
  say: string | Uint8Array;
  /** A text is what it begins with. */
  answer: RegExp | string;
  bye: string | Uint8Array;
}

const latin1 = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** A folder with the key, and a file of settings in it, which Prosody insists to be Lua by its name. */
function configured(
  world: World,
  name: string,
  settings: (at: { home: string; key: string; chain: string }) => string,
) {
  const at = homeOf(world, name, nobody);
  const file = join(at.home, "settings.lua");
  writeFileSync(file, settings(at));
  return { ...at, file };
}

const servers: Record<string, Server> = {
  smtp: {
    start: (world) => exim.start(world, "", 0),
    say: "EHLO us.test\r\n",
    answer: /^250-localhost Hello[\s\S]*^250 /m,
    bye: "QUIT\r\n",
  },

  imap: {
    start: (world) => dovecot.start(world, "starttls", 0),
    say: "a LOGIN user pass\r\n",
    answer: /^a OK .*\r\n/m,
    bye: "b LOGOUT\r\n",
  },

  pop3: {
    start: (world) => dovecot.start(world, "pop3", 0),
    say: "USER user\r\nPASS pass\r\n",
    answer: /\+OK Logged in/,
    bye: "QUIT\r\n",
  },

  ftp: {
    async start(world) {
      const port = await freePort();
      const { file } = configured(world, "vsftpd", ({ home, key, chain }) => {
        mkdirSync(join(home, "empty"));
        return `listen=YES
listen_address=127.0.0.1
listen_port=${port}
background=NO
anonymous_enable=YES
ftp_username=nobody
nopriv_user=nobody
seccomp_sandbox=NO
secure_chroot_dir=${home}/empty
ssl_enable=YES
allow_anon_ssl=YES
rsa_cert_file=${chain}
rsa_private_key_file=${key}
ssl_ciphers=HIGH
`;
      });
      chownSync(file, 0, 0);
      return await runDaemon(port, setUpDaemon("vsftpd"), "vsftpd", [file]);
    },
    say: "PBSZ 0\r\n",
    answer: /^200 PBSZ/m,
    bye: "QUIT\r\n",
  },

  postgres: {
    start: (world) => postgres.start(world, "", 0),
    say: latin1("\0\0\0\x17\0\x03\0\0user\0postgres\0\0"),
    answer: /server_version[\s\S]*I$/,
    bye: latin1("X\0\0\0\x04"),
  },

  mysql: {
    async start(world) {
      const port = await freePort();
      const { home, key, chain } = homeOf(world, "mariadb", nobody);
      const args = [`--datadir=${home}`, `--socket=${home}/socket`, "--bind-address=127.0.0.1"];
      const running = await runDaemon(
        port,
        setUpDaemon("mariadb"),
        "mariadbd",
        [
          "--no-defaults",
          ...args,
          `--port=${port}`,
          "--skip-grant-tables",
          `--ssl-cert=${chain}`,
          `--ssl-key=${key}`,
        ],
        nobody,
      );
      return running;
    },
    // The answer to the handshake, number 2: capabilities, the longest packet, the character set, 23 zeros, user, no
    // password.
    say: latin1(`\x26\0\0\x02\0\x8a\0\0\0\0\0\x01-${"\0".repeat(23)}root\0\0`),
    answer: "\x07\0\0\x03\0\0\0",
    bye: latin1("\x01\0\0\0\x01"),
  },

  xmpp: {
    async start(world) {
      const port = await freePort();
      const { file } = configured(
        world,
        "prosody",
        ({ home, key, chain }) => `daemonize = false
run_as_root = true
pidfile = "${home}/pid"
data_path = "${home}"
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
s2s_ports = { }
modules_enabled = { "tls", "saslauth" }
modules_disabled = { "s2s", "s2s_auth_certs" }
ssl = { key = "${key}", certificate = "${chain}" }
VirtualHost "localhost"
`,
      );
      return await runDaemon(port, setUpDaemon("prosody"), "prosody", ["--config", file]);
    },
    say: "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' to='localhost' version='1.0'>",
    answer: /<mechanisms/,
    bye: "</stream:stream>",
  },

  ldap: {
    async start(world) {
      const port = await freePort();
      const { file } = configured(
        world,
        "slapd",
        ({ home, key, chain }) => `pidfile ${home}/pid
TLSCertificateFile ${chain}
TLSCertificateKeyFile ${key}
`,
      );
      const args = ["-h", `ldap://127.0.0.1:${port}/`, "-f", file, "-d", "0"];
      return await runDaemon(port, setUpDaemon("slapd"), "slapd", args);
    },
    // An anonymous bind, its success, and unbind.
    say: latin1("0\x0c\x02\x01\x02`\x07\x02\x01\x03\x04\0\x80\0"),
    answer: "0\x0c\x02\x01\x02a\x07\n\x01\0\x04\0\x04\0",
    bye: latin1("0\x05\x02\x01\x03B\0"),
  },
};

const program = fileURLToPath(new URL("../../dist/cli/bin.js", import.meta.url));

const fits = (heard: string, answer: RegExp | string) =>
  typeof answer === "string" ? heard.startsWith(answer) : answer.test(heard);

/** What there is to complain of. */
async function check(world: World, protocol: string, server: Server): Promise<string | undefined> {
  const running = await server.start(world);
  try {
    const args = [
      "--starttls",
      protocol,
      "--ca",
      world.certs.caFile,
      "--timeout",
      "10",
      "--eof-policy",
      "ignore",
    ];
    const child = spawn(process.execPath, [program, "connect", `localhost:${running.port}`, ...args]);
    const closed = once(child, "close");
    let heard = "";
    let told = "";
    let answered = false;
    child.stdin.on("error", () => {});
    child.stderr.on("data", (chunk: Buffer) => (told += chunk));
    child.stdout.on("data", (chunk: Buffer) => {
      heard += chunk.toString("latin1");
      if (answered || !fits(heard, server.answer)) return;
      answered = true;
      child.stdin.end(server.bye);
    });
    child.stdin.write(server.say);
    const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
    const [code] = await closed;
    clearTimeout(timer);
    console.log(`${protocol}: ${told.trim().replaceAll("\n", "; ")}`);
    if (answered && code === 0) return undefined;
    return `${protocol}: exit ${code}, and it said ${JSON.stringify(heard)}\n${told}\n${running.child.output}`;
  } finally {
    await end(running.child);
  }
}

const { values: options } = parseArgs({ options: { only: { type: "string", multiple: true } } });
const folder = mkdtempSync(join(tmpdir(), "wassl-starttls-"));
// The daemons that run as another user have their homes there.
chmodSync(folder, 0o755);
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const tools = setUp();
const world: World = { tools, certs: makeCerts(tools.openssl, join(folder, "certs")), folder };
const complaints: string[] = [];
for (const [protocol, server] of Object.entries(servers)) {
  if (options.only && !options.only.includes(protocol)) continue;
  const complaint = await check(world, protocol, server).catch((error) => `${protocol}: ${error.stack}`);
  if (complaint) complaints.push(complaint);
}
for (const complaint of complaints) console.error(complaint);
console.log(
  complaints.length === 0 ? "STARTTLS: all as it should be" : `STARTTLS: ${complaints.length} went wrong`,
);
process.exit(complaints.length === 0 ? 0 : 1);
