import type { BioPairCore } from "../openssl/bio-pair-core.js";
import type { SslCore } from "../openssl/ssl-core.js";
import type { Statistics } from "./events.js";
import type { Inbox } from "./inbox.js";
import type { Outbox } from "./outbox.js";

export interface Counted {
  ssl: SslCore;
  pair: BioPairCore;
  inbox: Inbox;
  outbox: Outbox;
  /** OpenSSL's objects are freed. */
  released: boolean;
  /** Bytes of application data. */
  dataRead: number;
  dataWritten: number;
}

/** What went over a connection, and what is on its way. */
export function statisticsOf(counted: Counted): Statistics {
  const { ssl, pair, inbox, outbox, released, dataRead, dataWritten } = counted;
  const ask = (what: () => number) => (released ? 0 : what());
  return {
    sent: { bytes: outbox.accepted, records: outbox.records, data: dataWritten },
    received: { bytes: inbox.received, records: inbox.edges.records, data: dataRead },
    waiting: {
      toTransport: ask(() => outbox.written - outbox.accepted),
      fromTransport: ask(() => pair.wpending() + inbox.waiting),
      decrypted: ask(() => ssl.pending()),
    },
  };
}
