/** Relays that are not ours. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setUpDaemon } from "../setup.ts";
import type { Peer, PeerContext } from "./peer.ts";
import { freePort, start, waitForPort } from "./program.ts";

/**     websockify?to=PORT           goes to that port alone, for the token "localhost-PORT" */
export async function startWebsockify(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const to = parameters.get("to");
  const { prefix, bin } = setUpDaemon("websockify");
  const places = join(mkdtempSync(join(context.folder, "websockify-")), "places");
  writeFileSync(places, `localhost-${to}: 127.0.0.1:${to}\n`);
  const port = await freePort();
  const child = start("env", [
    ...[...prefix, join(bin, "websockify"), "--token-plugin", "TokenFile", "--token-source", places],
    `127.0.0.1:${port}`,
  ]);
  await waitForPort(port, child);
  return { port, events: [], close: () => void child.kill() };
}

/**     front?to=PORT&cookie=TEXT    nginx in front of a relay: who has the cookie gets through, four at a time */
export async function startFront(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const folder = mkdtempSync(join(context.folder, "front-"));
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
  limit_conn_zone $binary_remote_addr zone=each:1m;
  server {
    listen 127.0.0.1:${port};
    location / {
      if ($cookie_relay != "${parameters.get("cookie")}") { return 401; }
      limit_conn each 4;
      proxy_pass http://127.0.0.1:${parameters.get("to")};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_read_timeout 1h;
    }
  }
}
`,
  );
  const child = start(context.tools.nginx, ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", "stderr"]);
  await waitForPort(port, child);
  return { port, events: [], close: () => void child.kill() };
}
