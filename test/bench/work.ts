/** What both ends of a measured connection do. */
import type { Connection } from "./library.ts";
import type { Row } from "./rows.ts";

async function send(connection: Connection, length: number, size: number): Promise<void> {
  const chunk = new Uint8Array(size).fill(0x61);
  for (let left = length; left > 0; left -= size) {
    await connection.send(left < size ? chunk.subarray(0, left) : chunk);
  }
}

/**
 * A client's part: connections, bytes or round trips. Waiting for the server's word makes sure that it had its
 * handshake too, and that tickets are here.
 */
export async function ask(
  open: () => Promise<Connection>,
  { work, chunk }: Row,
  amount: number,
): Promise<void> {
  const handshakes = work === "handshake" || work === "resumption";
  for (let connections = handshakes ? amount : 1; connections > 0; connections--) {
    const connection = await open();
    if (handshakes) await connection.receive(1);
    else if (work === "download") await connection.receive(amount);
    else if (work === "upload") {
      await send(connection, amount, chunk);
      await connection.receive(1);
    } else {
      for (let i = 0; i < amount; i++) {
        await Promise.all([connection.receive(chunk), send(connection, chunk, chunk)]);
      }
    }
    await connection.close();
  }
}

/** A server's part. */
export async function answer(connection: Connection, { work, chunk }: Row, amount: number): Promise<void> {
  if (work === "download") await send(connection, amount, chunk);
  else if (work === "echo") {
    for (let i = 0; i < amount; i++) {
      await connection.receive(chunk);
      await send(connection, chunk, chunk);
    }
  } else {
    if (work === "upload") await connection.receive(amount);
    await send(connection, 1, 1);
  }
}
