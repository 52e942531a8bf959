/** What `cloudflare:sockets` is an alias of: this is all that a program for Workers needs here. */
import { readFileSync } from "node:fs";
import { nodeDialer } from "wassl/dialers/node";
import { createConnect } from "wassl/sockets";

const dial = nodeDialer();

export const connect = createConnect({
  // Whatever the server is called: its certificate is what is tried.
  dialer: ({ port, signal }) => dial({ hostname: "127.0.0.1", port, signal }),
  caCerts: readFileSync(process.env.CA ?? "", "utf8"),
});
