/**
 * The code in docs/guide is that of docs/examples, which runs in the tests. A block that is a copy says of what in
 * front of it:
 *
 *     <!-- example: node/pinning.ts#connect -->
 *
 * Without `#` it is the whole file. `npm run guides` writes the blocks anew; test/node/guides.ts fails where one
 * differs.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const block = /^<!-- example: (\S+?)(?:#(\S+))? -->$(?:\n```ts\n[\s\S]*?^```$)?/gm;

/** `markdown` with its blocks as the examples are now. */
export function withExamples(markdown: string, examples: string): string {
  return markdown.replace(block, (_all, file: string, name?: string) => {
    const mark = `<!-- example: ${file}${name ? `#${name}` : ""} -->`;
    return `${mark}\n\`\`\`ts\n${excerpt(readFileSync(join(examples, file), "utf8"), name)}\n\`\`\``;
  });
}

/** The lines of a region, without their common indentation. Inner regions' marks are left out. */
function excerpt(source: string, name?: string): string {
  const lines = source.trimEnd().split("\n");
  const begin = lines.findIndex((line) => line.trim() === `// #region ${name}`);
  if (name && begin < 0) throw new Error(`there is no region "${name}"`);
  let depth = 0;
  const inside: string[] = [];
  for (const line of lines.slice(begin + 1)) {
    if (line.trim().startsWith("// #region ")) depth++;
    else if (line.trim() !== "// #endregion") inside.push(line);
    else if (depth-- === 0) break;
  }
  const indents = inside.filter((line) => line.trim()).map((line) => line.search(/\S/));
  return inside
    .map((line) => line.slice(Math.min(...indents)))
    .join("\n")
    .trim();
}

export function guidesIn(repository: string): string[] {
  const folder = join(repository, "docs", "guide");
  return readdirSync(folder)
    .filter((file) => file.endsWith(".md"))
    .map((file) => join(folder, file));
}

if (process.argv[2] === "--write") {
  const repository = fileURLToPath(new URL("..", import.meta.url));
  for (const guide of guidesIn(repository)) {
    const markdown = readFileSync(guide, "utf8");
    writeFileSync(guide, withExamples(markdown, join(repository, "docs", "examples")));
  }
}
