/** Debian's Chromium for the suites of Node.js: one for all, which knows the run's own certificate for localhost. */
import { createHash, X509Certificate } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import QUnit from "qunit";
import { env } from "../helpers/env.ts";

const ours = createRequire(join(process.env.WASSL_REPOSITORY ?? "", "package.json"));
let launched: Promise<Browser> | undefined;

export function browser(): Promise<Browser> {
  const { chromium } = ours("playwright-core") as typeof import("playwright-core");
  launched ??= chromium.launch({
    executablePath: process.env.WASSL_CHROMIUM ?? "chromium",
    args: [
      ...["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"],
      // It has no other way to be told of a CA but its user's database.
      `--ignore-certificate-errors-spki-list=${keyHash(env.certs.chains.ecdsa)}`,
    ],
  });
  return launched;
}

function keyHash(pem: string): string {
  const spki = new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("base64");
}

QUnit.done(async () => {
  await (await launched)?.close();
});
