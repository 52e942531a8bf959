/** What an application's bundle has of this package: not more than a budget, and nothing that it does not use. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { brotliCompressSync } from "node:zlib";
import QUnit from "qunit";

/** The runner starts us in a folder whose node_modules hold the unpacked tarball. */
const folder = process.cwd();
const ours = createRequire(join(process.env.WASSL_REPOSITORY ?? "", "package.json"));

/** What only servers call of the module, and what each bundle of a client did have once. */
const SERVERS = [
  "wassl_SSL_get_client_hello",
  "wassl_try_read_early_data",
  "wassl_SSL_CTX_set_ticket_keys",
  "wassl_SSL_CTX_set_num_tickets",
  "wassl_SSL_CTX_set_ocsp_response",
  "selectContext has nothing for the client",
];
const CHAINS = ["wassl_X509_verify_cert(", "wassl_X509_STORE_new"];
/** Of wassl/openssl alone. */
const LOW_LEVEL = [
  "wassl_SSL_renegotiate",
  "wassl_DTLSv1_get_timeout",
  "wassl_DTLSv1_listen",
  "wassl_SSL_CTX_session_counter",
];
const TLS = ["wassl_try_handshake"];

interface Entry {
  /** As an application has it. */
  readonly code: string;
  /** In bytes of brotli, minified, without openssl.wasm. */
  readonly budget: number;
  readonly without: readonly string[];
}

const ENTRIES: Record<string, Entry> = {
  startTls: {
    code: 'import { startTls } from "wassl"; globalThis.use = startTls;',
    budget: 34_200,
    without: [...SERVERS, ...CHAINS, ...LOW_LEVEL],
  },
  acceptTls: {
    code: 'import { acceptTls } from "wassl"; globalThis.use = acceptTls;',
    budget: 36_900,
    without: CHAINS,
  },
  verifyChain: {
    code: 'import { verifyChain } from "wassl"; globalThis.use = verifyChain;',
    budget: 14_000,
    without: [...SERVERS, ...LOW_LEVEL, ...TLS],
  },
  "all of wassl": {
    code: 'import * as wassl from "wassl"; globalThis.use = wassl;',
    budget: 39_450,
    without: [],
  },
  "wassl/openssl": {
    code: 'import { OpenSsl } from "wassl/openssl"; globalThis.use = OpenSsl;',
    budget: 19_000,
    without: [],
  },
  "wassl/dtls, startDtls": {
    code: 'import { startDtls } from "wassl/dtls"; globalThis.use = startDtls;',
    budget: 31_000,
    without: [...SERVERS, ...CHAINS, "wassl_SSL_renegotiate", "wassl_DTLSv1_listen"],
  },
  "wassl/blocking, connect": {
    code: 'import { connect } from "wassl/blocking"; globalThis.use = connect;',
    budget: 33_600,
    without: CHAINS,
  },
  "wassl/transports/websocket": {
    code: 'import { connectWebSocket } from "wassl/transports/websocket"; globalThis.use = connectWebSocket;',
    budget: 4_000,
    without: TLS,
  },
  "wassl/starttls": {
    code: 'import { requestStartTls } from "wassl/starttls"; globalThis.use = requestStartTls;',
    budget: 6_500,
    without: TLS,
  },
};

/** Not bundled with this test: each finds files of its own beside it. */
const load = async <T>(name: string): Promise<T> => await import(pathToFileURL(ours.resolve(name)).href);

/** With openssl.wasm left where it is: all that an application has of it in its JavaScript is an address. */
async function byEsbuild(code: string): Promise<string> {
  const { build } = await load<typeof import("esbuild")>("esbuild");
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: folder },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    platform: "browser",
    external: ["node:*"],
    logLevel: "error",
  });
  return outputFiles[0]!.text;
}

/** Vite 8's build, which is Rolldown's: Rollup's way to leave out what is not used. */
async function byRolldown(code: string): Promise<string> {
  const root = join(folder, "bundle-size");
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, "main.js"), code);
  const vite = await load<typeof import("vite")>("vite");
  const result = await vite.build({
    root,
    logLevel: "error",
    build: { write: false, rollupOptions: { input: join(root, "main.js"), external: /^node:/ } },
  });
  const { output } = [result].flat()[0] as { output: { type: string; code?: string }[] };
  return output.map(({ type, code: text = "" }) => (type === "chunk" ? text : "")).join("");
}

const bundlers = { esbuild: byEsbuild, Rolldown: byRolldown };

QUnit.module("what is in a bundle", () => {
  for (const [bundler, bundle] of Object.entries(bundlers)) {
    for (const [name, { code, budget, without }] of Object.entries(ENTRIES)) {
      QUnit.test(`${bundler}: ${name}`, async (assert) => {
        assert.timeout(120_000);
        const text = await bundle(code);
        const size = brotliCompressSync(text).length;
        assert.true(size > 1_000 && size <= budget, `${size} bytes of brotli, of ${budget}`);
        for (const each of without) assert.false(text.includes(each), `without ${each}`);
      });
    }
  }

  QUnit.test("what a bundle must be without is there to be looked for", async (assert) => {
    const text = await byEsbuild(
      'import * as wassl from "wassl"; import * as low from "wassl/openssl"; globalThis.use = [wassl, low];',
    );
    for (const each of [...SERVERS, ...CHAINS, ...LOW_LEVEL, ...TLS]) assert.true(text.includes(each), each);
  });
});
