/**
 * Writes src/binding/abi.ts anew: "npm run abi", after a change of wasm/abi/abi.h. test/node/abi.ts fails when it was
 * forgotten.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { GENERATED, generate, HEADER } from "./header.ts";

const root = new URL("../../", import.meta.url);
writeFileSync(new URL(GENERATED, root), generate(readFileSync(new URL(HEADER, root), "utf8")));
