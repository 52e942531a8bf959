/** What a cell is: one engine, bundler or dev server, with the package in it as a stranger has it. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Stage } from "./stage.ts";

export interface Cell {
  name: string;
  /** Which versions it stands for. */
  version: string;
  /** `packages/NAME`, whose lock file says what is installed. */
  project?: string;
  /** What it needs beside `npm install wassl`, in one line. */
  needs?: string;
  /** `npm test` runs it too. */
  often?: true;
  /** It looks at the package, and visits nobody. */
  check?: true;
  /** Why it fails, where the reason lies outside of this project; with the report. */
  outside?: string;
  run(site: Site): Promise<void>;
}

/** Where a cell works. */
export class Site {
  readonly stage: Stage;
  readonly name: string;
  readonly folder: string;
  readonly ended: AbortSignal;
  readonly lines: string[] = [];

  constructor(stage: Stage, name: string, folder: string, ended: AbortSignal) {
    this.stage = stage;
    this.name = name;
    this.folder = folder;
    this.ended = ended;
  }

  /** Kept, for when it fails. */
  readonly log = (line: string): void => {
    this.lines.push(line);
  };

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  write(files: Record<string, string>): void {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(this.path(name)), { recursive: true });
      writeFileSync(this.path(name), text);
    }
  }

  /** The one that the packed package has. */
  copyWasm(to: string): void {
    mkdirSync(dirname(this.path(to)), { recursive: true });
    cpSync(this.path("node_modules/wassl/dist/binding/openssl.wasm"), this.path(to));
  }

  /** A program that was installed with the project. */
  bin(name: string): string {
    return this.path("node_modules", ".bin", name);
  }

  async serve(root: string): Promise<string> {
    return await this.stage.serve(this.path(root), this.ended);
  }

  async chromium(url: string): Promise<void> {
    await this.stage.chromium(url, this.ended, this.log);
  }
}
