/** A client, unmodified, in one file with what it does here; `node:net` and `node:tls` are ours in it. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

export type Target = "node" | "page";

export interface Program {
  client: string;
  target: Target;
  /** Whose node_modules have the package, and where the bundle goes. */
  folder: string;
  /** Whose node_modules have the clients. */
  drivers: string;
  outfile: string;
}

/** In Node.js and Deno an order is given on the command line; in a page, to a function. */
const entry = (client: string, target: Target) =>
  target === "page"
    ? `
import "wassl/node/globals";
import client from ${JSON.stringify(join(here, "clients", `${client}.ts`))};
import { run } from ${JSON.stringify(join(here, "kit.ts"))};
import { webSocketDialer } from "wassl/dialers/websocket";
import { setDialer } from "wassl/node/net";
import { preload } from "wassl/node/tls";
// Hashes are asked for at once.
await preload();
globalThis.go = (order) => run(client, order, webSocketDialer(order.relay), setDialer);
`
    : `
import client from ${JSON.stringify(join(here, "clients", `${client}.ts`))};
import { run } from ${JSON.stringify(join(here, "kit.ts"))};
import { nodeDialer } from "wassl/dialers/node";
import { setDialer } from "wassl/node/net";
import process from "node:process";
console.log("\\u0001" + JSON.stringify(await run(client, JSON.parse(process.argv[2]), nodeDialer(), setDialer)));
`;

export async function bundleClient({ client, target, folder, drivers, outfile }: Program): Promise<void> {
  const page = target === "page";
  const plugin = page ? await inPage(folder, drivers) : inNode();
  await build({
    stdin: { contents: entry(client, target), resolveDir: here, loader: "ts" },
    outfile,
    bundle: true,
    platform: page ? "browser" : "node",
    format: "esm",
    target: "es2022",
    minify: page,
    metafile: true,
    logLevel: "error",
    nodePaths: [join(drivers, "node_modules")],
    plugins: [plugin],
    // Of pg and ws; they do without.
    external: ["pg-native", "bufferutil", "utf-8-validate"],
    ...(page
      ? { define: { "process.env.NODE_ENV": '"production"', global: "globalThis" } }
      : {
          banner: {
            js: 'import { createRequire as $cr } from "node:module"; const require = $cr(import.meta.url);',
          },
        }),
  });
}

/** The package is imported as it is installed. */
function inNode(): Plugin {
  return {
    name: "wassl",
    setup(build) {
      build.onResolve({ filter: /^(node:)?(net|tls)$/ }, ({ path }) => ({
        path: `wassl/node/${path.replace("node:", "")}`,
        external: true,
      }));
      build.onResolve({ filter: /^wassl($|\/)/ }, ({ path }) => ({ path, external: true }));
    },
  };
}

/** The polyfills are unenv's, but for streams, events and buffers, which unenv has not or not whole. */
async function inPage(folder: string, drivers: string): Promise<Plugin> {
  const require = createRequire(join(drivers, "package.json"));
  const { defineEnv } = (await import(pathToFileURL(require.resolve("unenv")).href)) as {
    defineEnv(options: object): { env: { alias: Record<string, string> } };
  };
  const ours = createRequire(join(folder, "package.json"));
  const { aliasesWithPolyfills } = (await import(
    pathToFileURL(ours.resolve("wassl/node/aliases")).href
  )) as typeof import("wassl/node/aliases");
  const alias: Record<string, string> = {
    ...defineEnv({ nodeCompat: true }).env.alias,
    ...aliasesWithPolyfills,
    // With a slash behind it, readable-stream asks for npm's.
    "process/": aliasesWithPolyfills.process!,
  };
  for (const [name, file] of [
    ["buffer", "buffer.ts"],
    ["diagnostics_channel", "diagnostics-channel.ts"],
  ] as const)
    alias[name] = alias[`node:${name}`] = join(here, file);
  return {
    name: "wassl",
    setup(build) {
      build.onResolve({ filter: /./ }, async ({ path, kind, pluginData }) => {
        if (pluginData === "resolved") return undefined;
        const to = Object.hasOwn(alias, path) ? alias[path]! : path.startsWith("wassl") ? path : undefined;
        if (to === undefined || (to === path && !path.startsWith("wassl"))) return undefined;
        const resolveDir = to.startsWith("wassl") ? folder : drivers;
        return build.resolve(to, { kind, resolveDir, pluginData: "resolved" });
      });
    },
  };
}
