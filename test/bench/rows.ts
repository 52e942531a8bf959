/** What is measured. */
import type { Settings } from "./library.ts";

export type Work = "cold" | "handshake" | "resumption" | "download" | "upload" | "echo";

export interface Row {
  readonly id: string;
  readonly title: string;
  /** All of CPU time; "rate" is per second of it, and more is better. */
  readonly unit: "ms" | "s/GiB" | "rate";
  readonly work: Work;
  /** Which end is measured. */
  readonly side: "client" | "server";
  readonly settings: Settings;
  /** Of a write, in bytes. */
  readonly chunk: number;
  /** How much is done at first, to see how long it takes: connections, bytes or round trips. */
  readonly least: number;
}

const KIB = 1024;
const SUITES = {
  chacha20: "TLS_CHACHA20_POLY1305_SHA256",
  aes128: "TLS_AES_128_GCM_SHA256",
  aes256: "TLS_AES_256_GCM_SHA384",
};
const usual: Settings = { key: "ecdsa", group: "X25519", suite: SUITES.aes128 };

const HANDSHAKES: Record<string, { title: string; work: "handshake" | "resumption"; settings: Settings }> = {
  ecdsa: { title: "ECDSA P-256, X25519", work: "handshake", settings: usual },
  rsa: { title: "RSA-2048, X25519", work: "handshake", settings: { ...usual, key: "rsa" } },
  mlkem: {
    title: "ECDSA P-256, X25519MLKEM768",
    work: "handshake",
    settings: { ...usual, group: "X25519MLKEM768" },
  },
  resumed: { title: "resumed, X25519", work: "resumption", settings: usual },
};

const cold = (id: string, title: string): Row => ({
  id,
  title: `a fresh process, to its first ClientHello${title}`,
  unit: "ms",
  work: "cold",
  side: "client",
  settings: usual,
  chunk: 0,
  least: 0,
});

export const rows: Row[] = [
  cold("cold", ""),
  cold("cold-bundled", ", bundled"),
  ...(["client", "server"] as const).flatMap((side) =>
    Object.entries(HANDSHAKES).map(
      ([id, what]): Row => ({
        ...what,
        id: `${side}-${id}`,
        title: `${side}, handshake: ${what.title}`,
        unit: "ms",
        side,
        chunk: 1,
        least: 1,
      }),
    ),
  ),
  ...(["download", "upload"] as const).flatMap((work) =>
    Object.entries(SUITES).flatMap(([id, suite]) =>
      [16, 1].map(
        (kib): Row => ({
          id: `${work}-${id}-${kib}k`,
          title: `${work}: ${suite.replace(/^TLS_|_SHA\d+$/g, "")}, writes of ${kib} KiB`,
          unit: "s/GiB",
          work,
          side: "client",
          settings: { ...usual, suite },
          chunk: kib * KIB,
          least: 64 * KIB,
        }),
      ),
    ),
  ),
  {
    id: "echo",
    title: "echo of 64 bytes: CHACHA20_POLY1305",
    unit: "rate",
    work: "echo",
    side: "client",
    settings: { ...usual, suite: SUITES.chacha20 },
    chunk: 64,
    least: 5,
  },
];
