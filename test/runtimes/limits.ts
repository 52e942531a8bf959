/** How much it buffers before it makes a sender wait is up to how fast its network process takes it. */
const UNBOUNDED = {
  atTimes: "WebKitGTK's WebSocket buffers without a bound, and bufferedAmount does not tell",
};

const NO_BYTE_STREAMS = "WebKit has no byte streams";
const DENO = "WebKit has no byte streams, of which the transport for Deno makes its own";
const GARBAGE = { atTimes: "nothing makes this engine collect garbage at once" };
const BROKEN = { atTimes: "Firefox drops what arrived ahead of a broken connection" };

/**
 * Where an engine itself does not do what a test asks for: the test runs all the same, and what comes of it is told as
 * left out. A test that passes is off this list again, unless the engine does it now and then.
 */
export const limits: Record<string, Record<string, string | { readonly atTimes: string }>> = {
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
