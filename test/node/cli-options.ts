/** Options of the command line that stand for one of the library's each: what they change, as the other end sees it. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import QUnit from "qunit";
import { sleep } from "../helpers/basics.ts";
import { certFile, Run, serveWith } from "../helpers/cli.ts";
import { afterTest, env } from "../helpers/env.ts";

const GET = "GET / HTTP/1.0\r\n\r\n";
const ca = () => ["--ca", certFile("ca")];

/** What openssl says as a client that ends at once. */
function sClient(port: number, ...args: string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile(
      "openssl",
      ["s_client", "-connect", `127.0.0.1:${port}`, ...args],
      { timeout: 10_000 },
      (_, stdout, stderr) => resolve(`${stdout}${stderr}`),
    );
    child.stdin?.end();
  });
}

QUnit.module("wassl: options of one thing each", () => {
  QUnit.test("--psk, several times: a server takes each", async (assert) => {
    const keys = { one: "11".repeat(16), two: "22".repeat(32) };
    const all = Object.entries(keys).flatMap(([name, hex]) => ["--psk", `pass:${name}:${hex}`]);
    const { port } = await serveWith(["--www", ...all]);
    for (const [name, hex] of Object.entries(keys)) {
      const said = await sClient(port, "-tls1_3", "-psk", hex, "-psk_identity", name);
      assert.true(/Reused, TLSv1\.3/.test(said), `${name}: ${said}`);
    }
    const other = await sClient(port, "-tls1_3", "-psk", "33".repeat(16), "-psk_identity", "one");
    assert.false(/Reused/.test(other), "another key of that name");
    const alone = new Run(["serve", "0", ...all]);
    await alone.line("listening");
    alone.interrupt();
    await alone.ended;
    const wrong = new Run(["serve", "0", ...all, "--psk", "pass:nonsense"], { words: true });
    assert.strictEqual(await wrong.ended, 2, wrong.text);
  });

  QUnit.test("--max-send-frag", async (assert) => {
    const { port } = await serveWith(["--echo", "--max-send-frag", "512"]);
    const stdin = [new Uint8Array(3_000).fill(120)];
    const run = new Run(["connect", `localhost:${port}`, ...ca(), "--trace", "--max-send-frag", "1024"], {
      stdin,
    });
    assert.strictEqual(await run.ended, 0, run.text);
    assert.strictEqual(run.bytes.length, 3_000);
    for (const [direction, most] of [
      ["sent", 1024],
      ["received", 512],
    ] as const) {
      const data = run.lines.filter(
        (line) =>
          line.type === "record" && line.direction === direction && line.contentType === "application_data",
      );
      const longest = Math.max(...data.map(({ length }) => Number(length)));
      // A tag, the type, and no padding.
      assert.true(longest > most && longest <= most + 32, `${direction}: ${longest}`);
    }
  });

  QUnit.test("--max-cert-list", async (assert) => {
    const long = join(process.cwd(), "long-chain.pem");
    writeFileSync(long, env.certs.chains.rsa + env.certs.intermediatePem.repeat(12));
    const rsaKey = join(process.cwd(), "long-chain.key");
    writeFileSync(rsaKey, env.certs.keys.rsa);
    const server = new Run(["serve", "0", "--www", "--cert", long, "--key", rsaKey]);
    const { port } = await server.line("listening");
    const good = new Run(["connect", `localhost:${port}`, ...ca()], { stdin: [GET] });
    assert.strictEqual(await good.ended, 0, good.text);
    const short = new Run(["connect", `localhost:${port}`, ...ca(), "--max-cert-list", "4096"], {
      stdin: [GET],
    });
    assert.strictEqual(await short.ended, 1, short.text);
    assert.true(
      /excessive message size|certificate list|too long/i.test(String(short.outcome.error?.message)),
      short.text,
    );
  });

  QUnit.test("--no-ca-names", async (assert) => {
    for (const [more, told] of [
      [[], true],
      [["--no-ca-names"], false],
    ] as const) {
      const { port } = await serveWith(["--www", "--client-auth", "request", ...ca(), ...more]);
      const said = await sClient(port);
      assert.strictEqual(/^Acceptable client certificate CA names/m.test(said), told, said);
    }
  });

  QUnit.test("--max-session-age", async (assert) => {
    const clientAuth = ["--client-auth", "request", ...ca()];
    const { port } = await serveWith(["--www", ...clientAuth, "--max-session-age", "1"]);
    const file = join(process.cwd(), "aged-session");
    const identity = ["--cert", certFile("client"), "--key", certFile("clientKey")];
    const visit = (...args: string[]) =>
      new Run(["connect", `localhost:${port}`, ...ca(), ...identity, ...args], { stdin: [GET] });
    const first = visit("--session-out", file);
    assert.strictEqual(await first.ended, 0, first.text);
    await sleep(2_100);
    const late = visit("--session-in", file);
    assert.strictEqual(await late.ended, 0, late.text);
    assert.false((await late.line("connected")).sessionReused);
  });

  QUnit.test("--legacy-server-connect", async (assert) => {
    // A ServerHello of TLS 1.2 without extensions, and so without renegotiation_info.
    const body = [3, 3, ...new Array<number>(32).fill(7), 0, 0xc0, 0x2b, 0];
    const hello = Uint8Array.of(22, 3, 3, 0, body.length + 4, 2, 0, 0, body.length, ...body);
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(hello));
    });
    afterTest(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const told = async (...args: string[]) => {
      const run = new Run(["connect", `127.0.0.1:${port}`, "--no-verify", ...args], { words: true });
      assert.strictEqual(await run.ended, 1, run.text);
      return run.text;
    };
    assert.true(/RFC 5746.*--legacy-server-connect/.test(await told()));
    assert.false(/RFC 5746/.test(await told("--legacy-server-connect")));
  });

  QUnit.test("what is out of range is told with its option", async (assert) => {
    for (const [option, value] of [
      ["--max-send-frag", "511"],
      ["--max-send-frag", "x"],
      ["--max-cert-list", "4095"],
      ["--max-session-age", "0"],
    ] as const) {
      const run = new Run(
        ["serve", "0", "--cert", certFile("ecdsa"), "--key", certFile("ecdsaKey"), option, value],
        {
          words: true,
        },
      );
      assert.strictEqual(await run.ended, 2, run.text);
      assert.true(run.text.includes(option), run.text);
    }
  });
});
