import { rmSync } from "node:fs";

/** What was started and has to be stopped. Synchronous, so that it also runs when the process is about to end. */
export class Cleanup {
  readonly #actions: (() => void)[] = [];
  #done = false;

  constructor() {
    process.once("exit", () => this.#run());
  }

  add(action: () => void): void {
    // Whatever gets ready after the end was called for is stopped at once.
    if (this.#done) action();
    else this.#actions.push(action);
  }

  removeDirectory(directory: string): void {
    this.add(() => rmSync(directory, { recursive: true, force: true }));
  }

  runAndExit(code: number): void {
    this.#run();
    process.exit(code);
  }

  #run(): void {
    this.#done = true;
    for (const action of this.#actions.splice(0).reverse()) {
      try {
        action();
      } catch (error) {
        console.error(error);
      }
    }
  }
}
