/** What a handshake asks (see `Question` in connection/events.ts), and how the answer is found. */

import type { Question } from "../connection/events.js";
import { callbackError } from "../connection/failure.js";
import { TlsCertificateError, TlsError } from "../errors.js";
import type { Ssl } from "../openssl/ssl.js";
import { parseClientHello } from "../options/client-hello.js";
import { ofAContext, readServerContext, TlsContext } from "../options/context.js";
import { signWith } from "../options/external-key.js";
import type { PreliminaryResult } from "../options/identity.js";

/** RFC 8446 §6 */
const INTERNAL_ERROR = 80;
const UNRECOGNIZED_NAME = 112;

/** As OpenSSL has it for what an application refuses. */
const REFUSED_BY_VERIFY = {
  error: "X509_V_ERR_APPLICATION_VERIFICATION",
  code: 50,
  text: "application verification failure",
  depth: 0,
} as const;

/** The answers for one connection. */
export class Answers {
  readonly #ssl: Ssl;
  readonly #peerName: string;
  #context: TlsContext;

  constructor(ssl: Ssl, context: TlsContext, peerName: string) {
    this.#ssl = ssl;
    this.#context = context;
    this.#peerName = peerName;
  }

  /** The context that was selected, or the one that the connection began with. */
  get context(): TlsContext {
    return this.#context;
  }

  readonly answer = (question: Question): Promise<void> => {
    switch (question) {
      case "client-hello":
        return this.#select();
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

  async #select(): Promise<void> {
    let alert = INTERNAL_ERROR;
    try {
      const bytes = this.#ssl.getClientHello();
      if (!bytes) throw new TlsError("out-of-memory", "no room for a ClientHello");
      const hello = parseClientHello(bytes);
      const selected = await this.#context.selectContext?.(hello);
      if (selected === undefined) {
        this.#ssl.answerClientHello();
      } else if (selected === null) {
        alert = UNRECOGNIZED_NAME;
        const whom = hello.serverName === undefined ? "no name" : `"${hello.serverName}"`;
        throw new TlsError("protocol", `selectContext has nothing for the client, which asked for ${whom}`);
      } else {
        this.#goOnWith(selected);
      }
    } catch (error) {
      this.#ssl.answerClientHello(undefined, alert);
      throw callbackError("selectContext", error);
    }
  }

  #goOnWith(selected: TlsContext | object): void {
    const given = selected instanceof TlsContext;
    const { openssl } = this.#context;
    const read = given ? undefined : readServerContext(selected, "what selectContext gives");
    const other = read?.openssl;
    const context = given ? selected : TlsContext.create(openssl, "server", ofAContext(read!));
    try {
      if (context.role !== "server" || context.openssl !== openssl || (other && other !== openssl)) {
        throw new TlsError(
          "invalid-argument",
          "selectContext must give a server's context of the same OpenSsl",
        );
      }
      const { verify, unsafelyLetVerifyOverride } = context.verification;
      this.#ssl.suspendVerify(!verify ? "never" : unsafelyLetVerifyOverride ? "anyway" : "accepted");
      this.#ssl.answerClientHello(context.sslContext);
      this.#context = context;
    } finally {
      // The connection has its own hold on the context.
      if (!given) context.free();
    }
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
