/** What is told of places where sessions are kept. */
import type { Transport } from "wassl";
import { acceptTls, startTls } from "wassl";
import { RedisSessionStore } from "wassl/sessions/redis";
import { pair } from "../fakes/pair.ts";
import { utf8 } from "../helpers/basics.ts";
import { env } from "../helpers/env.ts";
import type { Table } from "./told.ts";

/** A store whose Redis answers so, and then ends or not. */
const redis =
  (answer: string | undefined, ends = false, options: object = {}) =>
  async () => {
    let ask!: () => void;
    const asked = new Promise<void>((resolve) => {
      ask = resolve;
    });
    let said = false;
    const readable = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await asked;
        if (answer !== undefined && !said) {
          said = true;
          return controller.enqueue(utf8(answer));
        }
        if (ends) return controller.close();
        return new Promise<void>(() => {});
      },
    });
    const writable = new WritableStream<Uint8Array>({ write: () => ask() });
    const store = new RedisSessionStore({
      connect: () => ({ readable, writable }),
      timeout: 500,
      ...options,
    });
    await store.get("key");
  };

export const sessions: Table = {
  "sessions: Redis": [
    [
      "no connect",
      () => new RedisSessionStore({} as never),
      "invalid-argument",
      "RedisSessionStore needs connect, a function that makes a transport to Redis",
    ],
    [
      "it refuses",
      redis("-NOAUTH Authentication required.\r\n"),
      "session-store",
      "Redis answered: NOAUTH Authentication required.",
    ],
    [
      "another protocol",
      redis("HTTP/1.1 400 Bad Request\r\n"),
      "session-store",
      "the server does not speak Redis's protocol",
    ],
    [
      "it says nothing",
      redis(undefined, false, { timeout: 20 }),
      "timeout",
      "Redis did not answer within 20 ms",
    ],
    ["it ends the connection", redis(undefined, true), "transport", "Redis closed the connection"],
    [
      "the connection fails",
      async () => {
        const readable = new ReadableStream<Uint8Array>({
          pull: () => Promise.reject(new Error("the cable is cut")),
        });
        await new RedisSessionStore({ connect: () => ({ readable, writable: new WritableStream() }) }).get(
          "key",
        );
      },
      "transport",
      "the connection to Redis failed while receiving: the cable is cut",
    ],
    [
      "it was closed meanwhile",
      async () => {
        const never: Transport = {
          readable: new ReadableStream({ pull: () => new Promise<void>(() => {}) }),
          writable: new WritableStream({ write: () => new Promise<void>(() => {}) }),
        };
        const store = new RedisSessionStore({ connect: () => never, timeout: 100 });
        const getting = store.get("key");
        await store.close();
        await getting;
      },
      "timeout",
      "Redis did not answer within 100 ms",
    ],
  ],
  "sessions: a store that hangs": [
    [
      "it is told as an event",
      async () => {
        const [near, far] = pair();
        let told!: (error: unknown) => void;
        const heard = new Promise<never>((_resolve, reject) => {
          told = reject;
        });
        heard.catch(() => {});
        const [client, server] = await Promise.all([
          startTls(near, {
            ...{ hostname: "localhost", caCerts: env.unsupported.root },
            sessionStore: { get: () => undefined, put() {}, take: () => new Promise(() => {}) },
            onEvent: (event) => event.type === "session-store-error" && told(event.error),
          }),
          acceptTls(far, env.unsupported.good),
        ]);
        client.abort();
        server.abort();
        await heard;
      },
      "timeout",
      "the session store did not answer within 2000 ms",
    ],
  ],
};
