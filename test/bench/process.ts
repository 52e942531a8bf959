/** A process that runs `end.js`, as its parent sees it. */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { killAtEnd } from "../processes.ts";
import type { Request } from "./end.ts";

/** A process that does not answer for so long, in milliseconds, never will. */
const PATIENCE = 120_000;

export class End {
  readonly #child: ChildProcess;
  readonly #name: string;

  private constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.#name = name;
  }

  static async start(folder: string, name: string): Promise<End> {
    const child = fork(join(folder, "end.js"), [name], {
      cwd: folder,
      execArgv: ["--no-warnings"],
      // Some libraries tell of each connection there.
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    killAtEnd(child);
    const end = new End(child, name);
    try {
      await end.#answer();
    } catch (error) {
      end.stop();
      throw error;
    }
    return end;
  }

  /** One at a time. */
  async ask<T>(request: Request): Promise<T> {
    const answer = this.#answer();
    this.#child.send(request);
    return (await answer) as T;
  }

  #answer(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => settle(() => reject(new Error(`no answer within ${PATIENCE / 1000} s`))),
        PATIENCE,
      );
      const onMessage = (message: { value?: unknown; error?: string }) =>
        settle(() =>
          message.error === undefined ? resolve(message.value) : reject(new Error(message.error)),
        );
      const onExit = (code: number | null) =>
        settle(() => reject(new Error(`the process of ${this.#name} exited with ${code}`)));
      const settle = (how: () => void) => {
        clearTimeout(timer);
        this.#child.off("message", onMessage);
        this.#child.off("exit", onExit);
        how();
      };
      this.#child.on("message", onMessage);
      this.#child.on("exit", onExit);
    });
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}
