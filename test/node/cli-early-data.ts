/** `--early-data` of `wassl connect` and `wassl serve`, against OpenSSL's programs and each other. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import QUnit from "qunit";
import { eventsOf, sleep } from "../helpers/basics.ts";
import { certFile, connectTo, Run, serveWith } from "../helpers/cli.ts";
import { afterTest, env } from "../helpers/env.ts";
import { randomBytes } from "../helpers/random.ts";

function fileWith(name: string, content: string | Uint8Array): string {
  const path = join(process.cwd(), `cli-early-${name}`);
  writeFileSync(path, content);
  return path;
}

/** s_client, with a session in a file, until it has heard `until`. */
async function sClient(port: number, until: string, args: string[], input = ""): Promise<string> {
  const child = spawn("openssl", [
    ...["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "localhost", "-CAfile", certFile("ca")],
    ...["-verify_return_error", ...args],
  ]);
  afterTest(() => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  child.stdin.on("error", () => {});
  if (input) child.stdin.write(input);
  const closed = once(child, "close");
  for (let i = 0; i < 600 && !output.includes(until) && child.exitCode === null; i++) await sleep(5);
  child.stdin.end();
  await closed;
  return output;
}

QUnit.module("wassl --early-data", () => {
  QUnit.test("connect, to openssl s_server: early, and again if it was not taken", async (assert) => {
    const session = join(process.cwd(), "cli-early-session");
    const peer = "openssl?version=1.3&do=nothing&arg=-early_data&log=^(early|late|No early)&id=cli-early";
    const first = await connectTo(peer, ["--session-out", session], { stdin: ["late 1\n"] });
    assert.strictEqual(await first.ended, 0, first.text);
    assert.strictEqual((await first.line("connected")).earlyData, "none");
    const data = fileWith("client", "early data\n");
    for (const [i, expected] of [
      [2, "accepted"],
      // A session is good for early data once.
      [3, "rejected"],
    ] as const) {
      const args = ["--session-in", session, "--early-data", data];
      const run = await connectTo(peer, args, { stdin: [`late ${i}\n`] });
      assert.strictEqual(await run.ended, 0, run.text);
      assert.strictEqual((await run.line("connected")).earlyData, expected);
      assert.strictEqual(run.outcome.sent, "early data\nlate n\n".length);
    }
    const said: string[] = [];
    for (let i = 0; i < 9 && !said.includes("late 3"); i++) said.push(...(await eventsOf(peer, /late/)));
    assert.deepEqual(
      said.filter((line) => line !== "end"),
      ["No early data received", "late 1", "early data", "late 2", "early data", "late 3"],
    );
  });

  QUnit.test("connect, where the session allows none: it is sent as usual", async (assert) => {
    const session = join(process.cwd(), "cli-early-session-without");
    const first = await connectTo("tls", ["--session-out", session], { stdin: ["x"] });
    assert.strictEqual(await first.ended, 0, first.text);
    const args = ["--session-in", session, "--early-data", fileWith("usual", "early\n")];
    const run = await connectTo("tls", args, { stdin: ["late\n"] });
    assert.strictEqual(await run.ended, 0, run.text);
    assert.strictEqual((await run.line("connected")).earlyData, "none");
    assert.true((await run.line("connected")).sessionReused, "resumed");
    assert.strictEqual(run.out, "early\nlate\n");
  });

  QUnit.test("serve, to openssl s_client", async (assert) => {
    for (const [mode, text, until, answer] of [
      ["--rev", "early\n", "etal", /ylrae\netal\n/],
      ["--www", "GET /early HTTP/1.0\r\n\r\n", "</html>", /earlyData<\/th><td><code>accepted</],
    ] as const) {
      const { server, port } = await serveWith([mode, "--early-data", "1000", "--naccept", "2"]);
      const session = join(process.cwd(), `cli-early${mode}`);
      const input = mode === "--rev" ? "late\n" : "";
      await sClient(port, until, ["-sess_out", session], input || text);
      const early = ["-sess_in", session, "-early_data", fileWith("server", text)];
      const said = await sClient(port, until, early, input);
      assert.true(/Early data was accepted/.test(said), said);
      assert.true(answer.test(said), said);
      assert.strictEqual(await server.ended, 0, server.text);
      const connected = server.lines.filter(({ type }) => type === "connected");
      assert.deepEqual(
        connected.map(({ earlyData }) => earlyData),
        ["none", "accepted"],
      );
    }
  });

  QUnit.test("serve and connect: up to as much as the server says", async (assert) => {
    const { port } = await serveWith(["--echo", "--early-data", "40000"]);
    const session = join(process.cwd(), "cli-early-session-both");
    const bytes = randomBytes(40_001, env.seed);
    const connect = (...args: string[]) =>
      new Run(["connect", `localhost:${port}`, "--ca", certFile("ca"), ...args], { stdin: ["late"] });
    for (const [length, expected] of [
      [40_000, "accepted"],
      [40_001, "none"],
    ] as const) {
      const first = connect("--session-out", session);
      assert.strictEqual(await first.ended, 0, first.text);
      const early = bytes.subarray(0, length);
      const run = connect("--session-in", session, "--early-data", fileWith("both", early));
      assert.strictEqual(await run.ended, 0, run.text);
      assert.strictEqual((await run.line("connected")).earlyData, expected);
      assert.deepEqual(Buffer.from(run.bytes), Buffer.concat([early, Buffer.from("late")]));
    }
  });

  QUnit.test("what cannot be is refused", async (assert) => {
    const empty = fileWith("empty", "");
    for (const [args, message] of [
      [["connect", "a:1", "--early-data", certFile("ca")], /--early-data needs --session-in/],
      [["connect", "a:1", "--early-data", empty, "--session-in", empty], /--early-data: the file is empty/],
      [["connect", "a:1", "--early-data", "/no/such", "--session-in", empty], /--early-data: .*no\/such/],
      [["serve", "0", "--psk", "pass:a:00", "--early-data", "1"], /--early-data needs --www/],
      [["serve", "0", "--echo", "--no-tickets", "--early-data", "1"], /--early-data and --no-tickets/],
      [["serve", "0", "--echo", "--early-data", "much"], /--early-data is a number, 1 or more/],
    ] as const) {
      const run = new Run([...args]);
      assert.strictEqual(await run.ended, 2, args.join(" "));
      assert.true(message.test(run.outcome.error!.message), run.text);
    }
  });
});
