/**
 * A page that asks a PostgreSQL server something, through a relay that sees ciphertext only.
 *
 * It is told by its URL: `relay`, the relay's WebSocket; `ca`, where the trust anchor is; `sql`, and `password`.
 */
import { OpenSsl, startTls } from "wassl";
import { requestStartTls } from "wassl/starttls";
import { connectWebSocket } from "wassl/transports/websocket";
import { Postgres } from "./postgres-wire.js";

const parameters = new URLSearchParams(location.search);
const [relay = "", ca = "", sql = "", password = ""] = ["relay", "ca", "sql", "password"].map(
  (name) => parameters.get(name) ?? undefined,
);

// #region connect
OpenSsl.preload(); // while the WebSocket opens
const pem = await (await fetch(ca)).text();

// The relay's URL says where to: wss://relay.example.org/?to=db.example.org:5432
const transport = await connectWebSocket(relay);
// PostgreSQL begins in the clear. This asks it for TLS, and takes nothing but a yes.
await requestStartTls(transport, { protocol: "postgres" });
// The name is that of the database, and not the relay's: nobody on the way can stand in for it.
const tls = await startTls(transport, { hostname: "localhost", caCerts: pem });
// #endregion

try {
  // #region query
  const database = await Postgres.logIn(tls, { user: "page", password, database: "postgres" });
  const rows = await database.query(sql);
  await database.end();
  const { how } = await tls.closed;
  // #endregion
  document.body.textContent = `${JSON.stringify(rows)} ${tls.info.protocol} ${how} ${database.bound ? "bound" : "not bound"}`;
} catch (error) {
  await tls.close();
  document.body.textContent = String(error);
}
