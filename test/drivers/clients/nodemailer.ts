import { createTransport } from "nodemailer";
import { type Client, check, hash, someText, type To } from "../kit.ts";

const transport = ({ host, port, ca }: To, secure: boolean) =>
  createTransport({
    // It asks DNS for what it connects to.
    host: "localhost",
    port,
    secure,
    requireTLS: !secure,
    tls: { ca, servername: host },
    name: "page.test",
    logger: false,
  });

export async function talk(to: To, secure: boolean, facts: (line: string) => void): Promise<void> {
  const mail = transport(to, secure);
  const text = someText();
  const told = await mail.sendMail({ from: "us@page.test", to: "them@localhost", subject: "ours", text });
  check(told.accepted.length === 1, `the server takes the letter: ${told.response}`);
  // As it is in the spool.
  facts(`stored: ${await hash(`${text.replaceAll("\r\n", "\n")}\n`)}`);
}

export const refuse = (to: To, secure: boolean): Promise<unknown> => transport(to, secure).verify();

export default {
  talk: (to, facts) => talk(to, true, facts),
  refuse: (to) => refuse(to, true),
} satisfies Client;
