/**
 * What outsiders are told and can check: the list of parts, the commands that documents name, and what is published.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import QUnit from "qunit";

const repository = process.env.WASSL_REPOSITORY ?? "";
const read = (path: string) => readFileSync(join(repository, path), "utf8");
const manifest = JSON.parse(read("package.json")) as {
  scripts: Record<string, string>;
  files: string[];
  publishConfig?: Record<string, unknown>;
  dependencies: Record<string, string>;
};

interface Component {
  name: string;
  group?: string;
  version?: string;
  scope?: string;
  purl?: string;
  hashes?: { alg: string; content: string }[];
  pedigree?: { patches: { resolves?: { id: string }[] }[] };
}

/** What `wasm/openssl.lock` says, its words alone. */
const pinned = (name: string) => new RegExp(`^${name}=(\\S+)`, "m").exec(read("wasm/openssl.lock"))?.[1];

QUnit.module("release: the list of parts", () => {
  const folder = mkdtempSync(join(tmpdir(), "wassl-sbom-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  /** It checks itself against CycloneDX's schema, and fails if it does not fit. */
  const make = (name: string, environment: Record<string, string> = {}) => {
    const file = join(folder, name);
    const { SOURCE_DATE_EPOCH: _, ...env } = process.env;
    const tsx = join(repository, "node_modules", "tsx", "dist", "cli.mjs");
    execFileSync(process.execPath, [tsx, "wasm/build/sbom.ts", file], {
      cwd: repository,
      env: { ...env, ...environment },
      stdio: ["ignore", "ignore", "inherit"],
    });
    return readFileSync(file, "utf8");
  };

  QUnit.test("names all that is pinned, and says no time of its own", (assert) => {
    assert.timeout(60_000);
    const text = make("one.json");
    assert.strictEqual(make("two.json"), text, "the same sources give the same bytes");
    assert.false(/"timestamp"/.test(text), "no time");
    assert.true(
      /"timestamp": "2001-09-09T01:46:40/.test(make("dated.json", { SOURCE_DATE_EPOCH: "1000000000" })),
    );

    const bom = JSON.parse(text) as {
      components: Component[];
      metadata: { component: Component; tools: { components: Component[] } };
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    const all = [...bom.components, ...bom.metadata.tools.components];
    const find = (name: string) => all.find((each) => each.name === name);
    const names = {
      OPENSSL: "openssl",
      EMSCRIPTEN: "emscripten",
      LLVM: "llvm",
      MUSL: "musl",
      COMPILER_RT: "compiler-rt",
      DLMALLOC: "dlmalloc",
      WYCHEPROOF: "wycheproof",
    };
    // Whatever else is pinned one day must get a name here, and a place there.
    for (const [, pin] of read("wasm/openssl.lock").matchAll(/^([A-Z_]+)_VERSION=/gm)) {
      if (pin === "NSS") {
        // Debian's version of the package; the list of parts has Mozilla's.
        const { version, purl } = find("nss-certdata") ?? {};
        assert.true(pinned("NSS_VERSION")?.includes(`${version}-`), "nss-certdata");
        assert.strictEqual(purl?.split("@")[1], encodeURIComponent(pinned("NSS_VERSION")!));
        continue;
      }
      const name = (names as Record<string, string>)[pin!] ?? `what ${pin}_VERSION pins`;
      assert.strictEqual(find(name)?.version, pinned(`${pin}_VERSION`), name);
    }
    assert.strictEqual(find("openssl")?.hashes?.[0]?.content, pinned("OPENSSL_SHA256"));
    const patches = readdirSync(join(repository, "wasm", "patches")).filter((file) =>
      file.endsWith(".patch"),
    );
    assert.strictEqual(find("openssl")?.pedigree?.patches.length, patches.length, "each patch");
    const mended = find("openssl")?.pedigree?.patches.flatMap(({ resolves = [] }) =>
      resolves.map(({ id }) => id),
    );
    const cves = patches
      .filter((file) => file.startsWith("cve-"))
      .map((file) => file.toUpperCase().slice(0, -6));
    assert.deepEqual(mended?.sort(), cves.sort(), "and which CVE it mends");
    const nss = /nss: "([^"]+)"/.exec(read("src/roots/table.ts"))?.[1];
    assert.strictEqual(find("nss-certdata")?.version, nss, "the trust anchors");

    // The closure of what is installed with the package.
    const { packages } = JSON.parse(read("package-lock.json")) as {
      packages: Record<string, { version: string; dev?: boolean; dependencies?: Record<string, string> }>;
    };
    const closure = new Set(Object.keys(manifest.dependencies));
    for (const name of closure)
      for (const each of Object.keys(packages[`node_modules/${name}`]?.dependencies ?? {})) closure.add(each);
    for (const name of closure) {
      const component = bom.components.find(
        (each) => [each.group, each.name].filter(Boolean).join("/") === name,
      );
      assert.strictEqual(component?.version, packages[`node_modules/${name}`]?.version, name);
      assert.strictEqual(component?.scope, "required", name);
      assert.strictEqual(component?.hashes?.length, 1, name);
    }
    const known = new Set(bom.dependencies.map(({ ref }) => ref));
    for (const each of bom.dependencies.flatMap(({ dependsOn }) => dependsOn))
      assert.true(known.has(each), each);
  });

  QUnit.test("what the toolchain brings is of these versions", (assert) => {
    const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "wassl", "toolchain");
    const root = join(cache, `debian-${pinned("DEBIAN_SUITE")}-${pinned("EMSCRIPTEN_VERSION")}`);
    const lib = join(root, "usr", "share", "emscripten", "system", "lib");
    if (!existsSync(lib)) return assert.true(true, "it is not here");
    const from = (file: string, pattern: RegExp) => pattern.exec(readFileSync(join(lib, file), "utf8"))?.[1];
    assert.strictEqual(from("libc/musl/VERSION", /(\S+)/), pinned("MUSL_VERSION"));
    assert.strictEqual(from("compiler-rt/readme.txt", /release ([\d.]+\d)/), pinned("COMPILER_RT_VERSION"));
    assert.strictEqual(from("dlmalloc.c", /\* Version ([\d.]+)/), pinned("DLMALLOC_VERSION"));
    const status = readFileSync(join(root, "var", "lib", "dpkg", "status"), "utf8");
    const clang = /^Package: clang-\d+\n(?:.+\n)*?Version: (?:\d+:)?([\d.]+)/m.exec(status)?.[1];
    assert.strictEqual(clang, pinned("LLVM_VERSION"));
  });
});

QUnit.module("release: what documents say", () => {
  const documents = [
    ...readdirSync(repository).filter((file) => file.endsWith(".md")),
    // What TypeDoc makes of the sources is in docs/api.
    ...readdirSync(join(repository, "docs"), { recursive: true, encoding: "utf8" })
      .filter((file) => !file.startsWith("api"))
      .map((file) => `docs/${file}`),
  ].filter((file) => file.endsWith(".md") && file !== "CHANGELOG.md");

  QUnit.test("each npm script that is named exists", (assert) => {
    // npm's own commands, and how the package is used once it is installed.
    const own = [
      "ci",
      "install",
      "i",
      "pack",
      "publish",
      "view",
      "audit",
      "version",
      "run",
      "exec",
      "ls",
      "test",
      "start",
    ];
    let count = 0;
    for (const file of documents) {
      const code = [...read(file).matchAll(/```[\s\S]*?```|`[^`]+`/g)].join("\n");
      for (const [, verb, name] of code.matchAll(/\bnpm (run )?(?:--silent )?([a-z][\w:-]*)/g)) {
        count++;
        if (verb) assert.true(name! in manifest.scripts, `${file}: npm run ${name}`);
        else assert.true(own.includes(name!), `${file}: npm ${name}`);
      }
    }
    assert.true(count > 10, "they were found");
    // The list in README.md names them without npm.
    const more = /## More\n([\s\S]*)/.exec(read("README.md"))?.[1]?.split("\n\n")[0] ?? "";
    const named = [...more.matchAll(/`([a-z][\w:-]*)`/g)].map(([, name]) => name!);
    assert.true(named.length > 5, "the list is there");
    for (const name of named) assert.true(name in manifest.scripts, `README.md, More: ${name}`);
  });

  QUnit.test("each file that a document leads to exists", (assert) => {
    for (const file of documents) {
      for (const [, target] of read(file).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g))
        assert.true(existsSync(join(repository, dirname(file), target!)), `${file}: ${target}`);
      for (const [, path] of read(file).matchAll(/`((?:src|test|wasm|docs)\/[\w./-]+\.\w+)`/g))
        assert.true(existsSync(join(repository, path!)), `${file}: ${path}`);
    }
  });

  QUnit.test("the package is published in the open, and says where it comes from", (assert) => {
    assert.deepEqual(manifest.publishConfig, { access: "public", provenance: true });
    for (const file of ["SECURITY.md", "CHANGELOG.md", "NOTICE", "dist", "src"])
      assert.true(manifest.files.includes(file), file);
  });
});
