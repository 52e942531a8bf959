/** Which context a server has for a client, by the client's first message. */
import { callbackError } from "../connection/failure.js";
import { TlsError } from "../errors.js";
import { answerClientHello, getClientHello } from "../openssl/server-side.js";
import type { SslCore } from "../openssl/ssl-core.js";
import { parseClientHello } from "../options/client-hello.js";
import { Context, ofAContext } from "../options/context.js";
import { readServerContext, type Selected, TlsContext } from "../options/tls-context.js";

/** RFC 8446 §6 */
const INTERNAL_ERROR = 80;
const UNRECOGNIZED_NAME = 112;

/** Asks `selectContext` of the context that a server began with. The handshake goes on with what this returns. */
export async function select(ssl: SslCore, own: TlsContext): Promise<Context> {
  const { library } = own;
  let alert = INTERNAL_ERROR;
  try {
    const bytes = getClientHello(library, ssl);
    if (!bytes) throw new TlsError("out-of-memory", "no room for a ClientHello");
    const hello = parseClientHello(bytes);
    const selected = await own.selectContext?.(hello);
    if (selected === undefined) {
      answerClientHello(library, ssl);
      return own;
    }
    if (selected === null) {
      alert = UNRECOGNIZED_NAME;
      const whom = hello.serverName === undefined ? "no name" : `"${hello.serverName}"`;
      throw new TlsError("protocol", `selectContext has nothing for the client, which asked for ${whom}`);
    }
    return goOnWith(selected, ssl, own);
  } catch (error) {
    answerClientHello(library, ssl, undefined, alert);
    throw callbackError("selectContext", error);
  }
}

function goOnWith(selected: NonNullable<Selected>, ssl: SslCore, { library }: TlsContext): Context {
  const given = selected instanceof Context;
  const read = given ? undefined : readServerContext(selected, "what selectContext gives");
  const other = read?.openssl;
  const context = given ? selected : TlsContext.ofServer(library, ofAContext(read!));
  try {
    if (context.role !== "server" || context.library !== library || (other && other.library !== library)) {
      throw new TlsError(
        "invalid-argument",
        "selectContext must give a server's context of the same OpenSsl",
      );
    }
    const { verify, unsafelyLetVerifyOverride } = context.verification;
    ssl.suspendVerify(!verify ? "never" : unsafelyLetVerifyOverride ? "anyway" : "accepted");
    answerClientHello(library, ssl, context.sslContext);
    return context;
  } finally {
    // The connection has its own hold on the context.
    if (!given) context.free();
  }
}
