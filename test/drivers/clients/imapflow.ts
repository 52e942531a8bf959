import { ImapFlow } from "imapflow";
import { type Client, check, event, same, someText, type To } from "../kit.ts";

export const client = ({ host, port, ca }: To, secure: boolean) =>
  new ImapFlow({
    host,
    port,
    secure,
    doSTARTTLS: !secure || undefined,
    auth: { user: "user", pass: "pass" },
    logger: false,
    tls: { ca },
  });

export async function talk(to: To, secure: boolean, facts: (line: string) => void): Promise<void> {
  const mail = client(to, secure);
  await mail.connect();
  check(mail.secureConnection, "imapflow says that the connection is secure");
  const lock = await mail.getMailboxLock("INBOX");
  const letter = `Subject: ours\r\n\r\n${someText()}\r\n`;
  const { uid } = await mail.append("INBOX", letter);
  const { source: back } = await mail.fetchOne(String(uid), { source: true }, { uid: true });
  await same(letter, back);
  facts(`${back.length} bytes of a letter came back`);
  lock.release();
  const closed = event(mail, "close");
  await mail.logout();
  await closed;
}

export async function refuse(to: To, secure: boolean): Promise<void> {
  const mail = client(to, secure);
  mail.on("error", () => {});
  await mail.connect();
}

export default {
  talk: (to, facts) => talk(to, true, facts),
  refuse: (to) => refuse(to, true),
} satisfies Client;
