/**
 * A page that asks a PostgreSQL server something with npm's `pg`, through a relay that sees ciphertext only.
 *
 * It is told by its URL: `relay`, such as `wss://relay.example.org/?to={hostname}:{port}`; `host` and `port` of the
 * database; `ca`, where its trust anchor is; `sql`, and `password`.
 */
// #region program
import "wassl/node/globals"; // before all that was written for Node.js
import pg from "pg";
import { webSocketDialer } from "wassl/dialers/websocket";
import { setDialer } from "wassl/node/net";
import { preload } from "wassl/node/tls";

const parameters = new URLSearchParams(location.search);
const given = (name: string) => parameters.get(name) ?? "";

setDialer(webSocketDialer(given("relay"))); // how to reach a port; once, for all that is imported
await preload(); // pg computes hashes without waiting

const client = new pg.Client({
  host: given("host"),
  port: Number(given("port")),
  user: "page",
  password: given("password"),
  database: "postgres",
  ssl: { ca: await (await fetch(given("ca"))).text() },
});
client.on("error", () => {}); // of the connection, when nothing is asked
try {
  await client.connect();
  const { rows } = await client.query(given("sql"));
  document.body.textContent = `rows: ${JSON.stringify(rows)}`;
} catch (error) {
  document.body.textContent = `error: ${(error as { code?: string }).code}: ${(error as Error).message}`;
} finally {
  await client.end();
}
// #endregion
