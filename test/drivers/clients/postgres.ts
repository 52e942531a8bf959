import postgres from "postgres";
import { type Client, same, someBytes, type To } from "../kit.ts";

const client = ({ host, port, ca }: To) =>
  postgres({
    host,
    port,
    user: "postgres",
    database: "postgres",
    ssl: { ca },
    max: 1,
    connect_timeout: 10,
    onnotice() {},
  });

export default {
  async talk(to, facts) {
    const sql = client(to);
    const bytes = someBytes();
    const [row] = await sql`SELECT ${Buffer.from(bytes)}::bytea AS data`;
    await same(bytes, row.data);
    const rows = await sql`SELECT n FROM generate_series(1, 1000) AS n`.cursor(100, () => {});
    facts(`a cursor went through: ${rows.count ?? ""}`);
    await sql.end();
  },
  async refuse(to) {
    const sql = client(to);
    try {
      await sql`SELECT 1`;
    } finally {
      await sql.end({ timeout: 1 });
    }
  },
} satisfies Client;
