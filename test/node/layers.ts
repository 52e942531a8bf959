/** Who may know whom (the table in docs/decisions.md): a module imports only from its own layer and those below. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import QUnit from "qunit";

const source = join(process.env.WASSL_REPOSITORY ?? "", "src");

/** For each module or folder, the modules and folders that it may import. */
const allowed: Record<string, readonly string[]> = {
  "errors.ts": [],
  "transport.ts": [],
  "record-edges.ts": [],
  "wish.ts": [],
  "timers.ts": [],
  "binding/": ["binding/", "errors.ts"],
  "openssl/": ["openssl/", "binding/", "errors.ts"],
  "failure.ts": ["errors.ts", "record-edges.ts", "openssl/ssl.ts", "openssl/constants.ts"],
  "early-data.ts": ["openssl/ssl.ts"],
  "pump.ts": [
    "timers.ts",
    "errors.ts",
    "early-data.ts",
    "record-edges.ts",
    "failure.ts",
    "openssl/bio-pair.ts",
    "openssl/events.ts",
    "openssl/ssl.ts",
    "wish.ts",
  ],
  "gather.ts": ["pump.ts"],
  "exporters.ts": ["errors.ts", "openssl/ssl.ts"],
  "resumption.ts": ["timers.ts", "errors.ts", "sessions/", "openssl/"],
  "wire.ts": ["timers.ts", "errors.ts", "transport.ts", "pump.ts", "openssl/library.ts"],
  "host-name.ts": ["errors.ts"],
  "verify-options.ts": ["errors.ts", "openssl/verify.ts"],
  "roots.ts": ["openssl/trust-anchors.ts"],
  "client-hello.ts": [],
  "external-key.ts": ["errors.ts", "openssl/x509.ts"],
  "identity.ts": ["errors.ts", "external-key.ts", "host-name.ts", "verify-options.ts", "openssl/"],
  "configure.ts": ["errors.ts", "failure.ts", "verify-options.ts", "pump.ts", "openssl/"],
  "snapshot.ts": ["openssl/library.ts", "openssl/x509.ts"],
  "tls-context.ts": [
    "errors.ts",
    "client-hello.ts",
    "configure.ts",
    "host-name.ts",
    "identity.ts",
    "snapshot.ts",
    "verify-options.ts",
    "sessions/",
    "openssl/",
  ],
  "verify-chain.ts": [
    "errors.ts",
    "host-name.ts",
    "identity.ts",
    "snapshot.ts",
    "verify-options.ts",
    "openssl/",
  ],
  "answers.ts": [
    "errors.ts",
    "client-hello.ts",
    "external-key.ts",
    "failure.ts",
    "identity.ts",
    "openssl/ssl.ts",
    "pump.ts",
    "tls-context.ts",
  ],
  "stream.ts": [
    "timers.ts",
    "errors.ts",
    "failure.ts",
    "exporters.ts",
    "configure.ts",
    "resumption.ts",
    "transport.ts",
    "pump.ts",
    "gather.ts",
    "wire.ts",
    "openssl/",
  ],
  "dropped.ts": ["errors.ts", "pump.ts", "wire.ts", "openssl/"],
  "start-tls.ts": [
    "snapshot.ts",
    "dropped.ts",
    "timers.ts",
    "errors.ts",
    "early-data.ts",
    "configure.ts",
    "identity.ts",
    "tls-context.ts",
    "answers.ts",
    "resumption.ts",
    "transport.ts",
    "pump.ts",
    "wire.ts",
    "stream.ts",
    "openssl/",
  ],
  "blocking/": [
    "snapshot.ts",
    "timers.ts",
    "blocking/",
    "exporters.ts",
    "resumption.ts",
    "errors.ts",
    "failure.ts",
    "configure.ts",
    "identity.ts",
    "tls-context.ts",
    "record-edges.ts",
    "transport.ts",
    "pump.ts",
    "wire.ts",
    "openssl/",
  ],
  "sessions/": ["timers.ts", "errors.ts", "transport.ts", "sessions/"],
  "transports/": ["errors.ts", "timers.ts", "transport.ts", "transports/"],
  "index.ts": [""],
  // A program on top of it all: it has the package's own name for what it may know, the public modules.
  "cli/": ["cli/"],
};

function rule(file: string): readonly string[] | undefined {
  return allowed[file] ?? allowed[`${dirname(file)}/`];
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
    for (const file of files.filter((each) => each !== "roots.ts")) {
      assert.false(/roots\.js"/.test(readFileSync(join(source, file), "utf8")), file);
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
