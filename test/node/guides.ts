/** docs/guide: its code is that of docs/examples, its links lead somewhere, and the names in its tables exist. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import QUnit from "qunit";
import { examples, repository } from "../examples.ts";
import { guidesIn, withExamples } from "../guides.ts";

const guides = new Map(guidesIn(repository).map((file) => [file, readFileSync(file, "utf8")]));
const guide = (name: string) => guides.get(join(repository, "docs", "guide", name)) ?? "";

/** The cells of a column of all tables whose head has this title there. */
function column(markdown: string, title: string): string[] {
  const cells: string[] = [];
  let at = -1;
  for (const line of markdown.split("\n")) {
    const row = line.startsWith("|") ? line.split("|").slice(1, -1) : [];
    const head = row.findIndex((cell) => cell.trim() === title);
    if (row.length === 0) at = -1;
    else if (head >= 0) at = head;
    else if (at >= 0 && !line.startsWith("| ---")) cells.push(row[at] ?? "");
  }
  return cells;
}

QUnit.module("guides", () => {
  QUnit.test("every block of TypeScript is what the example says: npm run guides", (assert) => {
    for (const [file, markdown] of guides) {
      const name = basename(file);
      assert.strictEqual(markdown, withExamples(markdown, examples), name);
      const blocks = markdown.match(/^```ts$/gm)?.length ?? 0;
      const marks = markdown.match(/^<!-- example: /gm)?.length ?? 0;
      assert.strictEqual(blocks, marks, `${name}: each block is a copy`);
    }
  });

  QUnit.test("each program is shown by a guide", (assert) => {
    const all = [...guides.values()].join("\n");
    const files = readdirSync(examples, { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".ts"),
    );
    for (const file of files)
      assert.true(all.includes(`](../examples/${file})`) || all.includes(`example: ${file}`), file);
  });

  QUnit.test("links lead to files that are there, and the first page to all others", (assert) => {
    for (const [file, markdown] of guides) {
      for (const [, link = ""] of markdown.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
        if (/^https?:/.test(link)) continue;
        assert.true(existsSync(join(dirname(file), link)), `${basename(file)}: ${link}`);
      }
      const name = relative(join(repository, "docs", "guide"), file);
      if (name !== "README.md") assert.true(guide("README.md").includes(`(${name})`), name);
    }
  });

  QUnit.test("no line is longer than 120 characters, but for tables and code", (assert) => {
    for (const [file, markdown] of guides) {
      const prose = markdown.replace(/^```[\s\S]*?^```/gm, "").split("\n");
      const long = prose.filter((line) => line.length > 120 && !line.startsWith("|"));
      assert.deepEqual(long, [], basename(file));
    }
  });

  QUnit.test("from openssl s_client: the options are those of the command line and of startTls", (assert) => {
    const options = readFileSync(join(repository, "src/cli/options.ts"), "utf8");
    const cells = column(guide("from-s_client.md"), "`wassl connect`");
    const names = cells.flatMap((cell) => [...cell.matchAll(/--([a-z-]+)/g)].map(([, name = ""]) => name));
    assert.true(names.length > 20);
    for (const name of names) {
      assert.true(
        options.includes(`\n  ${name}: {`) ||
          options.includes(` ${name}: {`) ||
          options.includes(`"${name}": {`),
        name,
      );
    }
    requireNames(assert, column(guide("from-s_client.md"), "`startTls`"));
  });

  QUnit.test("from node:tls: the names on the right exist", (assert) => {
    requireNames(assert, column(guide("from-node-tls.md"), "Wassl"));
  });

  /** Each name in backticks is one of the package's declarations. */
  function requireNames(assert: Assert, cells: string[]): void {
    const dist = join(process.cwd(), "node_modules/wassl/dist");
    const files = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".d.ts"),
    );
    const declarations = files.map((file) => readFileSync(join(dist, file), "utf8")).join("\n");
    let names = 0;
    for (const cell of cells) {
      for (const [, code = ""] of cell.matchAll(/`([^`]+)`/g)) {
        if (code.startsWith("wassl/")) continue;
        for (const [name] of code.matchAll(/[A-Za-z]\w+/g)) {
          names++;
          assert.true(new RegExp(`\\b${name}\\b`).test(declarations), `${cell.trim()}: ${name}`);
        }
      }
    }
    assert.true(names > 20);
  }
});
