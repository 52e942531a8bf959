/** Where all results of a run come together. */

/** One test ended; with an `error`, it failed. */
export type Report = (runtime: string, name: string, error?: unknown) => void;

interface Failure {
  runtime: string;
  name: string;
  text: string;
}

export class Results {
  readonly #passed = new Map<string, number>();
  readonly #failures: Failure[] = [];
  readonly #leftOut: string[] = [];
  readonly #verbose: boolean;

  constructor(verbose: boolean) {
    this.#verbose = verbose;
  }

  readonly report: Report = (runtime, name, error) => {
    if (error === undefined) {
      this.#passed.set(runtime, this.count(runtime).passed + 1);
      if (this.#verbose) console.log(`ok   [${runtime}] ${name}`);
      return;
    }
    const text = error instanceof Error ? (error.stack ?? String(error)) : String(error);
    this.#failures.push({ runtime, name, text });
    console.log(`FAIL [${runtime}] ${name}\n${text.replace(/^/gm, "       ")}`);
  };

  /** What could not be tried here, and why: the closing lines say it. */
  leaveOut(what: string, why: string): void {
    this.#leftOut.push(`${what}: ${why}`);
  }

  count(runtime: string) {
    const failed = this.#failures.filter((failure) => failure.runtime === runtime).length;
    return { passed: this.#passed.get(runtime) ?? 0, failed };
  }

  /** Prints which tests failed, the counts, and the closing line; returns the exit code. */
  close(): number {
    if (this.#failures.length > 0) console.log("\nFailed:");
    for (const { runtime, name } of this.#failures) console.log(`  [${runtime}] ${name}`);
    const runtimes = new Set([...this.#passed.keys(), ...this.#failures.map((failure) => failure.runtime)]);
    console.log("");
    let passed = 0;
    for (const runtime of runtimes) {
      const count = this.count(runtime);
      passed += count.passed;
      console.log(`${runtime}: ${count.passed} passed, ${count.failed} failed`);
    }
    for (const each of this.#leftOut) console.log(`left out: ${each}`);
    const skipped = this.#leftOut.length > 0 ? `, ${this.#leftOut.length} skipped` : "";
    console.log(`${passed} passed, ${this.#failures.length} failed${skipped}`);
    return passed > 0 && this.#failures.length === 0 ? 0 : 1;
  }
}
