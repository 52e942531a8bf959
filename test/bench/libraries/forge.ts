import type { Library } from "../library.ts";

export const library: Library = {
  async client() {
    throw new Error("node-forge: TLS 1.1 at most, which the other end refuses");
  },
};
