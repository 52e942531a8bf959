/** The results, for people. */
import type { Idle } from "./idle.ts";
import type { Wait } from "./navigation.ts";
import type { Profile } from "./rounds.ts";
import type { Row } from "./rows.ts";
import type { Size } from "./sizes.ts";

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

const UNITS = { ms: "CPU ms", "s/GiB": "CPU s/GiB", rate: "per CPU s" };

/** Three digits that count. */
function digits(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toPrecision(3);
}

/** What could not be measured is a number, and the reasons stand below. */
export function printResults(results: readonly Result[]): void {
  const names = results[0]!.cells.map(({ library }) => library);
  const notes: string[] = [];
  const note = (reason: string) => {
    if (!notes.includes(reason)) notes.push(reason);
    return `(${notes.indexOf(reason) + 1})`;
  };
  const lines = results.map(({ title, unit, cells }) => [
    title,
    UNITS[unit],
    ...cells.map(({ library, values, ratios, failure }) => {
      const value = median(values);
      if (value === undefined) return note(failure ?? "not measured");
      const ratio = median(ratios);
      if (ratio === undefined) return digits(value);
      return `${digits(value)} (${library === "native" ? "drift " : "×"}${ratio.toFixed(2)})`;
    }),
  ]);
  print(["", "unit", ...names], lines, 2);
  if (notes.length > 0) console.log(`\n${notes.map((text, i) => `(${i + 1}) ${text}`).join("\n")}`);
}

export function printIdle(idle: readonly Idle[]): void {
  const kib = (bytes: number) => (bytes / 1024).toFixed(1);
  print(
    [
      "idle connections of wassl, each",
      ...["client, KiB", "server, KiB", "growth of the client's linear memory, KiB", "the server's"],
      ...["JavaScript, both ends, KiB", "handshake, both ends, CPU ms"],
    ],
    idle.map(({ connections, client, server, clientSize, serverSize, heap, cpu }) => [
      connections.toLocaleString("en"),
      ...[client, server, clientSize, serverSize, heap].map(kib),
      digits(cpu),
    ]),
    1,
  );
}

/** What takes less than this share is told as a sum. */
const LEAST_SHARE = 0.005;

export function printProfile({ title, library, shares }: Profile): void {
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  const large = shares.filter(({ share }) => share >= LEAST_SHARE);
  const rest = shares.slice(large.length).reduce((sum, { share }) => sum + share, 0);
  const lines = [...large, { name: `${shares.length - large.length} others`, share: rest }];
  print(
    [`${library} — ${title}`, "itself"],
    lines.map(({ name, share }) => [name, percent(share)]),
    1,
  );
}

export function printSizes(sizes: readonly Size[]): void {
  print(
    ["bytes to load", "raw", "gzip", "brotli"],
    sizes.map(({ name, ...of }) => [name, ...Object.values(of).map((n: number) => n.toLocaleString("en"))]),
    1,
  );
}

export function printWaits(waits: readonly Wait[]): void {
  print(
    ["from navigation to the end of the handshake, 10 Mbit/s, 40 ms", "ms", "least", "most"],
    waits.map(({ name, values }) => [
      name,
      ...[median(values)!, Math.min(...values), Math.max(...values)].map((value) => digits(value)),
    ]),
    1,
  );
}

/** In Markdown; the first `left` columns are words. */
function print(head: string[], lines: string[][], left: number): void {
  const widths = head.map((_, i) => Math.max(...[head, ...lines].map((line) => line[i]!.length), 3));
  const row = (line: string[]) =>
    `| ${line.map((cell, i) => (i < left ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" | ")} |`;
  const rule = widths.map((width, i) => (i < left ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`));
  console.log(["", row(head), `|${rule.join("|")}|`, ...lines.map(row)].join("\n"));
}
