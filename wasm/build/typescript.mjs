/** dist/, as tsc makes it of src/. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { keep, noted } from "./cache.mjs";
import { filesIn, keyFrom, sumOf } from "./inputs.mjs";
import { run } from "./run.mjs";

/** Each change of a source makes one: the last few are enough. */
const KEPT = 8;

const inputs = ["src", "tsconfig.json", "package.json", "package-lock.json"];

/**
 * @param {string} project
 * @param {string} cache
 * @param {(project: string) => void | Promise<void>} [compile] writes dist/
 * @returns {Promise<boolean>} whether anything was to be done
 */
export function typescript(project, cache, compile = tsc) {
  const dist = join(project, "dist");
  const note = join(project, "node_modules", ".wassl-typescript.sha256");
  const keyNow = () => keyFrom(filesIn(project, inputs).map((file) => [file, sumOf(join(project, file))]));
  const key = keyNow();
  // Somebody may have removed what is noted.
  if (!existsSync(join(dist, "index.js"))) rmSync(note, { force: true });
  return noted(note, key, async () => {
    // What was compiled from a file that is gone must not be published.
    for (const file of compiledIn(dist)) rmSync(join(dist, file));
    const kept = join(cache, "typescript", key);
    if (existsSync(kept)) {
      // Said before it is read, so that no other build thinks it old.
      utimesSync(kept, new Date(), new Date());
      copy(kept, dist, filesIn(kept, readdirSync(kept)));
      return;
    }
    mkdirSync(dist, { recursive: true });
    await compile(project);
    if (keyNow() !== key) throw new Error("a file in src/ changed during the build; start it again");
    await keep({ cache, kind: "typescript", key, make: ({ out }) => copy(dist, out, compiledIn(dist)) });
    forget(join(cache, "typescript"));
  });
}

/** @param {string} project */
async function tsc(project) {
  const compiler = join(project, "node_modules", "typescript", "bin", "tsc");
  // The program of the command line, and what stands in for modules of Node.js, import the package by its name, and find
  // what the first one wrote.
  for (const config of ["tsconfig.json", "src/cli/tsconfig.json", "src/node/tsconfig.json"])
    await run([process.execPath, compiler, "-p", config], { cwd: project });
  for (const file of compiledIn(join(project, "dist")))
    if (file.endsWith(".d.ts")) forOthers(join(project, "dist", file));
  // tsc copies no declarations. This one is public.
  const declared = join("binding", "openssl.d.wasm.ts");
  cpSync(join(project, "src", declared), join(project, "dist", declared));
  chmodSync(join(project, "dist", "cli", "bin.js"), 0o755);
}

/** The types of Node.js alone do not know these. Elsewhere it adds nothing. */
const WEBASSEMBLY = `declare global {
    namespace WebAssembly {
        interface Module {}
        interface Memory {}
    }
}
`;

/**
 * What the declarations need with older compilers and fewer libraries than ours.
 *
 * @param {string} file declarations
 */
function forOthers(file) {
  const text = readFileSync(file, "utf8");
  // TypeScript before 5.7 knows no such type. It is what `Uint8Array.of` returns, and before that a `Uint8Array`.
  let changed = text
    .replaceAll("Uint8Array<ArrayBuffer>", "ReturnType<typeof Uint8Array.of>")
    .replaceAll("Buffer<ArrayBuffer>", "ReturnType<typeof Buffer.alloc>");
  if (file.endsWith(join("binding", "loader.d.ts"))) changed += WEBASSEMBLY;
  if (changed !== text) writeFileSync(file, changed);
}

/** @param {string} dist */
function compiledIn(dist) {
  return filesIn(dist, existsSync(dist) ? readdirSync(dist) : []).filter((file) =>
    /^(?!binding\/openssl-base64\.js).*\.(js|d\.ts|d\.wasm\.ts|map)$/.test(file),
  );
}

/**
 * @param {string} from
 * @param {string} to
 * @param {string[]} files
 */
function copy(from, to, files) {
  for (const file of files) cpSync(join(from, file), join(to, file));
}

/** @param {string} folder */
function forget(folder) {
  const age = (/** @type {string} */ name) => statSync(join(folder, name)).mtimeMs;
  const old = readdirSync(folder)
    .filter((name) => /^[0-9a-f]{16}$/.test(name))
    .sort((a, b) => age(b) - age(a))
    .slice(KEPT);
  for (const name of old) rmSync(join(folder, name), { recursive: true, force: true });
}
