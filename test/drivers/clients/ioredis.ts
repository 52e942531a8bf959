import { Redis } from "ioredis";
import { type Client, event, same, someBytes, type To } from "../kit.ts";

const client = ({ host, port, ca }: To) =>
  new Redis({
    host,
    port,
    password: "secret",
    tls: { ca, servername: host },
    lazyConnect: true,
    retryStrategy: () => null,
  });

export default {
  async talk(to, facts) {
    const db = client(to);
    await db.connect();
    const bytes = someBytes();
    await db.set("bytes", Buffer.from(bytes));
    await same(bytes, await db.getBuffer("bytes"));
    const pipeline = db.pipeline();
    for (let i = 0; i < 1000; i++) pipeline.incr("count");
    const results = await pipeline.exec();
    facts(`1,000 commands in one go: ${results.at(-1)[1]}`);
    const ended = event(db, "end");
    await db.quit();
    await ended;
  },
  async refuse(to) {
    const db = client(to);
    let first: unknown;
    db.on("error", (error: unknown) => {
      first ??= error;
    });
    await db.connect().catch((error: unknown) => {
      throw first ?? error;
    });
  },
} satisfies Client;
