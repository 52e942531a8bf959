/**
 * `npm run pictures`: draws each text in this folder to the SVG of the same name. With `--check` nothing is written, and the
 * exit code is 1 if a picture is not the one of its text.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { draw } from "./draw.ts";

const folder = dirname(fileURLToPath(import.meta.url));
const check = process.argv.includes("--check");
for (const name of readdirSync(folder).filter((each) => each.endsWith(".txt"))) {
  const path = join(folder, name.replace(/\.txt$/, ".svg"));
  const drawn = draw(readFileSync(join(folder, name), "utf8"));
  if (existsSync(path) && readFileSync(path, "utf8") === drawn) continue;
  if (check) {
    console.error(`docs/pictures/${name} has changed and its picture has not: npm run pictures draws it`);
    process.exitCode = 1;
  } else writeFileSync(path, drawn);
}
