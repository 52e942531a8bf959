/** The real servers that the clients talk to: Debian's, each with a certificate for localhost and a log that tells much. */
import { createHash } from "node:crypto";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dovecot, homeOf, nobody, postgres, type Running, runDaemon, type World } from "../ends/peers.ts";
import { freePort, waitForPort } from "../peers/program.ts";
import { setUpDaemon } from "../setup.ts";

export interface Started extends Running {
  /** For the client. */
  more?: Record<string, string>;
  /** What the server has written elsewhere than to its output. */
  log?(): string;
  /** The hashes of what the server has stored. */
  stored?(): string[];
}

export interface Server {
  start(world: World): Promise<Started>;
  /** What the log has where a client's end was cut off. */
  truncation: RegExp;
}

const debianExim = 65533;
const sha256 = (data: string) => createHash("sha256").update(data).digest("hex");

/** Of quoted-printable, in which nodemailer sends where it likes to; what is sent has no "=" itself. */
const decoded = (text: string) => text.replaceAll("=\n", "").replaceAll("=3D", "=");

/** @param way "465": TLS from the first byte; "starttls" */
async function exim(world: World, way: "465" | "starttls"): Promise<Started> {
  const { home, key, chain } = homeOf(world, "exim", debianExim);
  const port = await freePort();
  const file = join(home, "exim.conf");
  // What it takes it keeps in its spool.
  writeFileSync(
    file,
    `primary_hostname = localhost
spool_directory = ${home}/spool
log_file_path = ${home}/%slog
log_selector = +all
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
${way === "465" ? `tls_on_connect_ports = ${port}` : ""}
tls_advertise_hosts = *
tls_certificate = ${chain}
tls_privatekey = ${key}
host_lookup =
rfc1413_hosts =
queue_only
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  require condition = \${if def:tls_in_cipher}
  accept
data:
  accept
begin routers
keep:
  driver = accept
  transport = keep
begin transports
keep:
  driver = appendfile
  file = ${home}/kept
`,
  );
  const running = await runDaemon(port, setUpDaemon("exim"), "exim4", ["-bdf", "-C", file]);
  const input = join(home, "spool", "input");
  return {
    ...running,
    log: () => (existsSync(join(home, "mainlog")) ? readFileSync(join(home, "mainlog"), "utf8") : ""),
    // The first line is the file's own name.
    stored: () =>
      (existsSync(input) ? readdirSync(input) : [])
        .filter((name) => name.endsWith("-D"))
        .map((name) => sha256(decoded(readFileSync(join(input, name), "latin1").replace(/^.*\n/, "")))),
  };
}

async function redis(world: World): Promise<Started> {
  const { home, key, chain } = homeOf(world, "redis", nobody);
  const port = await freePort();
  const settings = {
    port: 0,
    bind: "127.0.0.1",
    "tls-port": port,
    "tls-cert-file": chain,
    "tls-key-file": key,
    "tls-auth-clients": "no",
    "tls-ca-cert-file": chain,
    save: "",
    dir: home,
    loglevel: "verbose",
    requirepass: "secret",
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return await runDaemon(port, setUpDaemon("redis"), "redis-server", args, nobody);
}

async function mariadb(world: World): Promise<Started> {
  const port = await freePort();
  const { home, key, chain } = homeOf(world, "mariadb", nobody);
  const args = [
    "--no-defaults",
    `--datadir=${home}`,
    `--socket=${home}/socket`,
    "--bind-address=127.0.0.1",
    `--port=${port}`,
    "--skip-grant-tables",
    "--log-warnings=9",
    "--max-allowed-packet=64M",
    `--ssl-cert=${chain}`,
    `--ssl-key=${key}`,
  ];
  return await runDaemon(port, setUpDaemon("mariadb"), "mariadbd", args, nobody);
}

async function mosquitto(world: World): Promise<Started> {
  const { home, key, chain } = homeOf(world, "mosquitto", nobody);
  const port = await freePort();
  const file = join(home, "mosquitto.conf");
  writeFileSync(
    file,
    `listener ${port} 127.0.0.1
certfile ${chain}
keyfile ${key}
allow_anonymous true
log_dest stderr
log_type all
`,
  );
  return await runDaemon(port, setUpDaemon("mosquitto"), "mosquitto", ["-c", file], nobody);
}

/** Takes data only over a connection whose session is that of the control connection. */
async function vsftpd(world: World): Promise<Started> {
  const { home, key, chain } = homeOf(world, "vsftpd", nobody);
  const port = await freePort();
  const passive = await freePort();
  const file = join(home, "vsftpd.conf");
  for (const folder of ["empty", "files"]) mkdirSync(join(home, folder));
  mkdirSync(join(home, "files", "up"));
  chownSync(join(home, "files", "up"), nobody, nobody);
  writeFileSync(
    file,
    `listen=YES
listen_address=127.0.0.1
listen_port=${port}
background=NO
anonymous_enable=YES
anon_root=${home}/files
write_enable=YES
anon_upload_enable=YES
anon_world_readable_only=NO
anon_umask=022
no_anon_password=YES
ftp_username=nobody
nopriv_user=nobody
seccomp_sandbox=NO
secure_chroot_dir=${home}/empty
pasv_min_port=${passive}
pasv_max_port=${passive}
pasv_address=127.0.0.1
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
strict_ssl_read_eof=YES
strict_ssl_write_shutdown=YES
debug_ssl=YES
rsa_cert_file=${chain}
rsa_private_key_file=${key}
ssl_ciphers=HIGH
log_ftp_protocol=YES
xferlog_enable=YES
vsftpd_log_file=${home}/log
`,
  );
  chownSync(file, 0, 0);
  const running = await runDaemon(port, setUpDaemon("vsftpd"), "vsftpd", [file]);
  return { ...running, log: () => readFileSync(join(home, "log"), "utf8") };
}

async function slapd(world: World): Promise<Started> {
  const { home, key, chain } = homeOf(world, "slapd", nobody);
  const [port, tls] = [await freePort(), await freePort()];
  const daemon = setUpDaemon("slapd");
  const file = join(home, "slapd.conf");
  mkdirSync(join(home, "db"));
  writeFileSync(
    file,
    `pidfile ${home}/pid
TLSCertificateFile ${chain}
TLSCertificateKeyFile ${key}
modulepath /usr/lib/ldap
moduleload back_mdb
attributetype ( 1.3.6.1.4.1.99999.1 NAME 'blob' SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
attributetype ( 1.3.6.1.4.1.99999.2 NAME 'o' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.3 NAME 'cn' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 EQUALITY caseIgnoreMatch )
objectclass ( 1.3.6.1.4.1.99999.4 NAME 'thing' STRUCTURAL MUST cn MAY ( o $ blob ) )
sockbuf_max_incoming 16777215
sockbuf_max_incoming_auth 16777215
database mdb
maxsize 268435456
suffix "cn=root"
rootdn "cn=root"
rootpw secret
directory ${home}/db
`,
  );
  const args = ["-h", `ldap://127.0.0.1:${port}/ ldaps://127.0.0.1:${tls}/`, "-f", file, "-d", "256"];
  const running = await runDaemon(port, daemon, "slapd", args);
  await waitForPort(tls, running.child);
  return { ...running, more: { ldaps: String(tls) } };
}

async function nats(world: World): Promise<Started> {
  const { home, key, chain } = homeOf(world, "nats", nobody);
  const port = await freePort();
  const file = join(home, "nats.conf");
  writeFileSync(
    file,
    `host: 127.0.0.1
port: ${port}
max_payload: 8MB
debug: true
tls { cert_file: "${chain}", key_file: "${key}" }
`,
  );
  return await runDaemon(port, setUpDaemon("nats"), "nats-server", ["-c", file], nobody);
}

async function ngircd(world: World): Promise<Started> {
  const { home, key, chain } = homeOf(world, "ngircd", nobody);
  const port = await freePort();
  const file = join(home, "ngircd.conf");
  writeFileSync(
    file,
    `[Global]
Name = irc.wassl.test
Info = test
Listen = 127.0.0.1
Ports = ${await freePort()}
PidFile = ${home}/pid
[Limits]
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
[SSL]
CertFile = ${chain}
KeyFile = ${key}
Ports = ${port}
`,
  );
  return await runDaemon(port, setUpDaemon("ngircd"), "ngircd", ["-n", "-f", file], nobody);
}

const all = {
  postgres: {
    start: (world) => postgres.start(world, "", 0),
    truncation: /SSL error|could not receive data|unexpected EOF/,
  },
  redis: { start: redis, truncation: /unexpected eof/i },
  imaps: {
    start: (world) => dovecot.start(world, "", 0),
    truncation: /unexpected eof|Connection closed \(/i,
  },
  imap: {
    start: (world) => dovecot.start(world, "starttls", 0),
    truncation: /unexpected eof|Connection closed \(/i,
  },
  smtps: {
    start: (world) => exim(world, "465"),
    truncation: /non-properly terminated|unexpectedly|unexpected eof/i,
  },
  smtp: {
    start: (world) => exim(world, "starttls"),
    truncation: /non-properly terminated|unexpectedly|unexpected eof/i,
  },
  mariadb: {
    start: mariadb,
    truncation:
      /unexpected eof|Got an error reading communication packets|Aborted connection (?!.*This connection closed normally)/i,
  },
  mosquitto: { start: mosquitto, truncation: /unexpected eof|closed its connection|Socket error/i },
  vsftpd: { start: vsftpd, truncation: /shutdown failed|SSL_read|no session|reuse/i },
  slapd: { start: slapd, truncation: /connection lost|TLS: can't|unexpected eof/i },
  nats: { start: nats, truncation: /unexpected EOF|TLS.*error/i },
  ngircd: { start: ngircd, truncation: /Socket closed by peer|SSL protocol error/i },
} satisfies Record<string, Server>;

export type ServerName = keyof typeof all;
export const servers: Record<ServerName, Server> = all;
