/** Where all results of a run come together. */

/** One test ended; with an `error`, it failed. */
export type Report = (runtime: string, name: string, error?: unknown) => void;

/** More failures than this are no accident. */
const FEW = 2;

interface Failure {
  runtime: string;
  name: string;
  text: string;
}

export class Results {
  readonly #passed = new Map<string, number>();
  readonly #failures: Failure[] = [];
  readonly #leftOut: string[] = [];
  readonly #unsteady: string[] = [];
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

  /**
   * Runs again, each alone, the tests that failed, if they are so few that the machine may have been the reason. What
   * then passes counts as passed, and the closing lines call it unsteady: it is a fault, of the test or of what it
   * tests, that is waiting to be found.
   */
  async again(passes: (runtime: string, name: string) => Promise<boolean>): Promise<void> {
    if (this.#failures.length > FEW) return;
    for (const failure of [...this.#failures]) {
      const { runtime, name, text } = failure;
      if (!(await passes(runtime, name))) continue;
      this.#failures.splice(this.#failures.indexOf(failure), 1);
      this.#passed.set(runtime, this.count(runtime).passed + 1);
      this.#unsteady.push(`[${runtime}] ${name}: ${text.split("\n", 1)[0]}`);
    }
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
    for (const each of this.#unsteady) console.log(`unsteady, failed once and then passed alone: ${each}`);
    const unsteady = this.#unsteady.length > 0 ? `, ${this.#unsteady.length} unsteady` : "";
    const skipped = this.#leftOut.length > 0 ? `, ${this.#leftOut.length} skipped` : "";
    console.log(`${passed} passed, ${this.#failures.length} failed${skipped}${unsteady}`);
    return passed > 0 && this.#failures.length === 0 ? 0 : 1;
  }
}
