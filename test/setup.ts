/**
 * What the tests need beside npm packages: Chromium, and TLS stacks that are not ours. Present ones are used;
 * absent ones are installed when this is a Debian-like machine and we are root; otherwise the error says what
 * to install. Nothing here starts or stops a system service.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

export interface Tools {
  openssl: string;
  gnutlsServ: string;
  nginx: string;
  chromium: string;
  deno: string;
}

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "wassl", "test");

export function setUp(): Tools {
  return {
    openssl: find("openssl") ?? install("openssl", "openssl"),
    gnutlsServ: find("gnutls-serv") ?? install("gnutls-bin", "gnutls-serv"),
    nginx: find("nginx") ?? unpackNginx(),
    chromium:
      find("chromium") ??
      find("chromium-browser") ??
      find("google-chrome") ??
      install("chromium", "chromium"),
    deno: join(createRequire(import.meta.url).resolve("deno/package.json"), "..", "bin.cjs"),
  };
}

function find(command: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/bin", "/usr/local/bin"];
  return folders.map((folder) => join(folder, command)).find((file) => existsSync(file));
}

function install(debianPackage: string, command: string): string {
  requireRootAndApt(debianPackage);
  console.log(`setup: installing ${debianPackage}`);
  updateApt();
  apt("install", "-y", "--no-install-recommends", debianPackage);
  const found = find(command);
  if (!found) throw new Error(`${debianPackage} was installed, but there is no ${command}`);
  return found;
}

/** Installing Debian's nginx would start a web server on port 80, so the binary alone is unpacked to our cache. */
function unpackNginx(): string {
  const folder = join(cache, "nginx");
  const binary = join(folder, "usr", "sbin", "nginx");
  if (existsSync(binary)) return binary;
  requireRootAndApt("nginx");
  console.log("setup: unpacking nginx");
  updateApt();
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "nginx-"));
  apt("install", "-y", "--no-install-recommends", "libpcre2-8-0", "libcrypt1", "zlib1g");
  // As ourselves, not as apt's sandbox user, who cannot write here.
  execFileSync("apt-get", ["-o", "APT::Sandbox::User=root", "download", "nginx"], {
    cwd: work,
    stdio: quiet,
  });
  const archive = readdirSync(work).find((name) => name.endsWith(".deb"));
  if (!archive) throw new Error("apt-get download nginx left no package");
  execFileSync("dpkg-deb", ["-x", join(work, archive), join(work, "root")]);
  rmSync(folder, { recursive: true, force: true });
  renameSync(join(work, "root"), folder);
  rmSync(work, { recursive: true, force: true });
  return binary;
}

function requireRootAndApt(debianPackage: string): void {
  if (process.getuid?.() === 0 && find("apt-get")) return;
  throw new Error(
    `The tests need ${debianPackage}. Install it (on Debian: sudo apt-get install ${debianPackage}), or run them as root there.`,
  );
}

const quiet: ["ignore", "ignore", "inherit"] = ["ignore", "ignore", "inherit"];
let updated = false;

function updateApt(): void {
  if (!updated) apt("update");
  updated = true;
}

function apt(...args: string[]): void {
  execFileSync("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=300", ...args], {
    stdio: quiet,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
}
