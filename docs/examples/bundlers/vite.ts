/** `vite.config.ts`: for the dev server and for the build. */
import { defineEnv } from "unenv";
import { aliasesWithPolyfills, nodeAliases } from "wassl/node/aliases";

const { alias } = defineEnv({ nodeCompat: true }).env;

export default {
  plugins: [nodeAliases({ ...alias, ...aliasesWithPolyfills })],
  build: { target: "es2022" },
};
