/**
 * build.sh without its compilers: under which names things are kept, and that a build which is killed, or not alone,
 * leaves nothing wrong behind.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
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
      console.log(keep({ cache, kind: "things", key: "key", make: ${make} }));`;
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
  const slowly = `(folder) => {
    appendFileSync(cache + "/log", "made ");
    writeFileSync(folder + "/first", "1"); pause(150); writeFileSync(folder + "/last", "2"); }`;

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

  QUnit.test("what could not be made is not kept, and told", (assert) => {
    const cache = fresh();
    const what = { cache, kind: "things", key: "key" };
    const fail = () => {
      throw new Error("no");
    };
    assert.throws(() => cacheOf.keep({ ...what, make: fail }), /no/);
    assert.deepEqual(readdirSync(join(cache, "things")), []);
    assert.throws(() => cacheOf.run(cache, undefined, "false"), /false/);
  });

  QUnit.test("a note says nothing while its folder changes", (assert) => {
    const note = join(fresh(), "note");
    const put = () => {};
    assert.true(cacheOf.noted(note, "one", put));
    assert.false(cacheOf.noted(note, "one", put));
    const fail = () => {
      throw new Error("killed");
    };
    assert.throws(() => cacheOf.noted(note, "two", fail));
    assert.true(cacheOf.noted(note, "one", put), "not as it was, though that was noted before");
  });
});

QUnit.module("build: node_modules", () => {
  /** An npm that installs a file with what package-lock.json says, as often as it is called. */
  const withNpm = (work: (project: string, cache: string, calls: () => number) => void) => {
    const [project, cache, bin] = [fresh(), fresh(), fresh()];
    const npm = `#!/bin/sh\necho >>${bin}/calls\nmkdir node_modules\ncp package-lock.json node_modules/installed\n`;
    write(join(bin, "npm"), npm);
    chmodSync(join(bin, "npm"), 0o755);
    write(join(project, "package.json"), "{}");
    write(join(project, "package-lock.json"), "one");
    const path = process.env.PATH;
    process.env.PATH = `${bin}:${path}`;
    try {
      work(project, cache, () => readFileSync(join(bin, "calls")).length);
    } finally {
      process.env.PATH = path;
    }
  };
  const installed = (project: string) => readFileSync(join(project, "node_modules", "installed"), "utf8");

  QUnit.test("are installed once for each package-lock.json, and copied for each checkout", (assert) => {
    withNpm((project, cache, calls) => {
      assert.true(dependencies(project, cache));
      assert.strictEqual(installed(project), "one");
      assert.false(dependencies(project, cache), "up to date");
      write(join(project, "package-lock.json"), "two");
      assert.true(dependencies(project, cache));
      assert.strictEqual(installed(project), "two");
      write(join(project, "package-lock.json"), "one");
      assert.true(dependencies(project, cache));
      assert.strictEqual(installed(project), "one");
      assert.strictEqual(calls(), 2);
      assert.strictEqual(readdirSync(join(cache, "node_modules")).length, 2, "and nothing else is kept");
    });
  });

  QUnit.test("are put again after a build was killed on its way from one to the next", (assert) => {
    withNpm((project, cache) => {
      dependencies(project, cache);
      const place = statSync(join(project, "node_modules")).ino;
      write(join(project, "package-lock.json"), "two");
      dependencies(project, cache);
      write(join(project, "package-lock.json"), "one");
      // As far as the copying: there is no such program.
      const path = process.env.PATH;
      process.env.PATH = "";
      assert.throws(() => dependencies(project, cache));
      process.env.PATH = path;
      write(join(project, "package-lock.json"), "two");
      assert.true(dependencies(project, cache), "it was of that before");
      assert.strictEqual(installed(project), "two");
      assert.strictEqual(statSync(join(project, "node_modules")).ino, place, "the folder is never another");
    });
  });
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

  QUnit.test("is compiled once for each content of src, in whatever checkout", (assert) => {
    const cache = fresh();
    const [one, other] = [project("one"), project("one")];
    assert.true(typescript(one, cache, compile));
    assert.false(typescript(one, cache, compile));
    const never = () => {
      throw new Error("it was to be copied");
    };
    assert.true(typescript(other, cache, never));
    assert.strictEqual(read(other), "one");
    rmSync(join(one, "dist"), { recursive: true });
    assert.true(typescript(one, cache, never), "somebody removed it");
  });

  QUnit.test(
    "has nothing that was compiled from a file that is gone, and keeps what was not compiled",
    (assert) => {
      const cache = fresh();
      const path = project("one");
      write(join(path, "src", "room", "gone.ts"), "gone");
      write(join(path, "dist", "binding", "openssl.wasm"), "wasm");
      typescript(path, cache, compile);
      assert.true(existsSync(join(path, "dist", "room", "gone.js")));
      rmSync(join(path, "src", "room", "gone.ts"));
      typescript(path, cache, compile);
      assert.false(existsSync(join(path, "dist", "room", "gone.js")));
      assert.true(existsSync(join(path, "dist", "binding", "openssl.wasm")));
    },
  );

  QUnit.test("is made anew after a compilation that ended in the middle", (assert) => {
    const cache = fresh();
    const path = project("one");
    typescript(path, cache, compile);
    write(join(path, "src", "index.ts"), "two");
    const half = (path: string) => {
      write(join(path, "dist", "index.js"), "half");
      throw new Error("killed");
    };
    assert.throws(() => typescript(path, cache, half), /killed/);
    write(join(path, "src", "index.ts"), "one");
    assert.true(typescript(path, cache, compile), "it was of that before");
    assert.strictEqual(read(path), "one");
  });

  QUnit.test("of sources that changed meanwhile is refused, and not kept", (assert) => {
    const cache = fresh();
    const path = project("one");
    const edited = (path: string) => {
      compile(path);
      write(join(path, "src", "index.ts"), "two");
    };
    assert.throws(() => typescript(path, cache, edited), /changed during the build/);
    write(join(path, "src", "index.ts"), "one");
    assert.true(typescript(path, cache, compile));
    assert.strictEqual(read(path), "one");
  });

  QUnit.test("is kept for the last contents that were used", (assert) => {
    const cache = fresh();
    const path = project("first");
    typescript(path, cache, compile);
    for (let n = 0; n < 12; n++) {
      write(join(path, "src", "index.ts"), String(n));
      typescript(path, cache, compile);
      const never = () => {
        throw new Error("it was to be copied");
      };
      typescript(project("first"), cache, never);
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

QUnit.module("build: what bash does", () => {
  /** As build.sh begins, with a cache of its own and without a compiler. */
  const script = (cache: string, text: string) => `
    set -euo pipefail
    project=${repository} cache=${cache} jobs=1 toolchain_id=none libs= tarball=
    cd "$project"
    . wasm/build/shell.sh
    declare -A keys=()
    while read -r name key; do keys[$name]=$key; done < <(node wasm/build/inputs.mjs keys none)
    make_slowly() { echo >>"$cache/log"; echo 1 >"$3/first"; ls "$1" >"$3/in"; sleep 0.2; echo 2 >"$3/last"; }
    ${text}`;
  const bash = (cache: string, text: string) =>
    spawnSync("bash", ["-c", script(cache, text)], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const keep = "keep kernels make_slowly link.sh";
  /** A group of its own, so that all of it can be killed. */
  const start = (cache: string) =>
    spawn("bash", ["-c", script(cache, keep)], { stdio: "ignore", detached: true });
  const key = inputs.keysOf(repository, "none", ["kernels"]).kernels!;
  const left = (cache: string) => readdirSync(join(cache, "kernels"));

  QUnit.test("of several builds at once one makes it, from copies of what goes into it", async (assert) => {
    const cache = fresh();
    const codes = await Promise.all(
      Array.from({ length: 3 }, async () => (await once(start(cache), "close"))[0]),
    );
    assert.deepEqual(codes, [0, 0, 0]);
    assert.strictEqual(readFileSync(join(cache, "log"), "utf8"), "\n", "once");
    assert.deepEqual(left(cache), [key]);
    assert.deepEqual(readdirSync(join(cache, "kernels", key)).sort(), ["first", "in", "last"]);
    assert.strictEqual(readFileSync(join(cache, "kernels", key, "in"), "utf8"), "test\nwasm\n");
  });

  QUnit.test("a build that is killed at any moment leaves nothing that the next one uses", async (assert) => {
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      for (const moment of [60, 250]) {
        const cache = fresh();
        const killed = start(cache);
        await wait(moment);
        process.kill(-killed.pid!, signal);
        await once(killed, "close");
        const { status, stderr } = bash(cache, keep);
        assert.strictEqual(status, 0, stderr);
        assert.deepEqual(left(cache), [key], `${signal} after ${moment} ms: nothing else is left`);
        assert.deepEqual(readdirSync(join(cache, "kernels", key)).sort(), ["first", "in", "last"]);
      }
    }
  });

  QUnit.test("what changed since its key was made is refused, and nothing is left of it", (assert) => {
    const cache = fresh();
    const { status, stderr } = bash(cache, `keys[kernels]=of-before; ${keep}`);
    assert.strictEqual(status, 1);
    assert.true(stderr.includes("changed during the build"), stderr);
    assert.deepEqual(readdirSync(join(cache, "kernels", "build-of-before")), []);
  });

  QUnit.test("nothing is removed that something is mounted in", (assert) => {
    const cache = fresh();
    const tree = join(cache, "tree");
    write(join(tree, "inside", "file"), "");
    const mounted = (text: string) =>
      spawnSync("unshare", ["--mount", "bash", "-c", script(cache, text)], { encoding: "utf8" });
    if (mounted("true").status !== 0) return assert.true(true, "absent: no mount namespaces here");
    const { status, stderr } = mounted(`mount -t tmpfs none ${tree}/inside; remove_tree ${tree}`);
    assert.strictEqual(status, 1);
    assert.true(stderr.includes("something is mounted below"), stderr);
    assert.strictEqual(bash(cache, `remove_tree ${tree}`).status, 0);
    assert.false(existsSync(tree));
  });

  QUnit.test("a command that fails shows the end of what it said, and its errors", (assert) => {
    const { status, stderr } = bash(
      fresh(),
      `say_much() { echo 'x.c:1: error: first'; seq 100; return 7; }; run_logged compiling '' '' say_much; echo not here`,
    );
    assert.strictEqual(status, 1);
    assert.true(
      /1:x\.c:1: error: first\n--- the end of the output:\n76\n[\s\S]*\n100\n/.test(stderr),
      stderr,
    );
    assert.true(stderr.includes("compiling failed with status 7"));
  });

  QUnit.test("a script that fails ends the build, with its reason", (assert) => {
    const cache = fresh();
    write(join(cache, "bin", "node"), "#!/bin/sh\necho the reason >&2\nexit 1\n");
    chmodSync(join(cache, "bin", "node"), 0o755);
    const { status, stderr } = bash(
      cache,
      `PATH=${cache}/bin:$PATH; stage x; by_script dependencies.mjs; say not here`,
    );
    assert.strictEqual(status, 1, stderr);
    assert.true(stderr.includes("the reason"), stderr);
    assert.false(stderr.includes("not here"), stderr);
  });

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
