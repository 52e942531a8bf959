/**
 * What build.sh does: which steps there are, in which order, and how compilers make something: `node build.mjs COMMAND…`
 */
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { keep, locked, removeTree } from "./cache.mjs";
import { dependencies } from "./dependencies.mjs";
import { inline } from "./inline.mjs";
import { copyInputs, keysOf, sumOf } from "./inputs.mjs";
import { lockOf, pinsOf } from "./lock.mjs";
import { objectsOf } from "./module.mjs";
import { have, logged, run, stop, stoppedWith, through } from "./run.mjs";
import { tarballOf, wycheproofOf } from "./source.mjs";
import { stage } from "./tell.mjs";
import { enter, toolchainOf } from "./toolchain.mjs";
import { typescript } from "./typescript.mjs";

/** What each thing of inputs.mjs is called while it is made. */
const titles = {
  libs: "libssl.a and libcrypto.a",
  wasm: "openssl.wasm",
  map: "openssl.wasm with the linker's map",
  faults: "openssl.wasm with an allocator that fails",
  kernels: "kernels",
};
/** @typedef {keyof typeof titles} Name */

/** The steps of a build of the checkout at `project`, whose results are kept in `cache`. */
export class Build {
  /** @type {string | undefined} */
  #toolchain;
  /** @type {Promise<string[]> | undefined} */
  #inside;
  /** @type {Record<string, string> | undefined} */
  #keys;

  /**
   * @param {string} project
   * @param {string} cache
   * @param {{ name: string, inside: string[] }} [toolchain] instead of the one that is to be found and made
   */
  constructor(project, cache, toolchain) {
    this.project = project;
    this.cache = cache;
    const file = join(project, "wasm", "openssl.lock");
    this.lock = lockOf(file);
    this.pins = pinsOf(file);
    this.#toolchain = toolchain?.name;
    this.#inside = toolchain && Promise.resolve(toolchain.inside);
  }

  /** The name of the toolchain, which is part of all keys. */
  get toolchain() {
    this.#toolchain ??= toolchainOf(this.pins);
    return this.#toolchain;
  }

  /**
   * What stands before a command that runs in the toolchain.
   *
   * @param {string[]} visible folders that such commands see beside the project and the cache
   */
  inside(...visible) {
    this.#inside ??= enter(this, visible);
    return this.#inside;
  }

  /**
   * Where a thing is kept, made or not.
   *
   * @param {Name} name
   */
  place(name) {
    this.#keys ??= keysOf(this.project, this.toolchain);
    return join(this.cache, name, this.#keys[name] ?? "");
  }

  /** Makes the toolchain, unless it is there. */
  async ensureToolchain() {
    const done = stage("toolchain", `emscripten ${this.pins.EMSCRIPTEN_VERSION}`);
    await this.inside();
    done(this.toolchain);
  }

  /** @returns {Promise<string>} where the archives are */
  async libs() {
    await this.ensureToolchain();
    const done = stage(titles.libs, `OpenSSL ${this.pins.OPENSSL_VERSION}`);
    const place = this.place("libs");
    if (existsSync(place)) done("up to date");
    else {
      await this.keep("libs", { tarball: await tarballOf(this) });
      done();
    }
    return place;
  }

  /**
   * What link.sh makes of the archives.
   *
   * @param {Exclude<Name, "libs">} name
   * @returns {Promise<string>} where it is
   */
  async module(name) {
    const place = this.place(name);
    if (existsSync(place)) return place;
    const libs = await this.libs();
    const vectors =
      name === "kernels" ? { tarball: await tarballOf(this), wycheproof: await wycheproofOf(this) } : {};
    const done = stage(titles[name]);
    await this.keep(name, { libs, ...vectors });
    done();
    return place;
  }

  /**
   * @param {Name} name
   * @param {Record<string, string>} given
   */
  keep(name, given) {
    return keep({
      cache: this.cache,
      kind: name,
      key: basename(this.place(name)),
      make: ({ out, work, fd }) =>
        this.make(name, given, { copy: join(work, "in"), work: join(work, "work"), out, fd }),
    });
  }

  /**
   * Makes a thing of a copy of all that goes into it, by the scripts in this copy.
   *
   * @param {Name} name
   * @param {Record<string, string>} given what was made before, as the scripts name it
   * @param {{ copy: string, work: string, out: string, fd?: number }} where
   */
  async make(name, given, { copy, work, out, fd }) {
    copyInputs(this.project, name, copy);
    if (keysOf(copy, this.toolchain, [name])[name] !== basename(this.place(name)))
      throw new Error(`a file that ${name} is made of changed during the build; start it again`);
    for (const folder of [work, out]) mkdirSync(folder, { recursive: true });
    const script = name === "libs" ? "libs.sh" : "link.sh";
    const recipe = [
      "bash",
      "wasm/build/recipe.sh",
      script,
      `make_${name}`,
      work,
      out,
      ...(await this.inside()),
    ];
    const options = { cwd: copy, env: given, fd };
    if (name !== "libs") return run(recipe, options);
    return logged("objects compiled", recipe, {
      ...options,
      step: /^wasm-cc .* -c /,
      total: /^objects: (\d+)$/,
    });
  }

  async wasm() {
    // A mistake in OPENSSL_TARBALL should be told even when nothing needs it.
    if (process.env.OPENSSL_TARBALL) await tarballOf(this);
    const made = await this.module("wasm");
    const folder = join(this.project, "dist", "binding");
    const [from, to] = [join(made, "openssl.wasm"), join(folder, "openssl.wasm")];
    const done = stage("dist/binding/openssl.wasm");
    mkdirSync(folder, { recursive: true });
    // What a build that was killed left behind must not be published.
    for (const name of readdirSync(folder)) if (name.startsWith("openssl.wasm.")) rmSync(join(folder, name));
    if (existsSync(to) && readFileSync(from).equals(readFileSync(to))) done("up to date");
    else {
      copyFileSync(from, `${to}.new`);
      renameSync(`${to}.new`, to);
      done();
    }
    process.stdout.write(readFileSync(join(made, "size")));
  }

  /**
   * For the tests and the benchmarks, which find it at node_modules/.cache/wassl-…
   *
   * @param {string} file
   * @param {string} name
   */
  #show(file, name) {
    const folder = join(this.project, "node_modules", ".cache");
    mkdirSync(folder, { recursive: true });
    const link = join(folder, `wassl-${name}`);
    rmSync(link, { force: true });
    symlinkSync(file, link);
  }

  async kernels() {
    this.#show(await this.module("kernels"), "kernels");
  }

  async faults() {
    this.#show(join(await this.module("faults"), "openssl.wasm"), "faults.wasm");
  }

  async named() {
    await this.wasm();
    this.#show(join(this.place("wasm"), "openssl.wasm.named"), "named.wasm");
  }

  async sizes() {
    const map = readFileSync(join(await this.module("map"), "map"), "utf8");
    console.log("    code     data");
    for (const { object, code, data } of objectsOf(map))
      console.log(String(code).padStart(8), String(data).padStart(8), "", object);
  }

  async dependencies() {
    const done = stage("dependencies");
    done((await dependencies(this.project, this.cache)) ? "done" : "up to date");
  }

  async all() {
    await this.dependencies();
    await this.wasm();
    const compiled = stage("TypeScript");
    compiled((await typescript(this.project, this.cache)) ? "done" : "up to date");
    const inlined = stage("dist/binding/openssl-base64.js");
    inlined(inline(this.project) ? "done" : "up to date");
  }

  /**
   * Only the toolchain and the source come from the cache. The two builds share nothing, and differ in all that a build can pick up
   * from where it runs: the directories' names, their lengths, and when it was.
   */
  async verify() {
    await this.ensureToolchain();
    const tarball = await tarballOf(this);
    const tree = mkdtempSync(join(this.cache, "verify."));
    try {
      const sums = [];
      for (const name of ["a", "a-directory-with-a-considerably-longer-name/and-one-more-level"]) {
        const folder = join(tree, name);
        const done = stage(`build ${sums.length + 1} of 2`, folder);
        const libs = join(folder, "libs");
        for (const [each, given, out] of /** @type {const} */ ([
          ["libs", { tarball }, libs],
          ["wasm", { libs }, join(folder, "out")],
        ]))
          await this.make(each, given, { copy: folder, work: join(folder, `work-${each}`), out });
        sums.push(sumOf(join(folder, "out", "openssl.wasm")));
        console.log(`openssl.wasm, build ${sums.length}: sha256 ${sums.at(-1)}`);
        done();
      }
      if (sums[0] !== sums[1]) throw new Error("the two builds differ");
      const kept = join(this.place("wasm"), "openssl.wasm");
      if (existsSync(kept) && sumOf(kept) !== sums[0])
        throw new Error(`the two builds agree, but ${kept}, made earlier of the same, differs`);
      console.log("The build is reproducible.");
    } finally {
      removeTree(tree);
    }
  }
}

/** Steps that change a checkout: one at a time. */
const inCheckout = /** @type {const} */ ([
  "all",
  "dependencies",
  "wasm",
  "kernels",
  "faults",
  "named",
  "sizes",
]);
/** @type {readonly string[]} */
const commands = [...inCheckout, "verify", "toolchain"];

/**
 * @param {string} project
 * @param {string[]} asked
 */
async function main(project, asked) {
  for (const tool of ["flock", "tar"])
    if (!have(tool)) throw new Error(`${tool} is needed (Linux, or util-linux and GNU tar)`);
  const home = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const folder = join(home, "wassl");
  mkdirSync(folder, { recursive: true });
  const cache = realpathSync(folder);
  const build = new Build(project, cache);
  if (asked[0] === "emcc") {
    const status = await through([...(await build.inside(process.cwd())), ...asked]);
    process.exitCode = typeof status === "number" ? status : 1;
    return;
  }
  const name = createHash("sha256").update(project).digest("hex").slice(0, 16);
  for (const command of asked.length > 0 ? asked : ["all"]) {
    const inside = inCheckout.find((each) => each === command);
    if (inside) await locked(join(cache, "locks", `checkout-${name}`), () => build[inside]());
    else if (command === "verify") await build.verify();
    else if (command === "toolchain") await build.ensureToolchain();
    else throw new Error(`usage: ./build.sh [${commands.join(" | ")}]… | emcc ARGS…`);
  }
}

const [, program = "", ...asked] = process.argv;
if (program === fileURLToPath(import.meta.url)) {
  process.on("SIGINT", () => stop(130));
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => stop(143));
  try {
    await main(join(dirname(program), "..", ".."), asked);
  } catch (error) {
    if (stoppedWith() === undefined)
      console.error(`\nbuild.sh: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
  if (stoppedWith() !== undefined) process.exitCode = stoppedWith();
}
