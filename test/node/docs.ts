/** The documents hold together: pictures are those of their texts, and each decision is in the index. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import QUnit from "qunit";
import { draw } from "../../docs/pictures/draw.ts";

const docs = join(process.env.WASSL_REPOSITORY ?? "", "docs");
const read = (...path: string[]) => readFileSync(join(docs, ...path), "utf8");

QUnit.module("documents", () => {
  QUnit.test("each picture is the one of its text, and is shown somewhere", (assert) => {
    const files = readdirSync(join(docs, "pictures"));
    const texts = files.filter((file) => file.endsWith(".txt"));
    assert.true(texts.length > 2, `${texts.length} pictures`);
    const shown = readdirSync(docs, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".md"))
      .map((file) => read(file))
      .join("\n");
    for (const file of texts) {
      const picture = file.replace(/\.txt$/, ".svg");
      assert.strictEqual(
        read("pictures", picture),
        draw(read("pictures", file)),
        `${picture} is drawn by npm run pictures`,
      );
      assert.true(shown.includes(`pictures/${picture})`), `${picture} is shown`);
    }
    const drawn = files.filter((file) => file.endsWith(".svg")).map((file) => file.replace(/\.svg$/, ".txt"));
    assert.deepEqual(drawn.sort(), texts.sort(), "no picture without a text");
  });

  QUnit.test("a picture that cannot be read is refused with its line", (assert) => {
    assert.throws(() => draw("# t\ncircle"), /neither boxes nor sequence: circle/);
    assert.throws(() => draw("# t\nboxes 9 9\nbox a 0 0 one 1 plain | a"), /not a number: box a/);
    assert.throws(() => draw("# t\nboxes 9 9\narrow a -> b"), /no such box: arrow a -> b/);
    assert.throws(
      () => draw("# t\nsequence 1\nactors a, b\npanel | p |\na -> c | x"),
      /no such actor: a -> c/,
    );
  });

  QUnit.test("the index of decisions names each page by its title", (assert) => {
    const index = read("decisions", "README.md").replace(/\s+/g, " ");
    const pages = readdirSync(join(docs, "decisions")).filter((file) => file !== "README.md");
    assert.true(pages.length > 50, `${pages.length} decisions`);
    for (const page of pages) {
      const [head = "", , date = ""] = read("decisions", page).split("\n");
      assert.true(index.includes(`- [${head.slice(2)}](${page})`), `${page} is in the index, with its title`);
      assert.true(/^\*\d{4}-\d\d-\d\d\*$/.test(date), `${page} says when it was decided`);
    }
  });

  QUnit.test("no line of prose is longer than 120 characters", (assert) => {
    const files = readdirSync(docs, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".md") && !file.startsWith("api"))
      .map((file) => `docs/${file}`);
    for (const file of [...files, "README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md"]) {
      const long = readFileSync(join(docs, "..", file), "utf8")
        .replace(/^```[\s\S]*?^```/gm, "")
        .split("\n")
        // Tables cannot be broken, and neither can one long word (an address, a code span).
        .filter((line) => !/^[|#]/.test(line) && line.length > 120 && / .* /.test(line.slice(0, 120)));
      assert.deepEqual(long, [], file);
    }
  });
});
