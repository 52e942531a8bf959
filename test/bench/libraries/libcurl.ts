import type { Library } from "../library.ts";

export const library: Library = {
  async client() {
    const name: string = "libcurl.js/bundled";
    try {
      await import(name);
    } catch (error) {
      throw new Error(`libcurl.js: ${(error as Error).message.split("\n")[0]}`);
    }
    throw new Error("libcurl.js: trusts the certification authorities that it was built with, and no others");
  },
};
