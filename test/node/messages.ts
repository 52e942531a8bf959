/** Each place in src that makes an error has its row in test/messages, and what only Node.js can show is told here. */
import { join } from "node:path";
import QUnit from "qunit";
import { ours, repository } from "../examples.ts";
import { blocking } from "../messages/blocking.ts";
import { commands } from "../messages/commands.ts";
import { connecting } from "../messages/connect.ts";
import { connections } from "../messages/connections.ts";
import { dtls } from "../messages/dtls.ts";
import { handshakes } from "../messages/handshakes.ts";
import { loading } from "../messages/loading.ts";
import { objects } from "../messages/objects.ts";
import { options } from "../messages/options.ts";
import { sessions } from "../messages/sessions.ts";
import { sitesOf } from "../messages/sites.ts";
import { sockets } from "../messages/sockets.ts";
import { starttls } from "../messages/starttls.ts";
import { fits, tell } from "../messages/told.ts";
import { transports } from "../messages/transports.ts";

const here = [sockets, commands];
tell(here);

/** What no row can show, and where it is shown. */
const elsewhere: [text: string, why: string][] = [
  ["no room for … bytes in linear memory", "npm run faults, as all that follow from exhausted memory"],
  ["linear memory is exhausted", "the same"],
  ["…: linear memory is exhausted", "the same"],
  ["no room for a ClientHello", "the same"],
  ["no room for an IP address", "the same"],
  ["openssl.wasm cannot be read: …", "test/node/packaging.ts: a server that was bundled"],
  [
    'a script that is no module does not know where openssl.wasm is: import "wassl/inline", which brings it along, or call OpenSsl.configure({ source: URL })',
    "test/matrix: a page with such a script",
  ],
  ["this object was given away: another one frees it", "test/types/pointers.ts: it does not compile"],
  [
    "TlsContext.… needs an OpenSSL that is there: await OpenSsl.preload() before, or give openssl",
    "another test of the same program may have loaded it before",
  ],
  ["the WebSocket was closed, because no connection used it", "nobody waits for one then"],
  ["the client cannot be asked for its certificate", "what would make OpenSSL refuse is asked before"],
  ["a write is under way", "a fault of this package alone could say so"],
  ["there is nothing to sign, or no key for it", "the same"],
  ["--via needs a WebSocket: Node.js 20.10 or later, or Deno", "src/cli/bin.ts sees to it that there is one"],
  ["aborted, as --close says", "nobody is told: it is what was asked for"],
  ["the Ssl of this BioPair was freed", "nothing of it can be asked for then"],
  ["cut short", "src/openssl/algorithms.ts catches it"],
  [
    "the TLS connection was dropped without an end: who holds it must end it, or read it to its end",
    "test/contract/connection/dropped.ts, where garbage can be collected",
  ],
  [
    "The other end of the MessagePort is gone, its page or worker with it",
    "test/contract/transports/transports.ts, in engines with locks",
  ],
  ["Digest method not supported", "test/contract/node/crypto.ts: it has no code, in Node.js neither"],
  [
    "the transport was released",
    "as a stream whose lock was given back; the pump asks nothing any more then",
  ],
  ["the reader was released", "as a stream whose lock was given back; the pump asks nothing any more then"],
  ["the writer is closing or closed", "as a WritableStream that is closed twice; the pump closes once"],
  [
    "the connection to Redis was closed",
    "RedisSessionStore.close() waits for what is under way, so nobody is told",
  ],
];

QUnit.module("messages", () => {
  QUnit.test("each place in src that makes an error has a row that shows its text", (assert) => {
    const tables = [
      options,
      handshakes,
      connections,
      starttls,
      dtls,
      transports,
      blocking,
      sessions,
      objects,
      loading,
      connecting,
    ];
    const rows = [...tables, ...here].flatMap((table) => Object.values(table).flat());
    const sites = sitesOf(ours("typescript"), join(repository, "src"));
    assert.true(sites.length > 150, `${sites.length} places`);
    const unused = new Set(elsewhere.map(([text]) => text));
    for (const { at, code, text } of sites) {
      // It judges transports of others, and speaks to those who write them: test/contract/transports.
      if (at.startsWith("transports/test.ts")) continue;
      // What consists of another's words alone says nothing that could be read here.
      if (!/[A-Za-z]{2}/.test(text)) continue;
      if (elsewhere.some(([known]) => known === text)) {
        unused.delete(text);
        continue;
      }
      const shown = rows.some(
        ([, , rowCode, shown]) => (code === undefined || code === rowCode) && fits(text).test(shown),
      );
      assert.true(shown, `src/${at} says "${text}" (${code}): it has no row in test/messages`);
    }
    assert.deepEqual([...unused], [], "what nobody says any more");
  });
});
