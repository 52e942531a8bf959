/** docs/shutdown.md has a row for each test of shutdown.ts and black-box.ts in test/contract, and no row without its test. */
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
const ofShutdown = suite("shutdown.ts").matchAll(
  /\b(?:each|sized)\(\s*"([a-z]+-\d\d)"|\bid: "([a-z]+-\d\d)"/g,
);
const ofBlackBox = suite("black-box.ts").matchAll(/\bQUnit\.test\(\s*"(black-box-\d\d) /g);
const tested = [...ofShutdown, ...ofBlackBox].map(([, registered, listed]) => registered ?? listed!);

/** The ids in the last column; elsewhere they are references. */
const written = rows.flatMap((cells) =>
  [...(cells.at(-1) ?? "").matchAll(/`([a-z-]+-\d\d)`/g)].map(([, id]) => id!),
);

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
    const all = readdirSync(join(repository, "test"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !file.endsWith("shutdown-doc.ts"))
      .map((file) => readFileSync(join(repository, "test", file), "utf8"))
      .join("\n");
    for (const id of written) {
      if (isOurs(id)) assert.true(tested.includes(id), `${id} is a test`);
      // The blocking layer is a part of its own, with its own tests.
      else if (!id.startsWith("blocking-") || existsSync(join(repository, "src", "blocking"))) {
        assert.true(all.includes(`"${id} `) || all.includes(`"${id}"`), `a test begins with ${id}`);
      }
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
