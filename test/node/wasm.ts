/** The module itself: what it imports, and what it does when its stack or its memory is at an end. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import QUnit from "qunit";
import { OpenSsl, TlsError } from "wassl";
import type { BioPair } from "wassl/openssl";
import { env } from "../helpers/env.ts";

const require = createRequire(import.meta.url);
const bytes = readFileSync(require.resolve("wassl/openssl.wasm"));
const module = new WebAssembly.Module(bytes);

interface Section {
  id: number;
  start: number;
  end: number;
}

/** LEB128 at `at`: the value, and where it ends. */
function leb(data: Uint8Array, at: number): [number, number] {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = data[at++]!;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

function encode(value: number): number[] {
  const out: number[] = [];
  for (let rest = value; ; ) {
    const byte = rest & 0x7f;
    rest = Math.floor(rest / 128);
    out.push(rest === 0 ? byte : byte | 0x80);
    if (rest === 0) return out;
  }
}

function sections(data: Uint8Array): Section[] {
  const found: Section[] = [];
  for (let at = 8; at < data.length; ) {
    const id = data[at]!;
    const [size, start] = leb(data, at + 1);
    found.push({ id, start, end: start + size });
    at = start + size;
  }
  return found;
}

const MEMORY = 5;
const GLOBAL = 6;

/** The module with another content in one of its sections. */
function replaced(id: number, content: number[]): Uint8Array<ArrayBuffer> {
  const section = sections(bytes).find((each) => each.id === id);
  if (!section) throw new Error(`no section ${id}`);
  const before = bytes.subarray(0, section.start - encode(section.end - section.start).length);
  return Uint8Array.from([...before, ...encode(content.length), ...content, ...bytes.subarray(section.end)]);
}

/** The content of the global section, with `value` for its first global: the stack pointer. */
function stackPointerAt(value: number): number[] {
  const { start, end } = sections(bytes).find((each) => each.id === GLOBAL)!;
  const [count, first] = leb(bytes, start);
  // i32, mutable, i32.const
  if (bytes[first] !== 0x7f || bytes[first + 1] !== 1 || bytes[first + 2] !== 0x41)
    throw new Error("no stack pointer");
  const [, rest] = leb(bytes, first + 3);
  return [...encode(count), 0x7f, 1, 0x41, ...signed(value), ...bytes.subarray(rest, end)];
}

function signed(value: number): number[] {
  const out = encode(value);
  return (out.at(-1)! & 0x40) === 0 ? out : [...out.slice(0, -1), out.at(-1)! | 0x80, 0];
}

QUnit.module("openssl.wasm", () => {
  QUnit.test("imports entropy and the clock, and nothing else", (assert) => {
    const imports = WebAssembly.Module.imports(module).map((each) => `${each.module}.${each.name}`);
    assert.deepEqual(imports.sort(), ["host.clock_get", "host.random_get"]);
  });

  QUnit.test(
    "what an instance says follows from the entropy that it gets, and from nothing in the module",
    (assert) => {
      // Memory begins as it was when the module was made. If a seeded generator were in it, its first numbers would be
      // the same in each instance, whatever entropy there is.
      const hello = (entropy: number) => {
        const real = crypto.getRandomValues;
        let asked = 0;
        crypto.getRandomValues = ((array: Uint8Array) => {
          asked += array.length;
          return array.fill(entropy);
        }) as typeof real;
        try {
          const openssl = OpenSsl.loadSync(module);
          const pair = openssl.newBioPair();
          const client = openssl.newContext("client").newSsl(pair);
          client.setConnectState();
          client.tryHandshake();
          const bytes = new Uint8Array(pair.pending());
          pair.read(bytes);
          // Record, handshake and version are 11 bytes; then ClientHello.random (RFC 8446 §4.1.2).
          return { asked, random: Buffer.from(bytes.subarray(11, 43)).toString("hex"), bytes };
        } finally {
          crypto.getRandomValues = real;
        }
      };
      const [one, two] = [hello(1), hello(2)];
      assert.true(one.asked >= 48, `${one.asked} bytes of entropy before the first message`);
      assert.notStrictEqual(one.random, two.random);
      const same = [...one.bytes].filter((byte, i) => byte === two.bytes[i]).length;
      assert.true(
        one.bytes.length - same > 1000,
        `key shares too: ${same} of ${one.bytes.length} bytes are the same`,
      );
    },
  );

  QUnit.test("the stack lies below all data, so that an overflow traps", async (assert) => {
    const { start } = sections(bytes).find((each) => each.id === GLOBAL)!;
    const [, first] = leb(bytes, start);
    const [stack] = leb(bytes, first + 3);
    assert.true(stack >= 64 * 1024, `a stack of ${stack} bytes`);
    const source = replaced(GLOBAL, stackPointerAt(256));
    let error: unknown;
    try {
      const openssl = await OpenSsl.load({ source });
      openssl.newContext("client");
    } catch (thrown) {
      error = thrown;
    }
    assert.true(error instanceof TlsError);
    assert.strictEqual((error as TlsError).code, "wasm-crashed", (error as TlsError).message);
  });

  QUnit.test("after a crash every call says so", async (assert) => {
    // Enough to start with, and not enough for a handshake.
    for (let stack = 2048; stack <= 64 * 1024; stack += 1024) {
      let openssl: OpenSsl;
      try {
        openssl = await OpenSsl.load({ source: replaced(GLOBAL, stackPointerAt(stack)) });
      } catch {
        continue;
      }
      const codes: string[] = [];
      for (const act of [
        () => {
          const connection = openssl.newContext("client").newSsl(openssl.newBioPair());
          connection.setConnectState();
          connection.tryHandshake();
        },
        () => openssl.newContext("server"),
        () => openssl.version,
      ]) {
        try {
          act();
          codes.push("ok");
        } catch (error) {
          codes.push((error as TlsError).code);
        }
      }
      assert.deepEqual(
        codes,
        ["wasm-crashed", "wasm-crashed", "wasm-crashed"],
        `with a stack of ${stack} bytes`,
      );
      return;
    }
    throw new Error("no size of the stack was enough to start with");
  });

  QUnit.test("memory that is exhausted is an error, not a crash", async (assert) => {
    // 2 MiB + 256 KiB at most.
    const [, at] = leb(bytes, sections(bytes).find((each) => each.id === MEMORY)!.start);
    const [initial] = leb(bytes, at + 1);
    const openssl = await OpenSsl.load({
      source: replaced(MEMORY, [1, 1, ...encode(initial), ...encode(initial + 4)]),
    });
    const context = openssl.newContext("server");
    context.useCertificateChain(env.certs.chains.ecdsa);
    context.usePrivateKey(env.certs.keys.ecdsa);
    // What the pump does with it is not in the published types.
    const pair = openssl.newBioPair(512) as BioPair & { resize(internal: number, network: number): boolean };
    const held: { free(): void }[] = [];
    const codes = new Set<string>();
    // All of it, in ever smaller pieces.
    for (let size = 65_536; size >= 16; size = size / 2) {
      for (;;) {
        try {
          held.push(openssl.newBioPair(size));
        } catch (error) {
          codes.add((error as TlsError).code);
          break;
        }
      }
    }
    assert.deepEqual([...codes], ["out-of-memory"]);
    assert.true(held.length > 5);
    assert.false(pair.resize(65_536, 65_536), "a pair that cannot grow stays as it is");
    assert.strictEqual(pair.write(new Uint8Array(100)), 100);
    pair.free();
    for (const act of [
      () => openssl.newContext("client"),
      () => context.addCaCert(env.certs.caPem),
      () => openssl.parseX509(env.certs.caPem),
    ]) {
      let error: unknown;
      try {
        act();
      } catch (thrown) {
        error = thrown;
      }
      assert.strictEqual((error as TlsError | undefined)?.code, "out-of-memory", String(act));
    }
    // With ever a little more room again each step of a handshake fails somewhere, and never crashes.
    let finished = false;
    while (!finished) {
      for (let i = 0; i < 4; i++) held.pop()?.free();
      finished = attempt(openssl, context);
      if (held.length === 0 && !finished) throw new Error("it does not work even with all memory free");
    }
    assert.true(finished, "and with enough memory it works again");
  });
});

/** A handshake of two ends in one instance. False when memory was too short for it. */
function attempt(openssl: OpenSsl, serverContext: ReturnType<OpenSsl["newContext"]>): boolean {
  const made: { free(): void }[] = [];
  const keep = <T extends { free(): void }>(object: T): T => {
    made.push(object);
    return object;
  };
  try {
    const context = keep(openssl.newContext("client"));
    context.addCaCert(env.certs.caPem);
    const pairs = [keep(openssl.newBioPair()), keep(openssl.newBioPair())] as const;
    const client = keep(context.newSsl(pairs[0]));
    const server = keep(serverContext.newSsl(pairs[1]));
    client.setConnectState();
    server.setAcceptState();
    for (let i = 0; i < 20; i++) {
      const results = [client.tryHandshake(), server.tryHandshake()];
      if (results.every((r) => r === 1)) return true;
      if (results.some((r) => r === -1 || r === -5)) return false;
      for (const [from, to] of [pairs, [pairs[1], pairs[0]]] as const) {
        const bytes = new Uint8Array(from.pending());
        from.read(bytes);
        to.write(bytes);
      }
    }
    throw new Error("the handshake does not get on");
  } catch (error) {
    if (error instanceof TlsError && error.code === "out-of-memory") return false;
    throw error;
  } finally {
    for (const object of made.reverse()) object.free();
    openssl.clearErrors();
  }
}
