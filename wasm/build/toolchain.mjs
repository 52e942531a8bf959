/**
 * Where emcc comes from, and how a command is run beside it. Either an emcc of the pinned version is on PATH, as an activated emsdk
 * provides it, and commands run right here; or a Debian of the suite that ships this version is unpacked into the cache, and
 * commands run in it through chroot.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keep } from "./cache.mjs";
import { aptWith, KEYRING, mirrorsOf } from "./debian.mjs";
import { DIES_WITH_US, have, logged, outputOf, run } from "./run.mjs";
import { say } from "./tell.mjs";

/**
 * Every mount is made in a namespace of the command's own and goes when the command goes, whatever ended it. The namespace of
 * processes and the parent-death signals see to it that the command in turn goes when the build does, be it by kill -9. There is no
 * second way for machines that refuse unshare: the same right is needed for mount itself.
 */
const NAMESPACE = [
  ...["setpriv", "--pdeathsig", "KILL"],
  ...["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"],
];

/** What no build here asks for: two thirds of the size. */
const UNUSED = [
  // Packages already unpacked.
  ...["var/lib/apt/lists", "var/cache/apt/archives", "usr/share/doc", "usr/share/man", "usr/share/locale"],
  // System libraries for -flto and dynamic linking. emcc would compile those itself when asked.
  ...["lto", "lto-pic", "pic"].map(
    (kind) => `usr/share/emscripten/cache/sysroot/lib/wasm32-emscripten/${kind}`,
  ),
];

/**
 * The name of the toolchain. Cheap: makes nothing.
 *
 * @param {Record<string, string>} pins what wasm/openssl.lock says
 * @returns {string}
 */
export function toolchainOf({ EMSCRIPTEN_VERSION: pinned, DEBIAN_SUITE: suite }) {
  if (have("emcc")) {
    const found = /^.* ([0-9][0-9.]*)/.exec(outputOf(["emcc", "--version"]) ?? "")?.[1];
    if (found === pinned) return `path-${found}`;
    say(`the emcc on PATH is ${found}, not the pinned ${pinned}: not used`);
  }
  return `debian-${suite}-${pinned}`;
}

/**
 * @typedef {object} Where
 * @property {string} project
 * @property {string} cache
 * @property {Record<string, string[]>} lock what wasm/openssl.lock says
 * @property {Record<string, string>} pins the same, without the lists
 * @property {string} toolchain its name
 */

/**
 * How a command is run in the toolchain: what stands before it. Makes the toolchain, if need be.
 *
 * @param {Where} where
 * @param {string[]} [visible] folders that commands see beside the project and the cache
 * @returns {Promise<string[]>}
 */
export async function enter({ project, cache, lock, pins, toolchain }, visible = []) {
  const { SOURCE_DATE_EPOCH: epoch = "" } = pins;
  if (toolchain.startsWith("path-"))
    return [...DIES_WITH_US, "env", "LC_ALL=C", `SOURCE_DATE_EPOCH=${epoch}`];
  const script = join(project, "wasm", "build", "enter.sh");
  const inside = (/** @type {string} */ root) => [
    ...NAMESPACE,
    "bash",
    script,
    root,
    epoch,
    project,
    cache,
    ...visible,
    "--",
  ];
  const root = await keep({
    cache,
    kind: "toolchain",
    key: toolchain,
    async make({ out, fd }) {
      await debootstrap(out, pins, fd);
      // Prove it, and let emcc compile now whatever system library the package did not bring prebuilt.
      const flags = [
        ...(lock.LINK_FLAGS ?? []),
        "-sEXPORTED_FUNCTIONS=_malloc,_free",
        "-o",
        "/tmp/probe.wasm",
      ];
      const probe = [...inside(out), "emcc", "wasm/instead/libc.c", ...flags];
      await run(probe, { cwd: project, fd }).catch((cause) => {
        throw new Error("emcc in the new toolchain cannot link a program", { cause });
      });
    },
  });
  return inside(root);
}

/**
 * Debian with emscripten, in `root`.
 *
 * @param {string} root
 * @param {Record<string, string>} pins
 * @param {number} fd
 */
async function debootstrap(root, { EMSCRIPTEN_VERSION: pinned = "", DEBIAN_SUITE: suite = "" }, fd) {
  if (!canDebootstrap()) throw new Error(advice(pinned));
  const [mirror] = mirrorsOf("Debian");
  if (!mirror)
    throw new Error(
      `no Debian mirror (http or https) in this machine's apt configuration.\n${advice(pinned)}`,
    );
  say(`asking the mirror for emscripten in ${suite}`);
  const shipped = shippedBy(mirror, suite);
  if (shipped !== pinned && !["-", "+", "~"].some((sign) => shipped.startsWith(pinned + sign)))
    throw new Error(
      `Debian ${suite} on this machine's mirror ships emscripten ${shipped || "(none)"}, and wasm/openssl.lock pins ${pinned}.\n${advice(pinned)}`,
    );

  if (!have("debootstrap") || !existsSync(KEYRING)) {
    say("installing debootstrap");
    const packages = ["debootstrap", "debian-archive-keyring"];
    await logged("apt-get update", ["apt-get", "update"], { fd });
    await logged("apt-get install", ["apt-get", "install", "-y", "--no-install-recommends", ...packages], {
      fd,
      env: { DEBIAN_FRONTEND: "noninteractive" },
    });
  }
  // debootstrap downloads with wget, which does not know apt's configuration.
  const proxy =
    process.env.http_proxy ||
    outputOf(["apt-config", "dump", "--format", "%v%n", "Acquire::http::Proxy"])?.split("\n")[0];
  // All suites share one script; an older debootstrap only lacks its name.
  const scripts = "/usr/share/debootstrap/scripts";
  const script = existsSync(join(scripts, suite)) ? [] : [join(scripts, "sid")];
  say(`debootstrap of ${suite} with emscripten ${pinned} (download 400 MB, on disk 1.3 GB)`);
  const options = [
    "--variant=minbase",
    "--force-check-gpg",
    `--keyring=${KEYRING}`,
    "--include=emscripten,make,perl",
  ];
  await logged(
    "debootstrap, steps",
    [...NAMESPACE, "debootstrap", ...options, suite, root, mirror, ...script],
    {
      // Three lines of output for each package.
      step: /^I: (Retrieving|Validating|Unpacking|Configuring) /,
      fd,
      env: proxy ? { http_proxy: proxy } : {},
    },
  );
  for (const folder of UNUSED) rmSync(join(root, folder), { recursive: true, force: true });
}

/**
 * @param {string} mirror
 * @param {string} suite
 * @returns {string} the version of emscripten there
 */
function shippedBy(mirror, suite) {
  const folder = mkdtempSync(join(tmpdir(), "wassl-apt-"));
  try {
    const env = aptWith(folder, [`deb ${mirror} ${suite} main`]);
    const shown = outputOf(["apt-cache", "show", "emscripten"], { env }) ?? "";
    return /^Version: (.*)$/m.exec(shown)?.[1] ?? "";
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function canDebootstrap() {
  return (
    process.getuid?.() === 0 &&
    existsSync("/etc/debian_version") &&
    have("apt-get") &&
    outputOf([...NAMESPACE, "true"]) !== undefined
  );
}

/** @param {string} pinned */
const advice = (
  pinned,
) => `An emcc of version ${pinned} is needed. On Debian, as root and where namespaces may be made (in a container: with
CAP_SYS_ADMIN), this script provides it. Anywhere else install it, in a directory of your choice, and try again:
    git clone https://github.com/emscripten-core/emsdk.git && cd emsdk
    ./emsdk install ${pinned} && ./emsdk activate ${pinned} && . ./emsdk_env.sh`;
