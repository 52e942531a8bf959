/** `wassl` as a program of its own, as npm and Deno start it. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { connect, createServer, type TLSSocket } from "node:tls";
import QUnit from "qunit";
import { sleep } from "../helpers/basics.ts";
import { certFile, cliFolder } from "../helpers/cli.ts";
import { afterTest, env } from "../helpers/env.ts";
import { randomBytes } from "../helpers/random.ts";

const ours = createRequire(join(process.env.WASSL_REPOSITORY ?? "", "package.json"));
const file = join(cliFolder, "bin.js");

/** A link to the executable file, as `npm install` makes it. */
let link: string | undefined;
function installed(): string {
  if (link === undefined) {
    link = join(process.cwd(), "node_modules/.bin/wassl");
    mkdirSync(dirname(link), { recursive: true });
    chmodSync(file, 0o755);
    symlinkSync(file, link);
  }
  return link;
}

const programs = {
  "Node.js": () => [installed()],
  Deno: () => [
    // The program itself: signals do not get through npm's wrapper around it.
    (ours("deno/install_api.cjs") as { runInstall(): string }).runInstall(),
    ...["run", "--no-prompt", "--allow-net", "--allow-read", "--allow-write", "--allow-env=SECRET"],
    // For what is there, and not in a registry.
    ...["--no-remote", "--cached-only", "--node-modules-dir=manual", "npm:wassl"],
  ],
};

function start(program: keyof typeof programs, args: string[], environment = {}): Program {
  const [command = "", ...before] = programs[program]();
  return new Program(
    spawn(command, [...before, ...args], { env: { ...process.env, ...environment }, stdio: "pipe" }),
  );
}

class Program {
  readonly out: Buffer[] = [];
  text = "";
  readonly ended: Promise<number | null>;

  constructor(readonly child: ChildProcessWithoutNullStreams) {
    afterTest(() => child.kill("SIGKILL"));
    child.stdin.on("error", () => {});
    child.stdout.on("data", (chunk: Buffer) => this.out.push(chunk));
    child.stderr.on("data", (chunk) => {
      this.text += chunk;
    });
    this.ended = once(child, "close").then(([code]) => code as number | null);
  }

  /** The port it says that it listens on. */
  async port(): Promise<string> {
    for (;;) {
      const [, port] = this.text.match(/listening on 127\.0\.0\.1:(\d+)/) ?? [];
      if (port !== undefined) return port;
      if (this.child.exitCode !== null) throw new Error(this.text);
      await once(this.child.stderr, "data");
    }
  }
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

QUnit.module("wassl as a program", () => {
  for (const program of ["Node.js", "Deno"] as const)
    QUnit.test(
      `${program}: SIGHUP has the certificates read again, with connections open`,
      async (assert) => {
        const folder = mkdtempSync(join(process.cwd(), "reload-"));
        const [cert, key] = [join(folder, "cert"), join(folder, "key")];
        const put = (which: "ecdsa" | "rsa", other = which) => {
          writeFileSync(cert, env.certs.chains[which]);
          writeFileSync(key, env.certs.keys[other]);
        };
        put("ecdsa");
        const server = start(program, ["serve", "0", "--echo", "--cert", cert, "--key", key]);
        const port = Number(await server.port());
        const visit = async () => {
          const tls = connect({ port, host: "127.0.0.1", servername: "localhost", ca: env.certs.caPem });
          afterTest(() => tls.destroy());
          await once(tls, "secureConnect");
          return tls;
        };
        const typeOf = (tls: TLSSocket) => tls.getPeerX509Certificate()?.publicKey.asymmetricKeyType;
        const told = async (words: RegExp) => {
          const before = server.text.length;
          server.child.kill("SIGHUP");
          while (!words.test(server.text.slice(before))) await once(server.child.stderr, "data");
        };
        const first = await visit();
        assert.strictEqual(typeOf(first), "ec");
        put("rsa", "ecdsa");
        await told(/stay as they are: .*--key/);
        assert.strictEqual(typeOf(await visit()), "ec");
        put("rsa");
        await told(/read again/);
        assert.strictEqual(typeOf(await visit()), "rsa");
        first.write("still here");
        const [answer] = await once(first, "data");
        assert.strictEqual(String(answer), "still here");
        server.child.kill("SIGTERM");
        assert.strictEqual(await server.ended, 0, server.text);
      },
    );

  for (const [client, server] of [
    ["Node.js", "Deno"],
    ["Deno", "Node.js"],
  ] as const) {
    QUnit.test(`${client} connects, ${server} serves`, async (assert) => {
      const identity = ["--cert", certFile("ecdsa"), "--key", certFile("ecdsaKey")];
      const far = start(server, ["serve", "0", "--echo", "--naccept", "1", ...identity]);
      const near = start(client, ["connect", `localhost:${await far.port()}`, "--ca", certFile("ca")]);
      const bytes = randomBytes(1 << 20, env.seed);
      near.child.stdin.end(bytes);
      assert.strictEqual(await near.ended, 0, near.text);
      assert.strictEqual(await far.ended, 0, far.text);
      assert.strictEqual(sha256(Buffer.concat(near.out)), sha256(bytes));
      for (const { text } of [near, far])
        assert.true(/complete: close_notify went both ways/.test(text), text);
    });

    QUnit.test(`${server}: an exit code, a secret, Ctrl-C`, async (assert) => {
      const waiting = start(server, ["serve", "0", "--www", "--psk", "env:SECRET"], { SECRET: "me:00" });
      const wrong = start(server, ["connect", "localhost:1", "--frobnicate"]);
      assert.strictEqual(await wrong.ended, 2);
      assert.true(/^wassl: .*--frobnicate.*\n$/.test(wrong.text), wrong.text);
      await waiting.port();
      waiting.child.kill("SIGINT");
      assert.strictEqual(await waiting.ended, 0, waiting.text);
    });
  }

  QUnit.test("--via: Node.js with the WebSocket that it hides, and Deno", async (assert) => {
    const { port } = await env.peer("tls");
    for (const program of ["Node.js", "Deno"] as const) {
      const via = ["--via", env.ws("/relay?port={port}"), "--ca", certFile("ca")];
      const run = start(program, ["connect", `localhost:${port}`, ...via]);
      run.child.stdin.end("hello\n");
      assert.strictEqual(await run.ended, 0, run.text);
      assert.strictEqual(String(Buffer.concat(run.out)), "hello\n", program);
    }
  });

  for (const program of ["Node.js", "Deno"] as const) {
    QUnit.test(
      `files with secrets are for their owner alone, whatever was there: ${program}`,
      async (assert) => {
        const folder = mkdtempSync(join(process.cwd(), "cli-secrets-"));
        const { port } = await env.peer("tls?version=1.2");
        /** What lies at the path before, and what is said of it; without a word it is written. */
        const cases: Record<string, { before(path: string): void; says?: RegExp }> = {
          nothing: { before: () => {} },
          "a file that all may read": { before: (path) => writeFileSync(path, "before\n", { mode: 0o644 }) },
          "a link": {
            before(path) {
              writeFileSync(`${path}-target`, "of somebody else\n");
              symlinkSync(`${path}-target`, path);
            },
            says: /symbolic link, which is not followed/,
          },
          "a link to nothing": {
            before: (path) => symlinkSync(`${path}-target`, path),
            says: /symbolic link|No such file|no such file/,
          },
          "a pipe": {
            before: (path) => void execFileSync("mkfifo", [path]),
            says: /not a plain file|ENXIO|no such device/i,
          },
          "a folder": { before: (path) => mkdirSync(path), says: /EISDIR|directory/i },
        };
        const tries = ["session-out", "keylog"].flatMap((option) =>
          Object.entries(cases).map(async ([name, { before, says }]) => {
            const path = join(folder, `${option} ${name}`);
            before(path);
            const args = ["connect", `localhost:${port}`, "--ca", certFile("ca"), `--${option}`, path];
            const run = start(program, args);
            run.child.stdin.end("x");
            const what = `--${option}, ${name}`;
            assert.strictEqual(await run.ended, says ? 2 : 0, `${what}: ${run.text}`);
            if (says) {
              assert.true(says.test(run.text) && run.text.includes(`--${option}: `), `${what}: ${run.text}`);
              if (name === "a link") {
                assert.strictEqual(readFileSync(`${path}-target`, "utf8"), "of somebody else\n", what);
              } else {
                assert.false(existsSync(`${path}-target`), what);
              }
              return;
            }
            assert.strictEqual(lstatSync(path).mode & 0o7777, 0o600, what);
            const text = readFileSync(path, "latin1");
            const kept = text.startsWith("before\n");
            assert.strictEqual(
              kept,
              option === "keylog" && name.startsWith("a file"),
              "appended, or replaced",
            );
            assert.true(option === "keylog" ? text.includes("CLIENT_RANDOM") : text.length > 100, what);
          }),
        );
        await Promise.all(tries);
      },
    );
  }

  QUnit.test("it stays until the peer has all that it was sent", async (assert) => {
    const { chains, keys } = env.certs;
    const size = 300_000;
    let got = 0;
    let closed: unknown;
    const server = createServer({ cert: chains.ecdsa, key: keys.ecdsa }, (socket) => {
      socket.once("data", async () => {
        socket.pause();
        // It says something to a peer that has closed by then. The kernel would have answered for a program that is
        // gone.
        await sleep(300);
        socket.write("late");
        await sleep(100);
        socket.resume();
      });
      socket.on("data", (chunk: Buffer) => {
        got += chunk.length;
      });
      socket.on("error", (error) => {
        closed = error;
      });
      socket.on("end", () => {
        closed = "end";
      });
    });
    server.listen(0, "127.0.0.1");
    afterTest(() => server.close());
    await once(server, "listening");
    const at = `localhost:${(server.address() as AddressInfo).port}`;
    const run = start("Node.js", ["connect", at, "--ca", certFile("ca"), "--close", "close"]);
    run.child.stdin.end(new Uint8Array(size));
    assert.strictEqual(await run.ended, 0, run.text);
    for (let i = 0; i < 100 && closed === undefined; i++) await sleep(20);
    assert.strictEqual(closed, "end");
    assert.strictEqual(got, size);
  });

  QUnit.test("a reader that has enough ends it", async (assert) => {
    const { port } = await env.peer("tls?do=source");
    const run = start("Node.js", ["connect", `localhost:${port}`, "--ca", certFile("ca")]);
    await once(run.child.stdout, "data");
    run.child.stdout.destroy();
    assert.strictEqual(await run.ended, 1, run.text);
    assert.true(/standard output: /.test(run.text), run.text);
  });
});
