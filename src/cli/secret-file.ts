/** Files with secrets in them: only their owner can read them, whatever lay at that path before. */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { UsageError } from "./report.js";

// Windows has neither of the last two, nor links that every user may make.
const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;

/**
 * Opens a file for writing, with mode 0600 before the first byte is written. In a folder where others write too,
 * somebody may have put something there beforehand. So a symbolic link is not followed, and only a plain file is
 * written to.
 *
 * @throws UsageError that names the option
 */
export class SecretFile {
  readonly #option: string;
  readonly #fd: number;

  /**
   * Judges a path that is to be written to later, and leaves alone what is there.
   *
   * @throws UsageError that names the option
   */
  static judge(option: string, path: string): void {
    told(option, path, () => {
      const found = lstatSync(path, { throwIfNoEntry: false });
      if (found?.isSymbolicLink()) throw new Error(followed(path));
      if (found?.isDirectory()) throw new Error(`${path} is a directory`);
      if (found && !found.isFile()) throw new Error(notPlain(path));
      const folder = dirname(path);
      try {
        if (!found) statSync(folder);
      } catch (error) {
        // Deno may have no leave to look, which says nothing.
        if ((error as NodeJS.ErrnoException).code === "ENOENT") throw new Error(`${folder} does not exist`);
      }
    });
  }

  constructor(option: string, path: string, how: "append" | "replace") {
    this.#option = option;
    this.#fd = told(option, path, () => {
      // The file is truncated only after it is known to be ours. Without O_NONBLOCK, a pipe that is not read would
      // block.
      const append = how === "append" ? O_APPEND : 0;
      const fd = openSync(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | append, 0o600);
      try {
        const opened = fstatSync(fd);
        if (!opened.isFile()) throw new Error(notPlain(path));
        // Deno follows links while it checks whether the path is allowed, and opens what they lead to.
        const { dev, ino } = lstatSync(path);
        if (dev !== opened.dev || ino !== opened.ino) throw new Error(followed(path));
        fchmodSync(fd, 0o600);
        if (how === "replace") ftruncateSync(fd, 0);
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      return fd;
    });
  }

  /** Writes all of it, at once. */
  write(bytes: Uint8Array): void {
    told(this.#option, "", () => {
      for (let rest = bytes; rest.byteLength > 0; ) rest = rest.subarray(writeSync(this.#fd, rest));
    });
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function told<T>(option: string, path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ELOOP" ? followed(path) : message;
    throw new UsageError(`--${option}: ${why}`, { cause: error });
  }
}

const followed = (path: string) => `${path} is a symbolic link, which is not followed`;
const notPlain = (path: string) => `${path} is not a plain file`;
