import { createClient, RESP_TYPES } from "redis";
import { type Client, same, someBytes, type To } from "../kit.ts";

const client = ({ host, port, ca }: To) =>
  createClient({
    password: "secret",
    socket: { host, port, tls: true, ca, servername: host, reconnectStrategy: false },
  });

export default {
  async talk(to, facts) {
    const db = client(to);
    db.on("error", () => {});
    await db.connect();
    const bytes = someBytes();
    await db.set("bytes", Buffer.from(bytes));
    const back = await db.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get("bytes");
    await same(bytes, back);
    const all = await Promise.all(Array.from({ length: 1000 }, () => db.incr("count")));
    facts(`1,000 commands at once: ${all.length}`);
    await db.close();
  },
  async refuse(to) {
    const db = client(to);
    db.on("error", () => {});
    await db.connect();
  },
} satisfies Client;
