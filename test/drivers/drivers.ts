/**
 * `npm run drivers`: clients that were written for Node.js, unmodified, over the packed package, against real servers,
 * in Node.js, in Deno and in a page.
 *
 *     tsx test/drivers/drivers.ts [--only CLIENT]… [--engine node|deno|page]… [--verbose]
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { installPackage } from "../pack.ts";
import { makeCerts } from "../peers/certs.ts";
import { setUp } from "../setup.ts";
import { clients, type Engine, engines, type Outcome, tryClients } from "./trials.ts";

const { values: options } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    engine: { type: "string", multiple: true },
    verbose: { type: "boolean", default: false },
  },
});
const wanted = (options.engine ?? engines) as readonly Engine[];
const chosen = options.only ?? Object.keys(clients);
for (const name of chosen) if (!Object.hasOwn(clients, name)) throw new Error(`no client ${name}`);
for (const name of wanted) if (!engines.includes(name)) throw new Error(`no engine ${name}`);
const folder = mkdtempSync(join(tmpdir(), "wassl-drivers-"));
// The daemons that run as another user have their homes there.
chmodSync(folder, 0o755);
process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
await installPackage(folder);
const tools = setUp();
const world = { tools, certs: makeCerts(tools.openssl, join(folder, "certs")), folder };

const outcomes: Outcome[] = [];
await tryClients(
  chosen.map((client) => [client, wanted]),
  { world, folder },
  (outcome) => {
    outcomes.push(outcome);
    const { client, engine, failure, lines } = outcome;
    console.log(`${failure === undefined ? "ok  " : "FAIL"} ${client} in ${engine}`);
    const more = failure ?? (options.verbose ? lines.join("\n") : "");
    if (more !== "") console.log(more.replace(/^/gm, "       "));
  },
);

console.log(`\n| client | server | ${wanted.join(" | ")} |\n| --- | --- |${" --- |".repeat(wanted.length)}`);
/** What has no outcome has not passed. */
const cell = (client: string, engine: Engine): string => {
  const outcome = outcomes.find((each) => each.client === client && each.engine === engine);
  if (!outcome) return "**missing**";
  return outcome.failure === undefined ? "passed" : "**failed**";
};
for (const client of chosen) {
  const cells = wanted.map((engine) => cell(client, engine));
  console.log(`| ${client} | ${clients[client]} | ${cells.join(" | ")} |`);
}
const failed = outcomes.filter(({ failure }) => failure !== undefined).length;
const missing = chosen.length * wanted.length - outcomes.length;
console.log(`\n${outcomes.length - failed} passed, ${failed} failed, ${missing} missing`);
process.exit(failed + missing === 0 ? 0 : 1);
