/** `webpack.config.js`. webpack's own `alias` comes too late for "node:net", which is a URL to it. */
import { defineEnv } from "unenv";
import { aliasesWithPolyfills } from "wassl/node/aliases";
import webpack from "webpack";

const { alias } = defineEnv({ nodeCompat: true }).env;
const to = new Map<string, string>(Object.entries({ ...alias, ...aliasesWithPolyfills }));

export default {
  entry: "./page.js",
  output: { filename: "page.js" },
  plugins: [
    // "process/" is npm's module to packages that run in Node.js too.
    new webpack.NormalModuleReplacementPlugin(/./, (module) => {
      module.request = to.get(module.request.replace(/\/$/, "")) ?? module.request;
    }),
  ],
};
