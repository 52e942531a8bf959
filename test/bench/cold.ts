/** Begins one handshake, and says how much CPU time has gone when the ClientHello is written: `cold.js LIBRARY`. */
import { writeSync } from "node:fs";
import { Duplex } from "node:stream";
import { libraries } from "./library.ts";

const name = process.argv[2] ?? "";

function done(): void {
  const { user, system } = process.cpuUsage();
  writeSync(1, String((user + system) / 1000));
  process.exit();
}

const duplex = new Duplex({ read() {}, write: done });
const { library } = await libraries[name]!.load!();
if (!library.client) throw new Error("it has no client");
const group = libraries[name]?.group ?? "X25519";
const settings = { key: "ecdsa" as const, group, suite: "TLS_AES_128_GCM_SHA256" };
const open = await library.client(settings, process.env.BENCH_CA ?? "", false);
await open(duplex);
// Only the bare transport has no handshake: what the process costs by itself.
done();
