/**
 * Where an engine itself does not do what a test asks for: the test runs all the same, and what comes of it is told as
 * left out. One that passes after all is off this list again.
 */
export const limits: Record<string, Record<string, string>> = {
  webkit: {
    "blocking: where it can be › a page that is not isolated is told what to set":
      "WebKitGTK knows no isolation",
    "dropped › contexts that nobody freed": "nothing makes WebKit collect garbage at once",
    "streams: bulk › a BYOB reader's own buffer is filled": "WebKit has no byte streams",
    "streams: backpressure › a peer that does not read makes writes wait":
      "WebKitGTK's WebSocket buffers without a bound, and bufferedAmount does not tell",
    "transports: the runtime's own › a peer that does not read makes writes wait": "the same",
    "transports: websocket › a peer that does not read makes writes wait": "the same",
    "dropped › what nobody ended is freed, and an event says so":
      "nothing makes WebKit collect garbage at once",
  },
  firefox: {
    "dropped › contexts that nobody freed": "nothing makes Firefox collect garbage at once",
    "dropped › what nobody ended is freed, and an event says so":
      "nothing makes Firefox collect garbage at once",
    "arrivals › websocket: close code 1006; somebody reads slowly":
      "Firefox drops what arrived ahead of a broken connection",
    "arrivals › websocket: close code 1006; somebody comes and goes": "the same",
  },
};
