/**
 * One direction of a connection, read along and written anew: records become handshake messages, whatever was done to
 * these becomes records again. TLS 1.3's are decrypted and encrypted with the secrets of the key log (RFC 8446 §5,
 * §7.3), for TLS_AES_128_GCM_SHA256; what TLS 1.2 encrypts goes on as it is.
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { join } from "../der.ts";
import { bigEndian } from "./messages.ts";

export const CHANGE_CIPHER_SPEC = 20;
export const ALERT = 21;
export const HANDSHAKE = 22;
export const APPLICATION_DATA = 23;

/** A handshake message without its header, or what else a record held. */
export interface Item {
  /** The type of content; of messages 22. */
  content: number;
  /** The handshake message's. */
  type?: number;
  bytes: Uint8Array;
  /** Under which keys: 0 without, 1 those of the handshake, 2 those of application data. */
  epoch: 0 | 1 | 2;
  /** Of TLS 1.2, encrypted: its whole record. */
  sealed?: boolean;
}

const expand = (secret: Uint8Array, label: string, length: number): Uint8Array => {
  const name = new TextEncoder().encode(`tls13 ${label}`);
  const info = join(bigEndian(length, 2), Uint8Array.of(name.length), name, Uint8Array.of(0, 1));
  return Uint8Array.from(createHmac("sha256", secret).update(info).digest().subarray(0, length));
};

class Keys {
  readonly #key: Uint8Array;
  readonly #iv: Uint8Array;
  readonly #secret: Uint8Array;
  #sequence = 0;

  constructor(secret: Uint8Array) {
    this.#secret = secret;
    this.#key = expand(secret, "key", 16);
    this.#iv = expand(secret, "iv", 12);
  }

  next(): Keys {
    return new Keys(expand(this.#secret, "traffic upd", 32));
  }

  #nonce(): Uint8Array {
    const iv = this.#iv.slice();
    for (const [i, byte] of bigEndian(this.#sequence++, 8).entries()) iv[4 + i]! ^= byte;
    return iv;
  }

  open(record: Uint8Array): { content: number; bytes: Uint8Array } | undefined {
    const decipher = createDecipheriv("aes-128-gcm", this.#key, this.#nonce());
    decipher.setAAD(record.subarray(0, 5));
    decipher.setAuthTag(record.subarray(-16));
    const plain = decipher.update(record.subarray(5, -16));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    let end = plain.length - 1;
    while (end > 0 && plain[end] === 0) end--;
    return { content: plain[end] ?? 0, bytes: Uint8Array.from(plain.subarray(0, Math.max(end, 0))) };
  }

  seal(content: number, bytes: Uint8Array, padding: number): Uint8Array {
    const length = bytes.length + 1 + padding + 16;
    const header = join(Uint8Array.of(APPLICATION_DATA, 3, 3), bigEndian(length, 2));
    const cipher = createCipheriv("aes-128-gcm", this.#key, this.#nonce());
    cipher.setAAD(header);
    const sealed = cipher.update(join(bytes, Uint8Array.of(content), new Uint8Array(padding)));
    cipher.final();
    return join(header, sealed, cipher.getAuthTag());
  }
}

/** About so many records at once are the most: what they cost is to be the receiver's time and not ours. */
const MOST = 300;

/** Gives a secret of the key log by its label, once it is known. */
export type Secrets = (label: string) => Uint8Array | undefined;

export class Wire {
  readonly #labels: readonly [handshake: string, application: string];
  readonly #secrets: Secrets;
  readonly #tls13: () => boolean;
  #input: Uint8Array = new Uint8Array(0);
  #messages: { bytes: Uint8Array; epoch: 0 | 1 | 2 } = { bytes: new Uint8Array(0), epoch: 0 };
  #epoch: 0 | 1 | 2 = 0;
  #sealed = false;
  readonly #opening = new Map<number, Keys>();
  readonly #sealing = new Map<number, Keys>();

  constructor(from: "client" | "server", secrets: Secrets, tls13: () => boolean) {
    const name = from.toUpperCase();
    this.#labels = [`${name}_HANDSHAKE_TRAFFIC_SECRET`, `${name}_TRAFFIC_SECRET_0`];
    this.#secrets = secrets;
    this.#tls13 = tls13;
  }

  #keys(map: Map<number, Keys>, epoch: 1 | 2): Keys | undefined {
    let keys = map.get(epoch);
    const secret = keys ? undefined : this.#secrets(this.#labels[epoch - 1]!);
    if (secret) {
      keys = new Keys(secret);
      map.set(epoch, keys);
    }
    return keys;
  }

  /** What came, as far as it is whole. */
  read(bytes: Uint8Array): Item[] {
    this.#input = join(this.#input, bytes);
    const items: Item[] = [];
    while (this.#input.length >= 5) {
      const end = 5 + ((this.#input[3]! << 8) | this.#input[4]!);
      if (this.#input.length < end) break;
      const record = this.#input.slice(0, end);
      this.#input = this.#input.slice(end);
      this.#record(record, items);
    }
    return items;
  }

  #record(record: Uint8Array, items: Item[]): void {
    let content = record[0]!;
    let bytes: Uint8Array = record.slice(5);
    let epoch: 0 | 1 | 2 = 0;
    if (content === APPLICATION_DATA && this.#tls13()) {
      epoch = this.#epoch === 0 ? 1 : this.#epoch;
      this.#epoch = epoch;
      const opened = this.#keys(this.#opening, epoch)?.open(record);
      if (!opened) {
        items.push({ content, bytes: record, epoch: 0, sealed: true });
        return;
      }
      ({ content, bytes } = opened);
    } else if (this.#sealed) {
      items.push({ content, bytes: record, epoch: 0, sealed: true });
      return;
    }
    if (content === CHANGE_CIPHER_SPEC && !this.#tls13()) this.#sealed = true;
    if (content !== HANDSHAKE) {
      items.push({ content, bytes, epoch });
      return;
    }
    this.#messages = { bytes: join(this.#messages.bytes, bytes), epoch };
    for (;;) {
      const all = this.#messages.bytes;
      const end = all.length < 4 ? Infinity : 4 + (all[1]! << 16) + (all[2]! << 8) + all[3]!;
      if (all.length < end) break;
      items.push({ content, type: all[0]!, bytes: all.slice(4, end), epoch });
      this.#messages.bytes = all.slice(end);
      if (epoch === 1 && all[0] === 20) this.#epoch = 2;
      if (epoch === 2 && all[0] === 24) this.#opening.set(2, this.#opening.get(2)!.next());
    }
  }

  /** The records for these items; each message in pieces of `piece` bytes, with so much padding. */
  write(items: readonly Item[], piece = 16_384, padding = 0): Uint8Array {
    const parts: Uint8Array[] = [];
    const total = items.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const step = Math.max(piece, Math.ceil(total / MOST));
    for (const { content, type, bytes, epoch, sealed } of items) {
      if (sealed) {
        parts.push(bytes);
        continue;
      }
      const whole =
        type === undefined ? bytes : join(Uint8Array.of(type), bigEndian(bytes.length % 2 ** 24, 3), bytes);
      for (let at = 0; at === 0 || at < whole.length; at += step) {
        const part = whole.subarray(at, at + step);
        const keys = epoch === 0 ? undefined : this.#keys(this.#sealing, epoch);
        parts.push(
          keys
            ? keys.seal(content, part, padding)
            : join(Uint8Array.of(content, 3, 3), bigEndian(part.length, 2), part),
        );
      }
      if (epoch === 2 && type === 24) {
        const keys = this.#keys(this.#sealing, 2);
        if (keys) this.#sealing.set(2, keys.next());
      }
    }
    return join(...parts);
  }
}
