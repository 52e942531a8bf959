/**
 * docs/shutdown.md has a row for each test of openssl/shutdown.ts and connection/black-box.ts, and for the table of
 * connection/closing.ts in test/contract, and no row without its test.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import QUnit from "qunit";

const repository = process.env.WASSL_REPOSITORY ?? "";
const document = readFileSync(join(repository, "docs", "shutdown.md"), "utf8");
const suite = (name: string) => readFileSync(join(repository, "test", "contract", name), "utf8");

/** The rows of all tables, as cells, without heads and rules. */
const tables = document.split("\n").filter((line) => line.startsWith("|"));
const isRule = (line: string | undefined) => /^\|[-:| ]+$/.test(line ?? "");
const rows = tables
  .filter((line, i) => !isRule(line) && !isRule(tables[i + 1]))
  .map((line) => line.split("|").slice(1, -1));

/** What the tests begin with: where they are registered, and in the list of endings. */
const ofShutdown = suite("openssl/shutdown.ts").matchAll(
  /\b(?:each|sized)\(\s*"([a-z]+-\d\d)"|\bid: "([a-z]+-\d\d)"/g,
);
const ofBlackBox = suite("connection/black-box.ts").matchAll(/\bQUnit\.test\(\s*"(black-box-\d\d) /g);
const tested = [...ofShutdown, ...ofBlackBox].map(([, registered, listed]) => registered ?? listed!);

/** The ids in the last column; elsewhere they are references. */
const written = rows.flatMap((cells) =>
  [...(cells.at(-1) ?? "").matchAll(/`([a-z-]+-\d\d)`/g)].map(([, id]) => id!),
);

const all = readdirSync(join(repository, "test"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith("shutdown-doc.ts"))
  .map((file) => readFileSync(join(repository, "test", file), "utf8"))
  .join("\n");

/** What the table of closing.ts says of each pair of verbs: six cells of four words. */
const pairs = new Map<string, string[]>();
for (const line of (suite("connection/closing.ts").match(/const table = `\n([^`]*)\n`/)?.[1] ?? "").split(
  "\n",
)) {
  const [, first, second, ...words] = line.split(/\s+/);
  const name = `${first} and ${second}`;
  const cells = [words.slice(0, 4).join(" "), words.slice(4).join(" ")];
  pairs.set(name, [...(pairs.get(name) ?? []), ...cells]);
}

const prefixes = ["page", "behaviour", "also", "session", "black-box"];
const isOurs = (id: string) => prefixes.includes(id.replace(/-\d\d$/, ""));

QUnit.module("docs/shutdown.md", () => {
  QUnit.test("each test has its row", (assert) => {
    assert.true(tested.length > 110, `${tested.length} ids in the suites`);
    for (const id of new Set(tested)) {
      assert.true(isOurs(id), `${id} begins with one of ${prefixes.join(", ")}`);
      assert.strictEqual(written.filter((each) => each === id).length, 1, `${id} stands in one row`);
    }
  });

  QUnit.test("each id in a row has its test", (assert) => {
    for (const id of written) {
      if (isOurs(id)) assert.true(tested.includes(id), `${id} is a test`);
      // The blocking layer is a part of its own, with its own tests.
      else if (!id.startsWith("blocking-") || existsSync(join(repository, "src", "blocking"))) {
        assert.true(all.includes(`"${id} `) || all.includes(`"${id}"`), `a test begins with ${id}`);
      }
    }
  });

  QUnit.test("each name in a row is a test's", (assert) => {
    const names = rows.flatMap((cells) =>
      [...(cells.at(-1) ?? "").matchAll(/"([^"]+)"/g)].map(([, name]) => name!),
    );
    assert.true(names.length > 20, `${names.length} names`);
    for (const name of names) assert.true(pairs.has(name) || all.includes(name), name);
  });

  QUnit.test("each pair of verbs does what is written", (assert) => {
    assert.strictEqual(pairs.size, 16);
    for (const [name, wanted] of pairs) {
      const row = rows.find((cells) => cells.at(-1) === ` "${name}" `);
      assert.deepEqual(
        row?.slice(2, -1).map((cell) => cell.trim()),
        wanted,
        name,
      );
    }
  });

  QUnit.test("no cell is empty", (assert) => {
    for (const cells of rows) {
      assert.false(
        cells.some((cell) => cell.trim() === ""),
        cells.join("|"),
      );
    }
  });
});
