/**
 * Which modules of Node.js to replace by which, when a driver is bundled for a page. See the guide "Postgres from a
 * page" for each bundler.
 *
 * @module
 */

const ours = {
  crypto: "wassl/node/crypto",
  dns: "wassl/node/dns",
  "dns/promises": "wassl/node/dns-promises",
  net: "wassl/node/net",
  tls: "wassl/node/tls",
};

/** What npm's well-kept packages have. Install those that are used: `npm install buffer events readable-stream`. */
const packages = {
  buffer: "buffer/",
  events: "events/",
  process: "wassl/node/process",
  stream: "readable-stream",
  string_decoder: "string_decoder/",
};

const withPrefix = (of: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(of).flatMap(([name, to]) => [
      [name, to],
      [`node:${name}`, to],
    ]),
  );

/**
 * `node:net`, `node:tls`, `node:dns` and `node:crypto`, with and without "node:", for a bundler that has polyfills for
 * the rest. For esbuild this is `alias`; for Vite and Rollup, {@link nodeAliases} is a plugin. The guide "Postgres from a
 * page" has webpack too.
 */
export const aliases: Readonly<Record<string, string>> = withPrefix(ours);

/** The same, and npm's packages for streams, events and buffers. */
export const aliasesWithPolyfills: Readonly<Record<string, string>> = withPrefix({ ...ours, ...packages });

/** The part of a plugin of Vite or Rollup that is used. */
export interface AliasPlugin {
  name: string;
  enforce: "pre";
  /** Vite asks for this: its dev server bundles dependencies without the plugins. */
  config(): { resolve: { alias: { find: RegExp; replacement: string }[] } };
  resolveId(
    this: { resolve(id: string, from?: string, options?: object): Promise<unknown> },
    id: string,
    from: string | undefined,
    options?: object,
  ): Promise<unknown>;
}

/**
 * A plugin for Vite and Rollup. Put it in front of others that replace modules of Node.js.
 *
 * @example
 * ```ts
 * import { aliasesWithPolyfills, nodeAliases } from "wassl/node/aliases";
 *
 * export default { plugins: [nodeAliases(aliasesWithPolyfills)] };
 * ```
 */
export function nodeAliases(of: Readonly<Record<string, string>> = aliases): AliasPlugin {
  return {
    name: "wassl:node",
    enforce: "pre",
    config: () => ({
      resolve: {
        alias: Object.entries(of).map(([name, replacement]) => ({ find: exactly(name), replacement })),
      },
    }),
    async resolveId(id, from, options) {
      // With a slash behind it, packages ask for npm's module and not for that of Node.js.
      const name = id.replace(/\/$/, "");
      const to = Object.hasOwn(of, name) ? of[name] : undefined;
      return to === undefined || to === id
        ? null
        : await this.resolve(to, from, { ...options, skipSelf: true });
    },
  };
}

const exactly = (name: string) => new RegExp(`^${name}/?$`);
