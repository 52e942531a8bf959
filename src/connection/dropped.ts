import { type CloseInfo, TlsError } from "../errors.js";
import type { BioPairCore } from "../openssl/bio-pair-core.js";
import type { SslCore } from "../openssl/ssl-core.js";
import type { TlsEvent } from "./events.js";
import type { Pump } from "./pump.js";
import { crashProof } from "./verdict.js";
import type { TransportWire } from "./wire.js";

/**
 * What is left of a connection that cannot be reached any more. Nothing here may hold the connection, or it is never
 * collected.
 */
export interface Remains {
  ssl: SslCore;
  pair: BioPairCore;
  wire: TransportWire;
  pump: Pump;
  stopListening: () => void;
  /** What waits for the end of the connection, and does not hold the connection for that. */
  waiting: Waiting;
  onEvent: ((event: TlsEvent) => void) | undefined;
}

/** `reject` is there once somebody has asked for `closed`. */
export interface Waiting {
  reject?: (reason: TlsError) => void;
}

interface Held extends Omit<Remains, "pump" | "onEvent"> {
  rest: WeakRef<Pump>;
  told: WeakRef<object> | undefined;
}

/**
 * Cloudflare Workers from before May 2025 have no such registry: a connection that is not ended is never freed there.
 */
const registry =
  typeof FinalizationRegistry === "undefined" ? undefined : new FinalizationRegistry<Held>(freeRemains);

function freeRemains({ ssl, pair, wire, stopListening, waiting, rest, told }: Held): void {
  stopListening();
  if (ssl.freed) return;
  const reason = new TlsError(
    "closed",
    "the TLS connection was dropped without an end: who holds it must end it, or read it to its end",
  );
  reason.outcome = outcome(ssl);
  waiting.reject?.(reason);
  const onEvent = told?.deref() as Remains["onEvent"];
  onEvent?.({ time: performance.now(), type: "dropped" });
  rest.deref()?.release(reason);
  try {
    ssl.free();
    pair.free();
  } catch {
    // The instance has crashed, and its memory with it.
  }
  wire.abort(reason);
}

function outcome(ssl: SslCore): CloseInfo {
  const { sent, received } = crashProof(() => ssl.shutdownFlags, { sent: false, received: false });
  return {
    sentCloseNotify: sent,
    receivedCloseNotify: received,
    how: "aborted",
    resumable: false,
    discarded: 0,
  };
}

/**
 * Linear memory is not collected as JavaScript's is. So when a connection is collected without having ended, what it
 * held is freed, its transport is given up, and the event "dropped" says so.
 */
export function freeWhenDropped(connection: object, { pump, onEvent, ...held }: Remains): void {
  if (!registry) return;
  // The application's listener may well reach the connection. So it is held weakly, and so is the pump, which has it
  // too.
  const told = onEvent && new WeakRef(onEvent);
  registry.register(connection, { ...held, rest: new WeakRef(pump), told }, pump);
}

/** The connection of that pump has an end: what it held is no longer kept for the day when it is collected. */
export function hasEnded(pump: Pump): void {
  registry?.unregister(pump);
}
