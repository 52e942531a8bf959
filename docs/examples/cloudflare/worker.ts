/** A Cloudflare Worker that talks TLS to a server by its own trust anchors, and says how the connection ended. */
import { connect } from "cloudflare:sockets";
import { startTls } from "wassl";
import { cloudflareDialer } from "wassl/dialers/cloudflare";

const dial = cloudflareDialer(connect);

interface Env {
  /** The trust anchors, PEM. */
  CA: string;
  HOST: string;
  PORT: string;
}

export default {
  // #region fetch
  async fetch(_request: Request, env: Env): Promise<Response> {
    const transport = await dial({ hostname: env.HOST, port: Number(env.PORT) });
    const tls = await startTls(transport, { hostname: env.HOST, caCerts: env.CA });

    const writer = tls.writable.getWriter();
    await writer.write(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
    writer.releaseLock();
    const answer = await new Response(tls.readable).text();
    const { info } = await tls.shutdown();
    await transport.writable.close();
    return Response.json({ protocol: tls.info.protocol, how: info.how, answer });
  },
  // #endregion
};
