import type { TlsError } from "../errors.js";
import { WANT_CLIENT_HELLO, WANT_SIGNATURE, WANT_VERIFY } from "../openssl/ssl-core.js";
import type { Question } from "./events.js";

const QUESTIONS: ReadonlyMap<number, Question> = new Map([
  [WANT_CLIENT_HELLO, "client-hello"],
  [WANT_VERIFY, "verify"],
  [WANT_SIGNATURE, "signature"],
]);

/**
 * Finds the answer and gives it to OpenSSL, also if it is a refusal. A rejection, with a `TlsError`, says why, and is
 * what the connection fails with.
 */
export type Answer = (question: Question) => Promise<void>;

/** By `r`, which an operation answered, OpenSSL waits for something beside bytes. */
export function isQuestion(r: number): boolean {
  return QUESTIONS.has(r);
}

/** What OpenSSL asks of us on one connection, one question at a time. */
export class Questions {
  readonly #answer: Answer | undefined;
  /** An answer is being looked for. OpenSSL goes on saying that it wants one. */
  #asking = false;
  #refusal: TlsError | undefined;

  constructor(answer: Answer | undefined) {
    this.#answer = answer;
  }

  /** Why there was no answer, or a refusal: what OpenSSL fails with then is its consequence. */
  get refusal(): TlsError | undefined {
    return this.#refusal;
  }

  /** Whether `r` is a question that an answer may come to. */
  mayAsk(r: number): boolean {
    return this.#answer !== undefined && !this.#refusal && isQuestion(r);
  }

  /** Asks what `r` means; resolves when OpenSSL has its answer. Undefined while it is being asked already. */
  ask(r: number): Promise<void> | undefined {
    if (this.#asking) return undefined;
    this.#asking = true;
    // No other code is called from within a turn.
    return Promise.resolve(QUESTIONS.get(r)!)
      .then(this.#answer)
      .catch((error) => {
        this.#refusal = error;
      })
      .then(() => {
        this.#asking = false;
      });
  }
}
