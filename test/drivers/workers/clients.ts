/**
 * Clients that were written for Cloudflare's Workers, as they come from npm: `node clients.js CLIENT PORT`. What they
 * did is the last line.
 */
import { createHash } from "node:crypto";
import { someBytes, someText } from "../kit.ts";

const [, , name = "", port = ""] = process.argv;
const to = { host: process.env.HOST ?? "localhost", port: Number(port) };
const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
const login = { ...to, user: "page", password: "secret", database: "postgres" };

const clients: Record<string, () => Promise<unknown>> = {
  async "postgres.js"() {
    const { default: postgres } = await import("postgres");
    const sql = postgres({ ...login, username: "page", ssl: "require", max: 1, connect_timeout: 10 });
    const bytes = Buffer.from(someBytes());
    try {
      const [row] =
        await sql`select ${bytes}::bytea as back, ssl from pg_stat_ssl where pid = pg_backend_pid()`;
      return { same: sha256(row.back) === sha256(bytes), tls: row.ssl };
    } finally {
      await sql.end();
    }
  },

  async pg() {
    // pg looks at this for where it is.
    Object.defineProperty(globalThis, "navigator", { value: { userAgent: "Cloudflare-Workers" } });
    const { default: pg } = await import("pg");
    const client = new pg.Client({ ...login, ssl: true });
    // An error of the socket that follows the one of connect().
    client.on("error", () => {});
    const bytes = Buffer.from(someBytes());
    await client.connect();
    try {
      const { rows } = await client.query(
        "select $1::bytea as back, ssl from pg_stat_ssl where pid = pg_backend_pid()",
        [bytes],
      );
      return { same: sha256(rows[0].back) === sha256(bytes), tls: rows[0].ssl };
    } finally {
      await client.end();
    }
  },

  async "worker-mailer"() {
    const { WorkerMailer } = await import("worker-mailer");
    const secure = process.env.SECURE === "yes";
    const mailer = await WorkerMailer.connect({ ...to, secure, startTls: !secure, logLevel: 4 });
    await mailer.send({
      from: "a@localhost",
      to: "b@localhost",
      subject: "Three megabytes",
      text: someText(),
    });
    await mailer.close();
    return { sent: true };
  },
};

try {
  console.log(JSON.stringify(await clients[name]!()));
} catch (error) {
  console.log(`refused: ${error}`);
}
process.exit();
