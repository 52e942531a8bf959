/**
 * The sources as JSR has them: `node jsr.mjs FOLDER`, and then `deno publish` there. JSR and Deno want the names of files as they
 * are, `./stream.ts`, where what npm has says `./stream.js`.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Not for Deno. */
const LEFT_OUT = /^cli\/|^binding\/(wasm-(node|web|edge|workerd)\.ts|node\.d\.ts|openssl\.d\.wasm\.ts)$/;

/**
 * @param {string} project
 * @param {string} folder
 */
export function makeJsr(project, folder) {
  const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
  const source = join(project, "src");
  for (const file of readdirSync(source, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts") || LEFT_OUT.test(file)) continue;
    const text = readFileSync(join(source, file), "utf8");
    mkdirSync(join(folder, "src", dirname(file)), { recursive: true });
    // What the build makes is JavaScript.
    const named = text.replace(/((?:from|import) |import\()"(\.[^"]*)(?<!openssl-base64)\.js"/g, '$1"$2.ts"');
    writeFileSync(join(folder, "src", file), named);
  }
  for (const made of ["openssl.wasm", "openssl-base64.js"])
    cpSync(join(project, "dist", "binding", made), join(folder, "src", "binding", made));
  for (const file of ["LICENSE", "NOTICE", "README.md"]) cpSync(join(project, file), join(folder, file));
  const modules = Object.entries(manifest.exports).filter(([, file]) => String(file).endsWith(".js"));
  const config = {
    name: "@wassl/wassl",
    version: manifest.version,
    license: manifest.license,
    exports: Object.fromEntries(
      modules.map(([name, file]) => [name, file.replace("./dist/", "./src/").replace(/\.js$/, ".ts")]),
    ),
    imports: {
      "#wasm": "./src/binding/wasm-deno.ts",
      "@assemblyscript/loader": `npm:@assemblyscript/loader@${manifest.dependencies["@assemblyscript/loader"]}`,
    },
    compilerOptions: { lib: ["esnext", "dom", "dom.iterable", "dom.asynciterable", "deno.ns"] },
  };
  writeFileSync(join(folder, "deno.json"), `${JSON.stringify(config, null, 2)}\n`);
}

const [, program = "", folder = ""] = process.argv;
if (program === fileURLToPath(import.meta.url)) makeJsr(join(dirname(program), "..", ".."), folder);
