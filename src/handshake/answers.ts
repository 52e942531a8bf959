/** What a handshake asks (see `Question` in connection/events.ts), and how the answer is found. */

import type { Question } from "../connection/events.js";
import { callbackError } from "../connection/failure.js";
import { TlsCertificateError, TlsError } from "../errors.js";
import type { SslCore } from "../openssl/ssl-core.js";
import type { Context } from "../options/context.js";
import { signWith } from "../options/external-key.js";
import type { PreliminaryResult } from "../options/identity.js";

/** As OpenSSL has it for what an application refuses. */
const REFUSED_BY_VERIFY = {
  error: "X509_V_ERR_APPLICATION_VERIFICATION",
  code: 50,
  text: "application verification failure",
  depth: 0,
} as const;

/** The answers for one connection. */
export class Answers {
  readonly #ssl: SslCore;
  readonly #peerName: string;
  #context: Context;
  /** Of a server: finds the context for the ClientHello that has come, and lets the handshake go on with it. */
  readonly #select: (() => Promise<Context>) | undefined;

  constructor(ssl: SslCore, context: Context, peerName: string, select?: () => Promise<Context>) {
    this.#ssl = ssl;
    this.#select = select;
    this.#context = context;
    this.#peerName = peerName;
  }

  /** The context that was selected, or the one that the connection began with. */
  get context(): Context {
    return this.#context;
  }

  readonly answer = async (question: Question): Promise<void> => {
    switch (question) {
      case "client-hello":
        if (this.#select) this.#context = await this.#select();
        return;
      case "verify":
        return this.#verify();
      case "signature":
        return this.#sign();
    }
  };

  /** A resumed session shows no certificate again, so nothing was asked in the handshake. */
  async afterHandshake(): Promise<void> {
    if (!this.#ssl.sessionReused() || !this.#context.verification.verify) return;
    // A peer that showed no certificate, for example because it has a pre-shared key, is not asked about in a full
    // handshake either.
    if (this.#ssl.getPeerCertificates().length > 0) await this.#judge();
  }

  async #verify(): Promise<void> {
    try {
      await this.#judge();
    } catch (error) {
      this.#ssl.answerVerify(false);
      throw error;
    }
    this.#ssl.answerVerify(true);
  }

  /** Settles when the peer is accepted. */
  async #judge(): Promise<void> {
    const chain = this.#ssl.getPeerCertificates();
    const failures = this.#ssl.getVerifyFailures();
    const [found] = failures;
    const preliminary: PreliminaryResult = found
      ? { ok: false, verifiedChain: [], failure: found, failures }
      : { ok: true, verifiedChain: this.#ssl.getVerifiedChain(chain), failures };
    let options: { cause?: unknown } = {};
    try {
      if ((await this.#context.verification.verify?.(chain, preliminary)) === true) return;
    } catch (cause) {
      options = { cause };
    }
    const certificate = found ? found.certificate : chain[0];
    const why = found ? `, after OpenSSL had: ${found.text}` : "";
    throw new TlsCertificateError(
      `the certificate of ${this.#peerName} was refused by verify${why} (${certificate?.subject ?? ""})`,
      found ?? { ...REFUSED_BY_VERIFY, certificate },
      options,
    );
  }

  async #sign(): Promise<void> {
    let signature: Uint8Array;
    try {
      const asked = this.#ssl.getToBeSigned();
      const key = asked && this.#context.keys.get(asked.id);
      if (!key) throw new TlsError("openssl", "there is nothing to sign, or no key for it");
      signature = await signWith(key, asked.algorithm, asked.bytes);
    } catch (error) {
      this.#ssl.answerSignature();
      throw callbackError("the private key", error);
    }
    if (!this.#ssl.answerSignature(signature)) {
      throw new TlsError("callback", "the private key is not that of the certificate");
    }
  }
}
