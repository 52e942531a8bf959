/**
 * What the tests need beside npm packages: Chromium, and TLS stacks that are not ours. Present ones are used;
 * absent ones are installed when this is a Debian-like machine and we are root; otherwise the error says what
 * to install. Nothing here starts or stops a system service.
 */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";

export interface Tools {
  curl: string;
  python: string;
  openssl: string;
  gnutlsServ: string;
  nginx: string;
  chromium: string;
  deno: string;
  /** Only when they are asked for: they are large. */
  webkit(): { browser: string; xvfb: string };
  firefox(): string;
  /** What runs redis-server. */
  redis: string[];
  /** Java's, if it is here: its files are tried, and it is large. */
  keytool: string | undefined;
}

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "wassl", "test");

export function setUp(): Tools {
  return {
    curl: find("curl") ?? install("curl", "curl"),
    python: find("python3") ?? install("python3", "python3"),
    openssl: find("openssl") ?? install("openssl", "openssl"),
    gnutlsServ: find("gnutls-serv") ?? install("gnutls-bin", "gnutls-serv"),
    nginx: find("nginx") ?? unpackNginx(),
    chromium:
      find("chromium") ??
      find("chromium-browser") ??
      find("google-chrome") ??
      install("chromium", "chromium"),
    webkit: () => ({
      browser: findMiniBrowser() ?? installMiniBrowser(),
      xvfb: find("Xvfb") ?? install("xvfb", "Xvfb"),
    }),
    firefox: () => find("firefox-esr") ?? find("firefox") ?? install("firefox-esr", "firefox-esr"),
    redis: redisServer(),
    keytool: find("keytool"),
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

/** WebKitGTK's own browser, which its driver drives. Debian has it off the PATH. */
function findMiniBrowser(): string | undefined {
  const folders = existsSync("/usr/lib") ? readdirSync("/usr/lib") : [];
  return folders
    .flatMap((folder) => ["6.0", "4.1"].map((api) => `/usr/lib/${folder}/webkit2gtk-${api}/MiniBrowser`))
    .find((file) => existsSync(file));
}

function installMiniBrowser(): string {
  install("webkit2gtk-driver", "WebKitWebDriver");
  const found = findMiniBrowser();
  if (!found) throw new Error("webkit2gtk-driver was installed, but there is no MiniBrowser");
  return found;
}

/** Installing Debian's nginx would start a web server on port 80, so the binary alone is unpacked to our cache. */
function unpackNginx(): string {
  const libraries = ["libpcre2-8-0", "libcrypt1", "zlib1g"];
  return join(
    unpack("nginx", () => {
      apt("install", "-y", "--no-install-recommends", ...libraries);
      return ["nginx"];
    }),
    "usr",
    "sbin",
    "nginx",
  );
}

/**
 * Debian's would start with the machine, so it is unpacked too. It needs no more of what is unpacked than libraries.
 */
function redisServer(): string[] {
  const found = find("redis-server");
  if (found) return [found];
  const root = unpackDaemon("redis");
  const folders = readdirSync(join(root, "usr", "lib")).map((folder) => join(root, "usr", "lib", folder));
  return ["env", `LD_LIBRARY_PATH=${folders.join(":")}`, join(root, "usr", "bin", "redis-server")];
}

/** A daemon of Debian's, and what goes before the path of a program to run it. */
export interface Daemon {
  prefix: string[];
  /** Where its programs are. */
  bin: string;
}

const daemons = {
  redis: { package: "redis-server", program: "redis-server", bin: /^usr\/bin$/ },
  postgres: { package: "postgresql", program: "postgres", bin: /^usr\/lib\/postgresql\/\d+\/bin$/ },
  dovecot: { package: "dovecot-imapd", program: "dovecot", bin: /^usr\/sbin$/ },
  "dovecot-pop3": { package: "dovecot-pop3d", program: "dovecot", bin: /^usr\/sbin$/ },
  exim: { package: "exim4-daemon-light", program: "exim4", bin: /^usr\/sbin$/ },
  vsftpd: { package: "vsftpd", program: "vsftpd", bin: /^usr\/sbin$/ },
  mariadb: { package: "mariadb-server-core", program: "mariadbd", bin: /^usr\/sbin$/ },
  prosody: { package: "prosody", program: "prosody", bin: /^usr\/bin$/ },
  websockify: { package: "websockify", program: "websockify", bin: /^usr\/bin$/ },
  slapd: { package: "slapd", program: "slapd", bin: /^usr\/sbin$/ },
  mosquitto: { package: "mosquitto", program: "mosquitto", bin: /^usr\/sbin$/ },
  nats: { package: "nats-server", program: "nats-server", bin: /^usr\/sbin$/ },
  ngircd: { package: "ngircd", program: "ngircd", bin: /^usr\/sbin$/ },
};

/**
 * One that is installed; or else, unpacked with all that it needs and does not find here, and laid over `/usr` for it
 * alone, in a mount namespace of its own. It would not find its modules and data elsewhere.
 */
export function setUpDaemon(name: keyof typeof daemons): Daemon {
  const daemon = daemons[name];
  const found = find(daemon.program) ?? findPostgres(daemon.program);
  if (found) return { prefix: [], bin: dirname(realpathSync(found)) };
  const root = unpackDaemon(name);
  const bin = readdirSync(root, { recursive: true, encoding: "utf8" }).find(
    (path) => daemon.bin.test(path) && existsSync(join(root, path, daemon.program)),
  );
  if (!bin) throw new Error(`there is no ${daemon.program} in Debian's ${daemon.package}`);
  const mounts = [
    'mount -t overlay -o ro,lowerdir="$0/usr:/usr" overlay /usr',
    ...["passwd", "group"].map((file) => `mount --bind "$0/${file}" /etc/${file}`),
    'exec "$@"',
  ];
  return { prefix: ["unshare", "--mount", "sh", "-c", mounts.join(" && "), root], bin: `/${bin}` };
}

function unpackDaemon(name: keyof typeof daemons): string {
  return unpack(name, () =>
    // What an installation would bring along, in lines like "Inst liblzf1 (3.6-3 …)"; with a [version] it is here.
    aptSays("install", "--simulate", "--no-install-recommends", daemons[name].package)
      .split("\n")
      .map((line) => line.match(/^Inst (\S+) \(/)?.[1])
      .filter((each) => each !== undefined),
  );
}

/** Debian keeps it off the PATH, by version. */
function findPostgres(program: string): string | undefined {
  const folder = "/usr/lib/postgresql";
  const versions = existsSync(folder) ? readdirSync(folder) : [];
  return versions.map((version) => join(folder, version, "bin", program)).find((file) => existsSync(file));
}

/** A folder in our cache with the content of Debian packages, which are not installed. */
function unpack(name: string, packages: () => string[]): string {
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  requireRootAndApt(name);
  console.log(`setup: unpacking ${name}`);
  updateApt();
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, `${name}-`));
  // As this user, and not as apt's sandbox user, which cannot write here.
  execFileSync("apt-get", ["-o", "APT::Sandbox::User=root", "download", ...packages()], {
    cwd: work,
    stdio: quiet,
  });
  const root = join(work, "root");
  for (const archive of readdirSync(work).filter((file) => file.endsWith(".deb"))) {
    execFileSync("dpkg-deb", ["-x", join(work, archive), root]);
  }
  // Some packages still say /lib where it has been a link to /usr/lib for long.
  if (existsSync(join(root, "lib"))) cpSync(join(root, "lib"), join(root, "usr", "lib"), { recursive: true });
  // Exim insists on a user and a group that only an installation would make.
  for (const [file, line] of Object.entries({
    passwd: "65533:65533::/nonexistent:/bin/false",
    group: "65533:",
  })) {
    const lines = readFileSync(join("/etc", file), "utf8").trimEnd();
    writeFileSync(join(root, file), `${lines}\nDebian-exim:x:${line}\n`);
  }
  renameSync(root, folder);
  rmSync(work, { recursive: true, force: true });
  return folder;
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

function aptSays(...args: string[]): string {
  return execFileSync("apt-get", ["-q", ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}
