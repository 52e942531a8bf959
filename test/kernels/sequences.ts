/**
 * Random sequences of calls of OpenSSL's functions, sensible and not, on a module with the kernels and on one with
 * OpenSSL's own C: each call must answer the same, leave the same bytes in memory, and raise the same error.
 */
import { diceOf } from "./cases.ts";
import { type Context, ctrl, type Kernels } from "./module.ts";

type Dice = ReturnType<typeof diceOf>;

/** Bytes of each arena that are compared. */
const SPACE = 2048;
const CONTEXTS = 3;

export interface Twins {
  kernels: Kernels;
  plain: Kernels;
}

/** What the generator knows of a context, to keep away from what OpenSSL does not define. */
interface Known {
  name: string;
  encrypt: boolean;
  ivLength: number;
  /** A message was found not to be genuine: OpenSSL would take more of it, and what comes of it is chance. */
  over?: boolean;
}

export function trySequence({ kernels, plain }: Twins, n: number, seed: number): void {
  const dice = diceOf(seed);
  const modules = [kernels, plain];
  const contexts = modules.map((module) => Array.from({ length: CONTEXTS }, () => module.newContext()));
  const known: Known[] = Array.from({ length: CONTEXTS }, () => ({
    ...{ name: "", encrypt: true, ivLength: 12 },
  }));
  const trace: string[] = [];
  const both = (what: string, act: (module: Kernels, own: Context[]) => unknown): unknown => {
    const seen = modules.map((module, i) => {
      const result = act(module, contexts[i]!);
      const shown = result instanceof Uint8Array ? Buffer.from(result).toString("hex") : String(result);
      return { result, text: `${shown}, error ${module.takeError().toString(16)}` };
    });
    const [ours, theirs] = seen as [(typeof seen)[0], (typeof seen)[0]];
    trace.push(`${what}: ${ours.text}`);
    if (ours.text !== theirs.text) throw new Error(`not ${theirs.text} after\n${trace.join("\n")}`);
    const [a, b] = modules.map((module) => module.view(module.arena, SPACE));
    if (Buffer.compare(a!, b!) !== 0) throw new Error(`other bytes in memory after\n${trace.join("\n")}`);
    return ours.result;
  };
  try {
    const fill = dice.bytes(SPACE);
    for (const module of modules) module.view(module.arena, SPACE).set(fill);
    for (let step = 0; step < 40; step++) stepOf(dice, n, known, both);
  } finally {
    for (const context of contexts.flat()) context.free();
  }
}

const names = ["aes-128-gcm", "aes-192-gcm", "aes-256-gcm", "chacha20-poly1305"];
const keyLength = (name: string) => (name === "chacha20-poly1305" ? 32 : Number(name.split("-")[1]) / 8);

function stepOf(
  dice: Dice,
  n: number,
  known: Known[],
  both: (what: string, act: (module: Kernels, own: Context[]) => unknown) => unknown,
): void {
  const i = dice.below(CONTEXTS);
  const k = known[i]!;
  const gcm = k.name.endsWith("gcm");
  const place = () => dice.below(SPACE - 1024);
  const length = () => dice.pick([0, 1, 15, 16, 17, 112, 128, 368, 369, dice.below(64), dice.below(1000)]);
  const at = place();
  const size = length();

  const start = () => {
    const name = dice.below(8) > 0 ? names[n % names.length]! : dice.pick(names);
    const encrypt = dice.below(2) === 0;
    const key = dice.bytes(keyLength(name));
    const iv = dice.bytes(12);
    // The same cipher again keeps the length of the IV.
    both(`${i} init ${name} ${encrypt}`, (_, own) => own[i]!.init(name, encrypt));
    both(`${i} iv length 12`, (_, own) => own[i]!.ctrl(ctrl.setIvLength, 12));
    both(`${i} key and iv`, (_, own) => own[i]!.init(undefined, encrypt, key, iv));
    known[i] = { name, encrypt, ivLength: 12 };
  };
  if (k.name === "") {
    start();
    return;
  }
  if (k.over) {
    nextIv();
    return;
  }
  // OpenSSL's calls for TLS write before the IV, or over all that follows it, when it is shorter than TLS has it.
  const tls = n % 3 > 0;

  const steps: [number, () => void][] = [
    [2, start],
    // Another IV, as for each record of TLS 1.3. A key alone is not set: OpenSSL would go on with a message without an
    // IV.
    [5, () => nextIv()],
    [
      2,
      () => {
        const key = dice.bytes(keyLength(k.name));
        const iv = dice.bytes(k.ivLength);
        both(`${i} key`, (_, own) => own[i]!.init(undefined, k.encrypt, key, iv));
      },
    ],
    [8, () => void both(`${i} aad ${size}`, (m, own) => own[i]!.update(0, m.arena + at, size))],
    [
      12,
      () =>
        void both(`${i} update ${size} in place`, (m, own) =>
          own[i]!.update(m.arena + at, m.arena + at, size),
        ),
    ],
    [
      8,
      () => {
        const from = dice.below(512);
        const count = Math.min(size, 500);
        both(`${i} update ${count}`, (m, own) =>
          own[i]!.update(m.arena + from + 1024, m.arena + from, count),
        );
      },
    ],
    [
      4,
      () => {
        const result = both(`${i} final`, (m, own) => own[i]!.final(m.arena + at));
        k.over = result === -1 && !k.encrypt;
      },
    ],
    [3, () => getTag(16)],
    [1, () => getTag(dice.below(20))],
    [
      3,
      () => {
        const tag = dice.bytes(dice.pick([16, 16, 12, 4, 1, 0, 17]));
        both(`${i} set tag ${tag.length}`, (_, own) => own[i]!.ctrl(ctrl.setTag, tag.length, tag));
      },
    ],
    [1, () => void both(`${i} tag length`, (_, own) => own[i]!.tagLength)],
    [1, () => void both(`${i} iv length`, (_, own) => own[i]!.ivLength)],
    [
      2,
      () => {
        const wanted = dice.pick([12, 12, tls ? 12 : 1, tls ? 12 : 7, 16, 60, 128, 0, 129]);
        const ok = both(`${i} set iv length ${wanted}`, (_, own) => own[i]!.ctrl(ctrl.setIvLength, wanted));
        if (ok === 1) k.ivLength = wanted;
      },
    ],
    [
      3,
      () => {
        const j = dice.below(CONTEXTS);
        // The one that is copied must have a cipher.
        if (known[j]!.name === "" || i === j) return;
        both(`${i} := ${j}`, (_, own) => own[i]!.copyFrom(own[j]!));
        known[i] = { ...known[j]! };
      },
    ],
  ];
  const ofTls: typeof steps = [
    [3, () => record()],
    [3, () => exchange()],
    [
      2,
      () => {
        const aad = dice.bytes(dice.below(6) > 0 ? 13 : dice.below(16));
        both(`${i} tls aad ${aad.length}`, (_, own) => own[i]!.ctrl(ctrl.tls1Aad, aad.length, aad));
      },
    ],
    [
      2,
      () => {
        // With a part only, an encrypting context of GCM takes the rest at random.
        const whole = gcm && k.encrypt;
        const iv = dice.bytes(Math.max(12, k.ivLength));
        const count = whole ? -1 : dice.below(4) > 0 ? (gcm ? 4 : 12) : dice.below(13);
        both(`${i} fixed iv ${count}`, (_, own) => own[i]!.ctrl(ctrl.setIvFixed, count, iv));
      },
    ],
  ];
  if (gcm) {
    const explicit = dice.bytes(8);
    ofTls.push(
      [2, () => void both(`${i} iv gen`, (_, own) => own[i]!.ctrl(ctrl.ivGen, 8, new Uint8Array(8)))],
      [2, () => void both(`${i} iv inv`, (_, own) => own[i]!.ctrl(ctrl.setIvInv, 8, explicit))],
    );
  }
  if (tls) steps.push(...ofTls);
  const total = steps.reduce((sum, [weight]) => sum + weight, 0);
  let left = dice.below(total);
  for (const [weight, act] of steps) {
    left -= weight;
    if (left < 0) {
      act();
      return;
    }
  }

  function nextIv(): void {
    const iv = dice.bytes(k.ivLength);
    const encrypt = dice.below(6) > 0 ? k.encrypt : !k.encrypt;
    both(`${i} iv ${encrypt}`, (_, own) => own[i]!.init(undefined, encrypt, undefined, iv));
    Object.assign(k, { encrypt, over: false });
  }

  function getTag(length: number): void {
    both(`${i} get tag ${length}`, (_, own) => own[i]!.tag(length));
  }

  /** A record of TLS 1.2, mostly as it should be: its header, its length, its place. */
  function record(): void {
    const overhead = (gcm ? 8 : 0) + (k.encrypt || !gcm ? 0 : 16) + (gcm || k.encrypt ? 0 : 16);
    const inside = dice.below(700);
    const aad = dice.bytes(13);
    aad[11] = (inside + overhead) >> 8;
    aad[12] = (inside + overhead) & 0xff;
    const whole = inside + (gcm ? 24 : 16) + (dice.below(8) > 0 ? 0 : dice.below(40) - 20);
    both(`${i} tls aad for ${inside}`, (_, own) => own[i]!.ctrl(ctrl.tls1Aad, 13, aad));
    both(`${i} record ${whole}`, (m, own) => own[i]!.record(m.arena + at, Math.max(0, whole)));
  }

  /** A record that is sealed and then opened; not always unharmed. */
  function exchange(): void {
    const { name } = k;
    const key = dice.bytes(keyLength(name));
    const iv = dice.bytes(12);
    const inside = dice.below(700);
    const aad = dice.bytes(13);
    const flip = dice.below(3) === 0 ? dice.below(inside + 16) + (gcm ? 8 : 0) : undefined;
    let whole = inside;
    for (const encrypt of [true, false]) {
      const length = inside + (gcm ? 8 : 0) + (encrypt ? 0 : 16);
      aad[11] = length >> 8;
      aad[12] = length & 0xff;
      both(`${i} init ${name} ${encrypt}`, (_, own) => own[i]!.init(name, encrypt, key));
      both(`${i} iv length 12`, (_, own) => own[i]!.ctrl(ctrl.setIvLength, 12));
      const count = !gcm ? 12 : encrypt ? -1 : 4;
      both(`${i} fixed iv ${count}`, (_, own) => own[i]!.ctrl(ctrl.setIvFixed, count, iv));
      both(`${i} tls aad`, (_, own) => own[i]!.ctrl(ctrl.tls1Aad, 13, aad));
      whole = inside + (gcm ? 24 : 16);
      const result = both(`${i} record ${inside}`, (m, own) => own[i]!.record(m.arena + at, whole));
      // OpenSSL's GCM answers with what it was given, whatever came out.
      const expected = encrypt || (gcm && flip === undefined) ? whole : flip === undefined ? inside : -1;
      if (result !== expected) throw new Error(`a record of ${name} with ${inside} bytes: ${result}`);
      both("a bit is flipped", (m) => {
        if (encrypt && flip !== undefined) m.view(m.arena + at + flip, 1)[0]! ^= 4;
      });
    }
    Object.assign(k, { encrypt: false, ivLength: 12, over: false });
  }
}
