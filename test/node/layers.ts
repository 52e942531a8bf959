/** The directions of docs/architecture.md: a module imports only from its own room and from those below. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import QUnit from "qunit";

const repository = process.env.WASSL_REPOSITORY ?? "";
const source = join(repository, "src");

/**
 * What each room may import, beside what lies in itself. Files at the top of src/ are named alone. No arrow runs
 * upwards.
 */
const WORDS = ["errors.ts", "transport.ts", "timers.ts", "engine.ts", "check.ts"];
const allowed: Record<string, readonly string[]> = {
  "errors.ts": [],
  "transport.ts": [],
  "engine.ts": [],
  "timers.ts": ["errors.ts"],
  "check.ts": ["errors.ts"],
  "binding/": WORDS,
  "openssl/": [...WORDS, "binding/"],
  "connection/": [...WORDS, "openssl/"],
  "sessions/": WORDS,
  "transports/": WORDS,
  "dialers/": [...WORDS, "transports/"],
  "roots/": ["openssl/trust-anchors.ts"],
  "options/": [...WORDS, "openssl/", "connection/events.ts", "sessions/"],
  "handshake/": [...WORDS, "openssl/", "connection/", "sessions/", "options/"],
  "blocking/": [...WORDS, "openssl/", "connection/", "options/", "handshake/"],
  "dtls/": [...WORDS, "openssl/", "connection/", "options/", "handshake/"],
  "stream.ts": [...WORDS, "openssl/", "connection/", "options/", "handshake/"],
  "establish.ts": [...WORDS, "openssl/", "connection/", "options/", "handshake/", "stream.ts"],
  "start-tls.ts": [...WORDS, "options/", "handshake/", "stream.ts", "establish.ts"],
  "accept-tls.ts": [...WORDS, "connection/", "options/", "handshake/", "stream.ts", "establish.ts"],
  "sockets/": [...WORDS, "dialers/destination.ts", "stream.ts", "start-tls.ts"],
  // No OpenSSL: it comes before TLS.
  "starttls/": [...WORDS, "connection/wire.ts"],
  "verify-chain.ts": [...WORDS, "openssl/", "options/"],
  "index.ts": [""],
  "inline.ts": ["binding/", "openssl/"],
  // A program on top of it all: it has the package's own name for what it may know, the public modules.
  "cli/": [],
  // What stands in for modules of Node.js does as any program could.
  "node/": [],
};

function rule(file: string): readonly string[] | undefined {
  const room = Object.keys(allowed).find(
    (each) => file === each || (each.endsWith("/") && file.startsWith(each)),
  );
  return room === undefined ? undefined : [...allowed[room]!, ...(room.endsWith("/") ? [room] : [])];
}

/** The files of src/ that one imports, for types too. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(source, file), "utf8");
  return [...text.matchAll(/^(?:import|export)[^;]*? from "(\.[^"]+)";|\bimport\("(\.[^"]+)"\)/gm)].map(
    ([, from, lazily]) =>
      relative(source, join(source, dirname(file), (from ?? lazily)!)).replace(/\.js$/, ".ts"),
  );
}

/** A file of src/ without its comments, whose examples may do what the file must not. */
function codeOf(file: string): string {
  return readFileSync(join(source, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
}

/** A way from something back to itself, if there is one. */
function circle(arrows: ReadonlyMap<string, readonly string[]>): string | undefined {
  const done = new Set<string>();
  const walk = (at: string, path: readonly string[]): string | undefined => {
    if (path.includes(at)) return [...path.slice(path.indexOf(at)), at].join(" → ");
    if (done.has(at)) return undefined;
    for (const next of arrows.get(at) ?? []) {
      const found = walk(next, [...path, at]);
      if (found) return found;
    }
    done.add(at);
    return undefined;
  };
  for (const start of arrows.keys()) {
    const found = walk(start, []);
    if (found) return found;
  }
  return undefined;
}

const files = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
  .map(normalize);

QUnit.module("layers", () => {
  for (const file of files) {
    QUnit.test(file, (assert) => {
      const may = rule(file);
      assert.notStrictEqual(may, undefined, "it has its place");
      for (const target of importsOf(file)) {
        assert.true(may?.some((each) => target.startsWith(each)) ?? false, `${file} may import ${target}`);
      }
    });
  }

  QUnit.test("no file imports one that imports it in turn, for types either", (assert) => {
    assert.strictEqual(circle(new Map(files.map((file) => [file, importsOf(file)]))), undefined);
    assert.strictEqual(
      circle(
        new Map([
          ["a", ["b"]],
          ["b", ["c"]],
          ["c", ["b"]],
        ]),
      ),
      "b → c → b",
    );
  });

  QUnit.test(
    "a constant of OpenSSL is named in openssl/, where it is set, and where it is explained",
    (assert) => {
      const named = files.filter((file) => importsOf(file).includes("openssl/constants.ts"));
      assert.true(named.some((file) => file.startsWith("openssl/")));
      for (const file of named.filter((each) => !each.startsWith("openssl/"))) {
        // options/ says what OpenSSL is set to; advice.ts says what OpenSSL's reasons mean to the caller.
        assert.true(/^options\//.test(file) || file === "connection/advice.ts", file);
      }
    },
  );

  QUnit.test("the trust anchors of wassl/roots come with nothing else", (assert) => {
    for (const file of files.filter((each) => !each.startsWith("roots/"))) {
      assert.false(/roots\/\w+\.js"/.test(readFileSync(join(source, file), "utf8")), file);
    }
  });

  QUnit.test("a time that somebody gives goes through timers.ts: setTimeout() has a bound", (assert) => {
    // The command line refuses more than that, and the one timer of node/ has its own bound.
    const own = /^(timers\.ts|cli\/.*|node\/timeout\.ts)$/;
    for (const file of files.filter((each) => !own.test(each))) {
      const code = codeOf(file);
      // Sockets have a method of that name.
      const called = /(?<!\.)\b(setTimeout|setInterval)\((?!\w+: )|AbortSignal\.timeout/;
      assert.false(called.test(code), file);
    }
  });

  QUnit.test(
    "nothing is taken for what it is by a class of this realm, where another realm's would do",
    (assert) => {
      // Of an iframe's, or jsdom's, `instanceof` says that it is none: check.ts has what to ask instead.
      const foreign =
        /\binstanceof \(?(Uint8Array|ArrayBuffer|Array|Error|Date|URL|Response|Promise|Map|WebAssembly\.Module)\b/;
      // What `using` becomes throws where there is no Symbol.dispose.
      const dispose = /^\s*(await )?using \w+ =/m;
      for (const file of files.filter((each) => !each.startsWith("cli/"))) {
        const code = readFileSync(join(source, file), "utf8");
        assert.false(foreign.test(code) || dispose.test(code), file);
      }
    },
  );

  QUnit.test(
    "nothing below the pump knows a promise or a timer, nothing above openssl/ a pointer",
    (assert) => {
      for (const file of files) {
        const code = codeOf(file);
        // Loading is asynchronous by its nature.
        if (file.startsWith("openssl/") && !/^openssl\/(openssl|shared)\.ts$/.test(file)) {
          assert.false(/\b(async|await|Promise|setTimeout|ReadableStream)\b/.test(code), file);
        }
        if (!/^(openssl|binding)\//.test(file)) assert.false(/\bwassl_\w+\(|\bptr\b/.test(code), file);
      }
    },
  );
});

/** The functions and variables that a header has, by the file under whose heading they are declared. */
function declared(header: string): Map<string, string> {
  const found = new Map<string, string>();
  let here: string[] = [];
  const text = readFileSync(join(repository, "wasm/abi", header), "utf8");
  const parts = text.split(/^\/\* ---- (.*?) -+ \*\/$/gm);
  for (let i = 1; i < parts.length; i += 2) {
    here = [...parts[i]!.matchAll(/(?:(abi|instead)\/)?(\w+\.c)/g)].map(
      ([, room = "abi", file]) => `${room}/${file}`,
    );
    const code = parts[i + 1]!.replace(/\/\*[\s\S]*?\*\//g, "");
    for (const [, name] of code.matchAll(/^(?!typedef)[A-Za-z].*?[ *](wassl_\w+)(?:\(|;)/gm))
      found.set(name!, here.join());
  }
  return found;
}

QUnit.module("layers of wasm/", () => {
  const wasm = join(repository, "wasm");
  const sources = new Map(
    ["abi", "instead"].flatMap((room) =>
      readdirSync(join(wasm, room))
        .filter((file) => file.endsWith(".c"))
        .map((file) => {
          const text = readFileSync(join(wasm, room, file), "utf8");
          return [`${room}/${file}`, text.replace(/\/\*[\s\S]*?\*\//g, "")];
        }),
    ),
  );
  const places = new Map([...declared("abi.h"), ...declared("internal.h"), ...declared("suspend.h")]);
  /** What begins in the first column with the name of a function or variable that is no other file's. */
  const definitions = new Map<string, string>();
  for (const [file, code] of sources) {
    for (const [line, name] of code.matchAll(
      /^(?!static|extern|typedef)[A-Za-z].*?[ *](wassl_\w+)(?=\(|;| =).*$/gm,
    )) {
      if (!line.endsWith(");")) definitions.set(name!, file);
    }
  }

  QUnit.test("what a file has for others is declared under its name, and where it is", (assert) => {
    assert.true(places.size > 240, `${places.size} declarations`);
    for (const [name, file] of definitions) {
      assert.true(
        places.get(name)?.split(",").includes(file) ?? false,
        `${name}: ${file}, not ${places.get(name)}`,
      );
    }
    for (const [name, file] of places) assert.true(definitions.has(name), `${name}: nowhere, not in ${file}`);
  });

  QUnit.test("no file needs one that needs it in turn", (assert) => {
    const arrows = new Map<string, string[]>();
    for (const [file, code] of sources) {
      const names = new Set([...code.matchAll(/\bwassl_\w+/g)].map(([name]) => definitions.get(name)));
      arrows.set(file, [...names].filter((each) => each !== undefined && each !== file) as string[]);
    }
    assert.true([...arrows.values()].flat().length > 40);
    assert.strictEqual(circle(arrows), undefined);
  });

  QUnit.test("what is linked in front of OpenSSL's functions is in instead/ and kernels/", (assert) => {
    for (const [file, code] of sources) {
      if (file.startsWith("abi/")) assert.false(/\b__(wrap|real)_/.test(code), file);
    }
  });
});
