/** The results, for people. */
import type { Row } from "./rows.ts";

export interface Cell {
  readonly library: string;
  /** One of each round; `native` has two. */
  readonly values: number[];
  /** To `native` in the same round; of `native` the last to the first, which would be 1 on a machine without drift. */
  readonly ratios: number[];
  /** Why there is no value. */
  readonly failure?: string;
}

export interface Result extends Pick<Row, "id" | "title" | "unit"> {
  readonly cells: Cell[];
}

export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1]! + sorted[middle]!) / 2 || undefined;
}

const UNITS = { ms: "CPU ms", "s/GiB": "CPU s/GiB", rate: "per s" };

/** Three digits that count. */
function digits(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toPrecision(3);
}

/** In Markdown. What could not be measured is a number, and the reasons stand below. */
export function printTable(results: readonly Result[]): void {
  const names = results[0]!.cells.map(({ library }) => library);
  const notes: string[] = [];
  const note = (reason: string) => {
    if (!notes.includes(reason)) notes.push(reason);
    return `(${notes.indexOf(reason) + 1})`;
  };
  const lines = [["", "unit", ...names]];
  for (const { title, unit, cells } of results) {
    lines.push([
      title,
      UNITS[unit],
      ...cells.map(({ library, values, ratios, failure }) => {
        const value = median(values);
        if (value === undefined) return note(failure ?? "not measured");
        const ratio = median(ratios);
        if (library === "native" && ratio !== undefined)
          return `${digits(value)} (drift ${ratio.toFixed(2)})`;
        return ratio === undefined ? digits(value) : `${digits(value)} (×${ratio.toFixed(2)})`;
      }),
    ]);
  }
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length), 3));
  const print = (line: string[]) =>
    console.log(
      `| ${line.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" | ")} |`,
    );
  print(lines[0]!);
  console.log(
    `|${widths.map((width, i) => (i < 2 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`,
  );
  for (const line of lines.slice(1)) print(line);
  if (notes.length > 0) console.log(`\n${notes.map((text, i) => `(${i + 1}) ${text}`).join("\n")}`);
}
