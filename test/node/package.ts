/** The tarball itself: every way into it works, and nothing is missing behind it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import QUnit from "qunit";

const folder = dirname(createRequire(import.meta.url).resolve("wassl/package.json"));
const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
  exports: Record<string, string | Record<string, string>>;
  typesVersions: Record<string, Record<string, string[]>>;
  main: string;
  types: string;
  imports: Record<string, Record<string, string>>;
  dependencies: Record<string, string>;
};
const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(folder, join(entry.parentPath, entry.name)));

QUnit.module("package", () => {
  QUnit.test("every export exists, has types, and can be imported", async (assert) => {
    for (const [name, target] of Object.entries(manifest.exports)) {
      for (const file of Object.values(typeof target === "string" ? [target] : target))
        assert.true(existsSync(join(folder, file)), `${name}: ${file}`);
      const file = String(target);
      if (!file.endsWith(".js")) continue;
      assert.true(existsSync(join(folder, file.replace(/\.js$/, ".d.ts"))), `${name} has types`);
      const module = (await import(`wassl${name.slice(1)}`)) as object;
      assert.true(Object.keys(module).length > 0, name);
    }
    for (const file of Object.values(manifest.imports["#wasm"] ?? {}))
      assert.true(existsSync(join(folder, file)), file);
  });

  QUnit.test("resolvers that know no exports find each of them all the same", (assert) => {
    assert.strictEqual(manifest.main, manifest.exports["."]);
    assert.strictEqual(manifest.types, manifest.main.replace(/\.js$/, ".d.ts"));
    for (const [name, file] of Object.entries(manifest.exports)) {
      if (name === "." || typeof file !== "string" || !file.endsWith(".js")) continue;
      const types = manifest.typesVersions["*"]?.[name.slice(2)];
      assert.deepEqual(types, [file.replace(/\.js$/, ".d.ts")], name);
    }
  });

  QUnit.test("the loader is the only dependency", (assert) => {
    assert.deepEqual(Object.keys(manifest.dependencies), ["@assemblyscript/loader"]);
    const foreign = new Set<string>();
    const ofProgram = new Set<string>();
    const ofFacade = new Set<string>();
    for (const file of files.filter((name) => name.startsWith("dist/") && name.endsWith(".js"))) {
      const source = readFileSync(join(folder, file), "utf8");
      for (const [, name = ""] of source.matchAll(/^(?:import|export)[^"';]*from\s*"([^"]+)"/gm)) {
        if (name.startsWith(".")) continue;
        const room = file.split("/")[1];
        (room === "cli" ? ofProgram : room === "node" ? ofFacade : foreign).add(name);
      }
    }
    assert.deepEqual([...foreign].filter((name) => !name.startsWith("node:")).sort(), [
      "#wasm",
      "@assemblyscript/loader",
    ]);
    const nodeOnly = [...foreign].filter((name) => name.startsWith("node:"));
    assert.true(
      nodeOnly.every((name) => name === "node:fs/promises" || name === "node:net"),
      nodeOnly.join(),
    );
    assert.deepEqual(
      [...ofProgram].filter((name) => !/^(node:|wassl$|wassl\/)/.test(name)),
      [],
      "the program needs the package and Node.js",
    );
    assert.deepEqual(
      [...ofFacade].filter((name) => !/^wassl($|\/)/.test(name)).sort(),
      ["node:buffer", "node:events", "node:stream"],
      "the facade needs the package, and what a bundler has polyfills for",
    );
  });

  QUnit.test("its syntax is that of Safari 16.4, Chrome 100 and Firefox 100", async (assert) => {
    const { transform } = (await import(
      createRequire(join(process.env.WASSL_REPOSITORY ?? "", "package.json")).resolve("esbuild")
    )) as typeof import("esbuild");
    // For Deno alone. And esbuild takes no regular expression for understood that asks for properties of Unicode.
    const own = /^dist\/(cli\/|binding\/(wasm-deno|openssl-base64)|options\/names\.js)/;
    for (const file of files.filter((name) => /^dist\/.*\.js$/.test(name) && !own.test(name))) {
      const source = readFileSync(join(folder, file), "utf8");
      const { code } = await transform(source, { target: "esnext" });
      for (const target of ["safari16.4", "chrome100", "firefox100"])
        assert.strictEqual((await transform(source, { target })).code, code, `${file}, ${target}`);
    }
  });

  QUnit.test("source maps lead to sources that are there", (assert) => {
    for (const file of files.filter((name) => name.endsWith(".js.map"))) {
      const { sources } = JSON.parse(readFileSync(join(folder, file), "utf8")) as { sources: string[] };
      for (const source of sources)
        assert.true(existsSync(join(folder, dirname(file), source)), `${file} → ${source}`);
    }
  });
});
