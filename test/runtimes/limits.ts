/** How much it buffers before it makes a sender wait is up to how fast its network process takes it. */
const UNBOUNDED = {
  atTimes: "WebKitGTK's WebSocket buffers without a bound, and bufferedAmount does not tell",
};

const NO_BYTE_STREAMS = "WebKit has no byte streams";
const DENO = "WebKit has no byte streams, of which the transport for Deno makes its own";
const GARBAGE = { atTimes: "nothing makes this engine collect garbage at once" };
const BROKEN = { atTimes: "Firefox drops what arrived ahead of a broken connection" };

const NO_THREADS = "workerd has no threads";
const RESET = "workerd drops what arrived ahead of a reset";
const resets = [5000, 65536].flatMap((bytes) =>
  ["reads at once", "reads slowly", "reads late", "comes and goes"].map((how) => [
    `arrivals › the runtime's own: reset after ${bytes} bytes; somebody ${how}`,
    RESET,
  ]),
);
const WRITE_ENDS = { atTimes: "a failed write of workerd's socket ends its reading side" };
const NO_ADDRESS = "workerd tells no address of a socket";
const UNTOLD = "workerd's WebSocket buffers without a bound, and does not tell how much";

/**
 * What a whole runtime has not, and so the tests that are not tried there: by a part of their names, in any case, and
 * why.
 */
export const absent: Record<string, Record<string, string>> = {
  workerd: {
    blocking: NO_THREADS,
    "message[- ]?port": "workerd's message ports transfer nothing",
    "kit, TLS": "it is over message ports, which transfer nothing in workerd",
    "kit notices": "it is over message ports, which transfer nothing in workerd",
    loading: "workerd compiles no module while it runs",
    "secrets in linear memory": "workerd compiles no module while it runs",
    "other realms": "workerd has one realm",
    "wrong options": NO_THREADS,
  },
};

/**
 * Where an engine itself does not do what a test asks for: the test runs all the same, and what comes of it is told as
 * left out. A test that passes is off this list again, unless the engine does it now and then.
 */
export const limits: Record<string, Record<string, string | { readonly atTimes: string }>> = {
  workerd: {
    ...Object.fromEntries(resets),
    "arrivals: why the peer went away › gnutls refuses us; a client that writes is told the alert, 40 of 40":
      WRITE_ENDS,
    "arrivals: why the peer went away › gnutls refuses us; a client that writes and reads is told the alert, 40 of 40":
      WRITE_ENDS,
    "arrivals: why the peer went away › gnutls refuses us; a client that reads late is told the alert, 40 of 40":
      WRITE_ENDS,
    "dialers: the runtime's own socket › both ends have an address": NO_ADDRESS,
    "sockets: connect() › off: bytes go round; both ends of an address": NO_ADDRESS,
    "transports: the kit, WebSocket › backpressure: a peer that does not read makes writes wait, and loses nothing":
      UNTOLD,
    "transports: the kit, WebSocket › abort: a write that waits for the peer is rejected": UNTOLD,
    "dropped › contexts that were not freed": GARBAGE,
    "dropped › a connection that was not ended is freed, and an event says so": GARBAGE,
    "dropped › code that waits for the end of a dropped connection is told": GARBAGE,
    "pump: invariants › a reader that gives up in between loses nothing":
      "workerd keeps the buffer of a BYOB reader that gave up",
    "verdict › each end is told as in the table, by the loop that blocks": NO_THREADS,
    "writes: together › pipeTo() fills records": "workerd's pipeTo() waits for each write",
  },
  bun: {
    "transports: message-port › a port that was transferred away swallows nothing: writes fail":
      "Bun does not tell that a port was transferred",
  },
  webkit: {
    "blocking: where it can be › a page that is not isolated is told what to set":
      "WebKitGTK knows no isolation",
    "dropped › contexts that were not freed": GARBAGE,
    "messages: transports: Deno › a connection that fails": DENO,
    "messages: transports: Deno › a write of no bytes": DENO,
    "messages: transports: Deno › abort()": DENO,
    "messages: transports: Deno › cancel()": DENO,
    "other realms › transports that bring such bytes, and such that are given them": DENO,
    "pump: invariants › a BYOB reader gets its own buffer back, filled across records": NO_BYTE_STREAMS,
    "pump: invariants › a reader that gives up in between loses nothing": NO_BYTE_STREAMS,
    "streams: bulk › a BYOB reader's own buffer is filled": NO_BYTE_STREAMS,
    "streams: backpressure › a peer that does not read makes writes wait": UNBOUNDED,
    "transports: the runtime's own › a peer that does not read makes writes wait": UNBOUNDED,
    "transports: websocket › a peer that does not read makes writes wait": UNBOUNDED,
    "dropped › a connection that was not ended is freed, and an event says so": GARBAGE,
    "blocking: against ourselves › a connection that is dropped without an end is freed, and the transport given up":
      GARBAGE,
  },
  firefox: {
    "dropped › contexts that were not freed": GARBAGE,
    "dropped › a connection that was not ended is freed, and an event says so": GARBAGE,
    "blocking: against ourselves › a connection that is dropped without an end is freed, and the transport given up":
      GARBAGE,
    "arrivals › websocket: close code 1006; somebody reads slowly": BROKEN,
    "arrivals › websocket: close code 1006; somebody comes and goes": BROKEN,
  },
};
