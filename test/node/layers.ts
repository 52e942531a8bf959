/** The directions of docs/architecture.md: a module imports only from its own room and from those below. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import QUnit from "qunit";

const source = join(process.env.WASSL_REPOSITORY ?? "", "src");

/** What each room may import, beside what lies in itself. Files at the top of src/ are named alone. No arrow runs upwards. */
const WORDS = ["errors.ts", "transport.ts", "timers.ts", "engine.ts"];
const allowed: Record<string, readonly string[]> = {
  "errors.ts": [],
  "transport.ts": [],
  "engine.ts": [],
  "timers.ts": ["errors.ts"],
  "binding/": WORDS,
  "openssl/": [...WORDS, "binding/"],
  "connection/": [...WORDS, "openssl/"],
  "sessions/": WORDS,
  "transports/": WORDS,
  "roots/": ["openssl/trust-anchors.ts"],
  "options/": [...WORDS, "openssl/", "connection/events.ts", "sessions/"],
  "handshake/": [...WORDS, "openssl/", "connection/", "sessions/", "options/"],
  "blocking/": [...WORDS, "openssl/", "connection/", "options/", "handshake/"],
  "stream.ts": [...WORDS, "openssl/", "connection/", "options/", "handshake/"],
  "start-tls.ts": [...WORDS, "openssl/", "connection/", "options/", "handshake/", "stream.ts"],
  // No OpenSSL: it comes before TLS.
  "starttls/": [...WORDS, "connection/wire.ts"],
  "verify-chain.ts": [...WORDS, "openssl/", "options/"],
  "index.ts": [""],
  "inline.ts": ["binding/", "openssl/"],
  // A program on top of it all: it has the package's own name for what it may know, the public modules.
  "cli/": [],
};

function rule(file: string): readonly string[] | undefined {
  const room = Object.keys(allowed).find(
    (each) => file === each || (each.endsWith("/") && file.startsWith(each)),
  );
  return room === undefined ? undefined : [...allowed[room]!, ...(room.endsWith("/") ? [room] : [])];
}

const files = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
  .map(normalize);

QUnit.module("layers", () => {
  for (const file of files) {
    QUnit.test(file, (assert) => {
      const may = rule(file);
      assert.notStrictEqual(may, undefined, "it has its place");
      const text = readFileSync(join(source, file), "utf8");
      for (const [, from] of text.matchAll(/^(?:import|export)[^;]*? from "(\.[^"]+)";/gm)) {
        const target = relative(source, join(source, dirname(file), from!)).replace(/\.js$/, ".ts");
        assert.true(may?.some((each) => target.startsWith(each)) ?? false, `${file} may import ${target}`);
      }
    });
  }

  QUnit.test("the trust anchors of wassl/roots come with nothing else", (assert) => {
    for (const file of files.filter((each) => !each.startsWith("roots/"))) {
      assert.false(/roots\/\w+\.js"/.test(readFileSync(join(source, file), "utf8")), file);
    }
  });

  QUnit.test("a time that somebody gives goes through timers.ts: setTimeout() has a bound", (assert) => {
    // The command line refuses more than that.
    for (const file of files.filter((each) => each !== "timers.ts" && !each.startsWith("cli/"))) {
      const code = readFileSync(join(source, file), "utf8");
      assert.false(/\b(setTimeout|setInterval)\(|AbortSignal\.timeout/.test(code), file);
    }
  });

  QUnit.test(
    "nothing below the pump knows a promise or a timer, nothing above openssl/ a pointer",
    (assert) => {
      for (const file of files) {
        const code = readFileSync(join(source, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
        // Loading is asynchronous by its nature.
        if (file.startsWith("openssl/") && file !== "openssl/openssl.ts") {
          assert.false(/\b(async|await|Promise|setTimeout|ReadableStream)\b/.test(code), file);
        }
        if (!/^(openssl|binding)\//.test(file)) assert.false(/\btls_[A-Z]|\bptr\b/.test(code), file);
      }
    },
  );
});
