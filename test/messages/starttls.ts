/** What is told before TLS begins. */
import { acceptStartTls, requestStartTls } from "wassl/starttls";
import { pair } from "../fakes/pair.ts";
import { failingReader } from "../fakes/wrappers.ts";
import { utf8, write } from "../helpers/basics.ts";
import { afterTest } from "../helpers/env.ts";
import type { Table } from "./told.ts";

/** What our end is told when the other one says this, and ends or not. */
const hears =
  (role: "client" | "server", options: object, says: string, ends = true) =>
  async () => {
    const [ours, theirs] = pair();
    theirs.readable.pipeTo(new WritableStream()).catch(() => {});
    afterTest(() => theirs.writable.abort().catch(() => {}));
    if (says) write(theirs.writable, utf8(says)).catch(() => {});
    if (ends) setTimeout(() => void theirs.writable.close().catch(() => {}), 20);
    const given = { protocol: "smtp", ...options };
    if (role === "client") await requestStartTls(ours, { hostname: "localhost", ...given } as never);
    else await acceptStartTls(ours, given as never);
  };

export const starttls: Table = {
  "STARTTLS: options": [
    [
      "an unknown protocol",
      hears("client", { protocol: "https" }, ""),
      "invalid-argument",
      'protocol must be "smtp" or "imap" or "pop3" or "ftp" or "postgres" or "mysql" or "xmpp" or "ldap", not "https"',
    ],
    ["no protocol", hears("client", { protocol: undefined }, ""), "invalid-argument", "protocol is missing"],
    [
      "a name that was mistyped",
      hears("client", { protocl: "imap" }, ""),
      "invalid-argument",
      "protocl is no option of requestStartTls: did you mean protocol?",
    ],
    [
      "a client's option of a server",
      hears("server", { hostname: "localhost" }, ""),
      "invalid-argument",
      "hostname is no option of acceptStartTls, but of requestStartTls",
    ],
    [
      "a time that is none",
      hears("client", { timeout: 0 }, ""),
      "invalid-argument",
      "timeout must be a number of milliseconds, more than 0, not 0",
    ],
    [
      "a signal that is none",
      hears("client", { signal: {} }, ""),
      "invalid-argument",
      "signal must be an AbortSignal, not such an object",
    ],
    [
      "a name with a blank",
      hears("client", { name: "two words" }, ""),
      "invalid-argument",
      'name must be a name of 1 to 255 characters, without white space and < > & \' ", not "two words"',
    ],
    [
      "XMPP without a host name",
      hears("client", { protocol: "xmpp", hostname: undefined }, ""),
      "invalid-argument",
      'hostname is missing: a client of "xmpp" says it before TLS',
    ],
  ],
  "STARTTLS: what a client hears": [
    [
      "an answer before its question",
      hears("client", {}, "220 mail\r\n250 mail\r\n"),
      "protocol",
      "injection: 10 bytes from the server arrived in the clear before EHLO was sent; an attacker in between may have put them there",
    ],
    [
      "a packet that is none",
      hears("client", { protocol: "mysql" }, "HTTP/1.1 400 Bad Request\r\n"),
      "protocol",
      "the server does not speak mysql: its first packet is not number 0",
    ],
    [
      "another protocol",
      hears("client", {}, "HTTP/1.1 400 Bad Request\r\n"),
      "protocol",
      "the server does not do STARTTLS: it answered HTTP/1.1 400 Bad Request",
    ],
    [
      "more than its consent",
      hears("client", { protocol: "postgres" }, "SSELECT"),
      "protocol",
      "injection: 6 bytes from the server arrived in the clear together with its consent to TLS; an attacker in between may have put them there",
    ],
    [
      "nothing",
      hears("client", { timeout: 20 }, "", false),
      "timeout",
      "the server did not come to TLS in smtp within 20 ms",
    ],
    [
      "the end",
      hears("client", {}, ""),
      "transport",
      "the server ended the connection before TLS began, in the smtp dialog",
    ],
    [
      "a failure",
      async () => {
        const [ours, theirs] = pair();
        write(theirs.writable, utf8("220 mail\r\n")).catch(() => {});
        await requestStartTls(failingReader(ours, 0), { protocol: "smtp", hostname: "localhost" });
      },
      "transport",
      "the transport to the server failed before TLS began, in the smtp dialog: the cable is cut",
    ],
  ],
  "STARTTLS: what a server hears": [
    [
      "no request",
      hears("server", {}, "EHLO me\r\nQUIT\r\n"),
      "protocol",
      "the client does not ask for TLS: it said good-bye",
    ],
    [
      "another protocol",
      hears("server", { protocol: "postgres" }, "GET / HTTP/1.1\r\n\r\n"),
      "protocol",
      "the client does not ask for TLS: its first packet is another one",
    ],
    [
      "nothing",
      hears("server", { timeout: 20 }, "", false),
      "timeout",
      "the client did not come to TLS in smtp within 20 ms",
    ],
  ],
};
