import pg from "pg";
import { type Client, event, same, someBytes, type To } from "../kit.ts";

const client = ({ host, port, ca }: To) =>
  new pg.Client({ host, port, user: "postgres", database: "postgres", ssl: { ca } });

export default {
  async talk(to, facts) {
    const db = client(to);
    await db.connect();
    const {
      rows: [tls],
    } = await db.query("SELECT version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    facts(`the server says ${tls.version}, ${tls.cipher}`);
    const bytes = someBytes();
    const { rows } = await db.query("SELECT $1::bytea AS data", [Buffer.from(bytes)]);
    await same(bytes, rows[0].data);

    const closed = event(db, "end");
    await db.end();
    await closed;
  },
  async refuse(to) {
    const db = client(to);
    db.on("error", () => {});
    await db.connect();
  },
} satisfies Client;
