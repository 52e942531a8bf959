/**
 * Draws the pictures of the documentation: text in, SVG out, so that a picture is reviewed and merged like any other text.
 *
 * The first line of a source is a comment that becomes the picture's title, the next paragraph of comments its description.
 * Then one statement stands on each line. Two kinds of picture exist.
 *
 * `boxes WIDTH HEIGHT`: boxes at fixed places, in units of {@link UNIT} pixels.
 *
 *     box NAME X Y WIDTH HEIGHT STYLE | title | smaller text | …
 *     arrow FROM -> TO [dashed] [| label]      between boxes that overlap in x or in y
 *     arrow X Y -> X Y [dashed] [| label]
 *     rule Y WIDTH | text above | text below
 *     text X Y | text
 *
 * `sequence COLUMNS`: panels in so many columns, each with the same actors.
 *
 *     actors NAME, NAME, NAME
 *     panel | title | smaller text
 *     NAME -> NAME [dashed] | label
 *     note | text
 *
 * Words in backquotes are set as code. Colours follow the reader's light or dark scheme.
 */

const UNIT = 8;
const FONT = 13;
const SMALL = 11.5;
const LINE = 17;

/** light, dark: text, dimmed text, lines; then fill and border of each style of box. */
const INK = {
  text: ["#1f2328", "#e6edf3"],
  dim: ["#59636e", "#9aa4af"],
  line: ["#6e7781", "#8b949e"],
} as const;
const STYLES = {
  plain: { fill: ["#f6f8fa", "#161b22"], line: ["#d1d9e0", "#3d444d"] },
  ours: { fill: ["#ddf4ff", "#0c2d4a"], line: ["#54aeff", "#316dca"] },
  sync: { fill: ["#dafbe1", "#0f2e1a"], line: ["#4ac26b", "#2f7d43"] },
  openssl: { fill: ["#fff1cc", "#332608"], line: ["#d4a72c", "#8f6b12"] },
  group: { fill: ["none", "none"], line: ["#afb8c1", "#57606a"] },
} as const;
type Style = keyof typeof STYLES;

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

function fail(line: string, why: string): never {
  throw new Error(`${why}: ${line}`);
}

function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** Numbers of at most one decimal, so that the same source gives the same bytes everywhere. */
const n = (value: number) => String(Math.round(value * 10) / 10);

interface TextStyle {
  anchor?: "start" | "middle" | "end";
  className?: string;
  size?: number;
}

function text(
  x: number,
  y: number,
  words: string,
  { anchor = "start", className = "", size = FONT }: TextStyle = {},
) {
  const spans = words
    .split("`")
    .map((part, i) => (i % 2 === 1 ? `<tspan class="code">${escaped(part)}</tspan>` : escaped(part)))
    .join("");
  const attributes = `x="${n(x)}" y="${n(y)}" font-size="${size}" text-anchor="${anchor}"`;
  return `<text ${attributes}${className && ` class="${className}"`}>${spans}</text>`;
}

function rectangle({ x, y, width, height }: Box, style: Style): string {
  const place = `x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}"`;
  return `<rect ${place} rx="5" class="${style}"/>`;
}

function arrow(x1: number, y1: number, x2: number, y2: number, dashed: boolean): string {
  const place = `x1="${n(x1)}" y1="${n(y1)}" x2="${n(x2)}" y2="${n(y2)}"`;
  return `<line ${place} class="arrow${dashed ? " dashed" : ""}" marker-end="url(#head)"/>`;
}

/** How wide a text is, roughly, in pixels: for the boxes of actors. */
const widthOf = (words: string, size: number) => words.replaceAll("`", "").length * size * 0.56;

/** A text above a line. */
function label(x: number, y: number, words: string): string {
  return text(x, y, words, { anchor: "middle", size: SMALL, className: "label" });
}

function svg(
  width: number,
  height: number,
  title: string,
  description: string,
  parts: readonly string[],
): string {
  const sheet = (dark: 0 | 1) =>
    [
      `text{fill:${INK.text[dark]}}.dim,.label{fill:${INK.dim[dark]}}`,
      `.arrow,.rule{stroke:${INK.line[dark]}}.head{fill:${INK.line[dark]}}.life{stroke:${STYLES.group.line[dark]}}`,
      ...Object.entries(STYLES).map(
        ([name, { fill, line }]) => `.${name}{fill:${fill[dark]};stroke:${line[dark]}}`,
      ),
    ].join("");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${n(width)} ${n(height)}" width="${n(width)}" height="${n(height)}" role="img" aria-labelledby="title description">`,
    `<title id="title">${escaped(title)}</title>`,
    `<desc id="description">${escaped(description)}</desc>`,
    "<style>",
    'text{font-family:system-ui,-apple-system,"Segoe UI","Noto Sans",Helvetica,Arial,sans-serif}',
    ".code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.93em}",
    ".title{font-weight:600}",
    ".arrow,.life,.rule{stroke-width:1.2;fill:none}",
    ".dashed,.life,.group{stroke-dasharray:5 4}",
    ".rule{stroke-width:1;stroke-dasharray:2 4}",
    sheet(0),
    `@media (prefers-color-scheme:dark){${sheet(1)}}`,
    "</style>",
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7.2" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 .6 8 4 0 7.4z" class="head"/></marker></defs>',
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

const numbers = (words: readonly string[], line: string) =>
  words.map((word) => {
    const value = Number(word);
    return Number.isFinite(value) ? value * UNIT : fail(line, "not a number");
  });

const cells = (line: string) => line.split("|").map((cell) => cell.trim());

/** Title and smaller lines, in the middle of a box. */
function inside(box: Box, lines: readonly string[]): string[] {
  const x = box.x + box.width / 2;
  const top = box.y + box.height / 2 - ((lines.length - 1) * LINE) / 2 + FONT * 0.36;
  return lines.map((words, i) =>
    text(
      x,
      top + i * LINE,
      words,
      i === 0
        ? { anchor: "middle", className: "title" }
        : { anchor: "middle", className: "dim", size: SMALL },
    ),
  );
}

function drawBoxes(lines: readonly string[], size: readonly string[]): { size: number[]; parts: string[] } {
  const boxes = new Map<string, Box>();
  const parts: string[] = [];
  for (const line of lines) {
    const [head = "", ...words] = cells(line);
    const [verb, ...rest] = head.split(/\s+/);
    if (verb === "box") {
      const [name = "", x = "", y = "", width = "", height = "", style = "plain"] = rest;
      if (!(style in STYLES)) fail(line, "no such style");
      const [left = 0, top = 0, across = 0, down = 0] = numbers([x, y, width, height], line);
      const box = { x: left, y: top, width: across, height: down };
      boxes.set(name, box);
      parts.push(rectangle(box, style as Style));
      // What a group holds is drawn over it, so its name is at its top.
      if (style === "group") {
        const [title = "", ...more] = words;
        parts.push(text(box.x + 10, box.y + LINE, title, { className: "title", size: SMALL }));
        for (const [i, each] of more.entries())
          parts.push(text(box.x + 10, box.y + LINE * (i + 2), each, { className: "dim", size: SMALL }));
      } else parts.push(...inside(box, words));
    } else if (verb === "arrow") {
      const dashed = rest.includes("dashed");
      const ends = rest.filter((word) => word !== "dashed");
      const [x1, y1, x2, y2] =
        ends.length === 5
          ? numbers(
              ends.filter((word) => word !== "->"),
              line,
            )
          : between(ends, line);
      parts.push(arrow(x1!, y1!, x2!, y2!, dashed));
      const upright = Math.abs(x2! - x1!) < Math.abs(y2! - y1!);
      const [words1] = words;
      if (words1 && upright) {
        parts.push(text(x1! + 8, (y1! + y2!) / 2 + 4, words1, { className: "dim", size: SMALL }));
      } else if (words1) parts.push(label((x1! + x2!) / 2, y1! - 6, words1));
    } else if (verb === "rule") {
      const [y = 0, width = 0] = numbers(rest, line);
      parts.push(`<line x1="0" y1="${n(y)}" x2="${n(width)}" y2="${n(y)}" class="rule"/>`);
      const [above = "", below = ""] = words;
      parts.push(text(0, y - 6, above, { className: "dim", size: SMALL }));
      parts.push(text(0, y + SMALL + 5, below, { className: "dim", size: SMALL }));
    } else if (verb === "text") {
      const [x = 0, y = 0] = numbers(rest, line);
      for (const [i, each] of words.entries())
        parts.push(text(x, y + i * LINE, each, { className: "dim", size: SMALL }));
    } else fail(line, "neither box, arrow, rule nor text");
  }
  return { size: numbers(size, "boxes"), parts };

  function between([from = "", , to = ""]: readonly string[], line: string): number[] {
    const a = boxes.get(from) ?? fail(line, "no such box");
    const b = boxes.get(to) ?? fail(line, "no such box");
    const gap = 2;
    const low = Math.max(a.y, b.y);
    const high = Math.min(a.y + a.height, b.y + b.height);
    if (low < high) {
      const y = (low + high) / 2;
      return a.x < b.x ? [a.x + a.width + gap, y, b.x - gap, y] : [a.x - gap, y, b.x + b.width + gap, y];
    }
    const left = Math.max(a.x, b.x);
    const right = Math.min(a.x + a.width, b.x + b.width);
    if (left >= right) fail(line, "the boxes do not overlap in x or in y");
    const x = (left + right) / 2;
    return a.y < b.y ? [x, a.y + a.height + gap, x, b.y - gap] : [x, a.y - gap, x, b.y + b.height + gap];
  }
}

const PANEL = { width: 460, left: 56, step: 31, gap: 36, head: 106 };

function drawSequence(
  lines: readonly string[],
  size: readonly string[],
): { size: number[]; parts: string[] } {
  const columns = Number(size[0] ?? 1);
  let actors: string[] = [];
  interface Panel {
    title: string;
    subtitle: string;
    steps: { from: number; to: number; dashed: boolean; words: string }[];
    notes: string[];
  }
  const panels: Panel[] = [];
  for (const line of lines) {
    const [head = "", ...words] = cells(line);
    const current = panels.at(-1);
    const message = /^(\S+) -> (\S+)( dashed)?$/.exec(head);
    if (head.startsWith("actors "))
      actors = head
        .slice(7)
        .split(",")
        .map((each) => each.trim());
    else if (head === "panel")
      panels.push({ title: words[0] ?? "", subtitle: words[1] ?? "", steps: [], notes: [] });
    else if (!current) fail(line, "it is not in a panel");
    else if (head === "note") current.notes.push(...words);
    else if (message) {
      const [from, to] = [message[1]!, message[2]!].map((name) => actors.indexOf(name));
      if (from === undefined || to === undefined || from < 0 || to < 0) fail(line, "no such actor");
      current.steps.push({ from, to, dashed: message[3] !== undefined, words: words[0] ?? "" });
    } else fail(line, "neither actors, panel, note nor a message");
  }
  const heightOf = ({ steps, notes }: Panel) =>
    PANEL.head + steps.length * PANEL.step + 12 + notes.length * LINE;
  const parts: string[] = [];
  let y = 0;
  for (let row = 0; row < panels.length; row += columns) {
    const across = panels.slice(row, row + columns);
    const height = Math.max(...across.map(heightOf));
    for (const [column, panel] of across.entries())
      parts.push(...drawPanel(panel, column * (PANEL.width + PANEL.gap), y, height));
    y += height + PANEL.gap;
  }
  return { size: [columns * (PANEL.width + PANEL.gap) - PANEL.gap, y - PANEL.gap], parts };

  function drawPanel(
    { title, subtitle, steps, notes }: Panel,
    x: number,
    top: number,
    height: number,
  ): string[] {
    const place = (actor: number) =>
      x + PANEL.left + (actor * (PANEL.width - 2 * PANEL.left)) / Math.max(actors.length - 1, 1);
    const parts = [
      text(x, top + 16, title, { className: "title", size: 15 }),
      text(x, top + 16 + LINE, subtitle, { className: "dim", size: SMALL }),
    ];
    const bottom = top + height - notes.length * LINE - 8;
    for (const [i, name] of actors.entries()) {
      const at = place(i);
      const width = Math.max(widthOf(name, FONT) + 26, 84);
      const box = { x: at - width / 2, y: top + 48, width, height: 26 };
      parts.push(
        `<line x1="${n(at)}" y1="${n(box.y + box.height)}" x2="${n(at)}" y2="${n(bottom)}" class="life"/>`,
      );
      parts.push(rectangle(box, i === 1 ? "ours" : "plain"), ...inside(box, [name]));
    }
    for (const [i, { from, to, dashed, words }] of steps.entries()) {
      const at = top + PANEL.head + i * PANEL.step;
      const direction = Math.sign(to - from);
      parts.push(arrow(place(from) + direction * 2, at, place(to) - direction * 2, at, dashed));
      parts.push(label((place(from) + place(to)) / 2, at - 5, words));
    }
    for (const [i, words] of notes.entries())
      parts.push(text(x, bottom + 14 + i * LINE, words, { className: "dim", size: SMALL }));
    return parts;
  }
}

/** The SVG of a source. Throws, with the line, where it cannot be read. */
export function draw(source: string): string {
  const lines = source.split("\n").map((line) => line.trimEnd());
  const comments = lines.filter((line) => line.startsWith("#")).map((line) => line.slice(1).trim());
  const [title = "", ...description] = comments;
  const [kind = "", ...statements] = lines.filter((line) => line !== "" && !line.startsWith("#"));
  const [name, ...size] = kind.split(/\s+/);
  const drawn =
    name === "boxes"
      ? drawBoxes(statements, size)
      : name === "sequence"
        ? drawSequence(statements, size)
        : fail(kind, "neither boxes nor sequence");
  const [width = 0, height = 0] = drawn.size;
  // A margin for borders and for the heads of arrows.
  const inner = `<g transform="translate(4 4)">`;
  return svg(width + 8, height + 8, title, description.join(" "), [inner, ...drawn.parts, "</g>"]);
}
