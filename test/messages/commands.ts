/** What the command line tells. */
import { mkdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { startTls } from "wassl";
import { nodeTransport } from "wassl/transports/node";
import { certFile, connectTo, Run, type RunOptions, serveWith } from "../helpers/cli.ts";
import { afterTest, env } from "../helpers/env.ts";
import type { Table } from "./told.ts";

/** Its last line, as an error. What is said of the arguments has no code of its own. */
async function thrown(run: Run): Promise<never> {
  const exit = await run.ended;
  const { error } = (run.lines.findLast((line) => "error" in line) ?? run.outcome) as Run["outcome"];
  throw Object.assign(new Error(error?.message ?? `it ended with ${exit}`), {
    code: error?.code ?? (exit === 2 ? "usage" : "none"),
  });
}
const says =
  (line: string, options: RunOptions = {}) =>
  () =>
    thrown(new Run(line.split(" "), options));
const serve = (line: string) => () =>
  thrown(
    new Run(["serve", "0", "--cert", certFile("ecdsa"), "--key", certFile("ecdsaKey"), ...line.split(" ")]),
  );

/** A port of 127.0.0.1, on which nobody says anything. */
async function silent(): Promise<number> {
  const server = createServer((socket) => void afterTest(() => socket.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  afterTest(() => server.close());
  return (server.address() as { port: number }).port;
}

export const commands: Table = {
  "command line: what is asked for": [
    ["an unknown command", says("conect"), "usage", 'there is no command "conect"; see wassl --help'],
    [
      "an unknown option",
      says("connect localhost:1 --insecure"),
      "usage",
      "Unknown option '--insecure'; see wassl connect --help",
    ],
    [
      "an option without its value",
      says("connect localhost:1 --ca"),
      "usage",
      "Option '--ca' …; see wassl connect --help",
    ],
    [
      "one of several words",
      says("serve 0 --client-auth maybe"),
      "usage",
      '--client-auth is none, request, require; not "maybe"',
    ],
    [
      "a number",
      says("connect localhost:1 --seclevel high"),
      "usage",
      '--seclevel is a number, 0 or more; not "high"',
    ],
    [
      "a time",
      says("connect localhost:1 --timeout 0"),
      "usage",
      '--timeout is a number of seconds, more than 0; not "0"',
    ],
    ["nothing", says("connect"), "usage", "HOST:PORT is missing"],
    ["no port", says("connect localhost"), "usage", '"localhost" is not HOST:PORT'],
    [
      "two places",
      says("connect localhost:1 localhost:2"),
      "usage",
      '"localhost:2" is one too many: there is one HOST:PORT',
    ],
    ["two ports", says("serve 0 1"), "usage", '"1" is one too many: there is one [HOST:]PORT'],
    ["no file", says("verify"), "usage", "FILE is missing: the certificate to verify"],
    [
      "a time of verify",
      says("verify cert.pem --time noon"),
      "usage",
      '--time is like 2026-11-25T12:00:00Z; not "noon"',
    ],
    [
      "a file that is not there",
      says("verify nothing.pem"),
      "usage",
      "FILE: ENOENT: no such file or directory, open 'nothing.pem'",
    ],
    [
      "a file that is no certificate",
      () => thrown(new Run(["verify", certFile("ecdsaKey")])),
      "usage",
      "…/cli-certs/ecdsaKey: the certificate cannot be read: it is PEM of EC PRIVATE KEY",
    ],
  ],
  "command line: an identity": [
    [
      "two of them",
      says("connect localhost:1 --p12 a.p12 --cert b.pem"),
      "usage",
      "--p12 stands for --cert and --key; give either",
    ],
    ["a key without its certificate", says("connect localhost:1 --key a.pem"), "usage", "--key needs --cert"],
    ["a server without one", says("serve 0"), "usage", "a server needs --cert, --p12 or --psk"],
    [
      "a pre-shared key without a colon",
      says("connect localhost:1 --psk pass:abc"),
      "usage",
      "--psk is IDENTITY:HEX",
    ],
    [
      "a hash without a pre-shared key",
      says("connect localhost:1 --psk-hash sha384"),
      "usage",
      "--psk-hash needs --psk",
    ],
    [
      "a passphrase in a word",
      says("connect localhost:1 --pass secret"),
      "usage",
      "--pass is env:NAME, file:PATH or pass:TEXT",
    ],
    [
      "a passphrase that is not there",
      says("connect localhost:1 --pass env:NOBODY"),
      "usage",
      "--pass: there is no NOBODY in the environment",
    ],
    [
      "standard input for two",
      says("connect localhost:1 --cert - --ca -"),
      "usage",
      "--ca -: --key has standard input already",
    ],
    [
      "a value that the library refuses",
      async () => thrown(await connectTo("tls?id=messages", ["--groups", "nope"])),
      "invalid-argument",
      '--groups: groups "nope": this build of OpenSSL does not know "nope"',
    ],
  ],
  "command line: connect": [
    [
      "early data without a session",
      () => thrown(new Run(["connect", "localhost:1", "--early-data", own("early", "x")])),
      "usage",
      "--early-data needs --session-in: it goes with a session that is resumed",
    ],
    [
      "early data that is empty",
      async () => {
        const [session, early] = [await aSession(), own("empty", "")];
        return connectTo("tls?id=messages", ["--session-in", session, "--early-data", early]).then(thrown);
      },
      "usage",
      "--early-data: the file is empty",
    ],
    [
      "a session that is none",
      () => connectTo("tls?id=messages", ["--session-in", certFile("ca")]).then(thrown),
      "invalid-argument",
      "--session-in: this is no session: it is damaged, or something else",
    ],
    [
      "a file of secrets that is none",
      () => connectTo("tls?id=messages", ["--session-out", "/dev/null"]).then(thrown),
      "usage",
      "--session-out: /dev/null is not a plain file",
    ],
    [
      "a file of secrets that is a folder",
      says("connect localhost:1 --session-out /"),
      "usage",
      "--session-out: / is a directory",
    ],
    [
      "a folder of secrets that is none",
      says("connect localhost:1 --session-out /no/such/folder/x"),
      "usage",
      "--session-out: /no/such/folder does not exist",
    ],
    [
      "options that leave nothing to offer",
      says("connect localhost:1 --max 1.2 --ciphers PSK"),
      "usage",
      "no ClientHello can be made of these options: no ciphers available (No ciphers enabled for max supported SSL/TLS version)",
    ],
    [
      "a name to verify that is none",
      says("connect localhost:1 --verify-host a_b%"),
      "usage",
      '--verify-host: hostname "a_b%" is neither a host name nor an IP address',
    ],
    [
      "a relay that is none",
      says("connect localhost:1 --via http://localhost/"),
      "usage",
      '--via is a ws:// or wss:// URL; not "http://localhost/"',
    ],

    [
      "nobody there",
      says("connect 127.0.0.1:1"),
      "transport",
      "no connection to 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1",
    ],
    [
      "a server that says nothing",
      async () => thrown(new Run(["connect", `127.0.0.1:${await silent()}`, "--timeout", "0.05"])),
      "timeout",
      "no TLS with 127.0.0.1:… within 0.05 s",
    ],
    [
      "a server that does not end",
      async () => thrown(await connectTo("tls?do=mute&id=messages", ["--timeout", "0.2"])),
      "timeout",
      "nothing from the peer for 0.2 s after our end",
    ],
    [
      "a session that is a folder",
      () => thrown(new Run(["connect", "localhost:1", "--session-in", process.cwd()])),
      "usage",
      "--session-in: EISDIR: illegal operation on a directory, read",
    ],
  ],
  "command line: serve": [
    ["two answers", serve("--www --echo"), "usage", "--www or --echo, not both"],
    [
      "a late question among answers",
      serve("--echo --enable-pha"),
      "usage",
      "--enable-pha: with --echo clients are asked in the handshake alone",
    ],
    [
      "a late question for nothing",
      serve("--enable-pha"),
      "usage",
      "--enable-pha needs --client-auth request or require",
    ],
    [
      "a count for one connection",
      serve("--naccept 2"),
      "usage",
      "--naccept needs --www, --echo or --rev: without them there is one connection",
    ],
    [
      "early data without tickets",
      serve("--early-data 100 --www --no-tickets"),
      "usage",
      "--early-data and --no-tickets do not go together: it comes with a session of an earlier connection",
    ],
    [
      "nobody who could end it",
      serve("--www --close none"),
      "usage",
      "--close none: with --www there is no standard input that could end",
    ],
    [
      "HTTP/1 for h2",
      serve("--www --alpn h2"),
      "usage",
      '--www speaks HTTP/1, so --alpn can be http/1.1 or http/1.0; not "h2"',
    ],
    [
      "trust anchors that nobody needs",
      serve("--ca ca.pem"),
      "usage",
      "--ca needs --client-auth: without it no client is asked for a certificate",
    ],
    [
      "a client that says nothing",
      () => served([], "--timeout 0.1"),
      "timeout",
      "no TLS with the client within 100 ms",
    ],
    [
      "a client that is idle",
      () => served(["hello"], "--echo --naccept 1 --timeout 2"),
      "timeout",
      "the client was idle for 2 s",
    ],
    [
      "a port that is taken",
      async () => {
        const port = await silent();
        await thrown(
          new Run(["serve", `127.0.0.1:${port}`, "--cert", certFile("ecdsa"), "--key", certFile("ecdsaKey")]),
        );
      },
      "transport",
      "cannot listen on 127.0.0.1:…: listen EADDRINUSE: address already in use 127.0.0.1:…",
    ],
  ],
};

function own(name: string, content: string): string {
  const folder = join(process.cwd(), "messages");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, name), content, { mode: 0o600 });
  return join(folder, name);
}
/** A server's end, to which a client comes who says this. */
async function served(said: string[], line: string): Promise<never> {
  const { server, port } = await serveWith(line.split(" "));
  const socket = connect({ port, host: "127.0.0.1" });
  afterTest(() => socket.destroy());
  if (said.length > 0) {
    const tls = await startTls(nodeTransport(socket), { hostname: "localhost", caCerts: env.certs.caPem });
    afterTest(() => tls.abort());
  }
  return await thrown(server);
}

/** The file with a session of `wassl connect`. */
async function aSession(): Promise<string> {
  const file = own("session", "");
  await (await connectTo("tls?id=messages", ["--session-out", file], { stdin: [50] })).ended;
  return file;
}
