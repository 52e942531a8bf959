/**
 * Reads Mozilla's list of trust anchors as NSS has it: from its source, certdata.txt, or from what that is compiled into,
 * libnssckbi.so. Both are a list of PKCS #11 objects; certificate and trust are two of them, which issuer and serial number join.
 */
import { Buffer } from "node:buffer";

export interface Root {
  label: string;
  der: Uint8Array;
  /** Mozilla's *distrust after* for servers, seconds since 1970. */
  distrustAfter?: number | undefined;
}

/** What of an object counts here. */
interface CkObject {
  isCertificate: boolean;
  label: string;
  value: Buffer;
  /** Issuer and serial number. */
  key: string;
  /** A trust anchor for servers: CKA_TRUST_SERVER_AUTH is CKT_NSS_TRUSTED_DELEGATOR. */
  isDelegator: boolean;
  distrustAfter: Buffer | undefined;
}

/** Those that servers' chains may end in. */
function rootsOf(objects: readonly CkObject[]): Root[] {
  const trusted = new Set(objects.filter(({ isDelegator }) => isDelegator).map(({ key }) => key));
  const roots = objects.filter(({ isCertificate, key }) => isCertificate && trusted.has(key));
  if (roots.length === 0) throw new Error("there are no trust anchors in it");
  return roots.map(({ label, value, distrustAfter }) => ({
    label,
    der: new Uint8Array(value),
    distrustAfter: distrustAfter === undefined ? undefined : secondsOf(distrustAfter.toString("latin1")),
  }));
}

/** "YYMMDDhhmmssZ" */
function secondsOf(time: string): number {
  const [, year, ...rest] = time.match(/^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/) ?? [];
  if (year === undefined) throw new Error(`no date: ${JSON.stringify(time)}`);
  const [month, day, hours, minutes, seconds] = rest.map(Number);
  return Date.UTC(2000 + Number(year), month! - 1, day, hours, minutes, seconds) / 1000;
}

/** From certdata.txt. */
export function rootsOfText(text: string): Root[] {
  const objects: Record<string, string | Buffer>[] = [];
  const attribute = /^(CKA_\w+) (MULTILINE_OCTAL\n([^E]*)END|(?:UTF8|CK_\w+)(?: (.*))?)$/gm;
  for (const [, name, , octal, word = ""] of text.slice(text.indexOf("\nBEGINDATA")).matchAll(attribute)) {
    if (name === "CKA_CLASS") objects.push({});
    const value =
      octal === undefined
        ? word.replace(/^"(.*)"$/, "$1")
        : Buffer.from([...octal.matchAll(/\\(\d{3})/g)].map(([, digits]) => Number.parseInt(digits!, 8)));
    objects.at(-1)![name!] = value;
  }
  const bytes = (value: string | Buffer | undefined) => (typeof value === "object" ? value : undefined);
  return rootsOf(
    objects.map((object) => ({
      isCertificate: object.CKA_CLASS === "CKO_CERTIFICATE",
      label: String(object.CKA_LABEL),
      value: bytes(object.CKA_VALUE) ?? Buffer.alloc(0),
      key: [object.CKA_ISSUER, object.CKA_SERIAL_NUMBER].map((b) => bytes(b)?.toString("hex")).join(),
      isDelegator: object.CKA_TRUST_SERVER_AUTH === "CKT_NSS_TRUSTED_DELEGATOR",
      distrustAfter: bytes(object.CKA_NSS_SERVER_DISTRUST_AFTER),
    })),
  );
}

const CKO_CERTIFICATE = 1;
const CKA = {
  class: 0,
  label: 3,
  value: 0x11,
  issuer: 0x81,
  serial: 0x82,
  distrustAfter: 0xce534373,
  trustServerAuth: 0xce536358,
} as const;
const CKT_NSS_TRUSTED_DELEGATOR = 0xce534352;

/**
 * From libnssckbi.so for a 64-bit little-endian machine: an object is three words in a row (how many attributes, where their types
 * are, where their values are), and a value is two words (where, how long). Where pointers point is in the relocations.
 */
export function rootsOfLibrary(elf: Buffer): Root[] {
  const word = (at: number) => Number(elf.readBigUInt64LE(at));
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1)
    throw new Error("no 64-bit ELF file");
  const sections = Array.from({ length: elf.readUInt16LE(60) }, (_, i) => {
    const at = word(40) + i * elf.readUInt16LE(58);
    return {
      type: elf.readUInt32LE(at + 4),
      address: word(at + 16),
      offset: word(at + 24),
      size: word(at + 32),
    };
  });
  const PROGBITS = 1;
  const RELA = 4;
  const R_RELATIVE = [8, 1027]; // x86-64, AArch64
  const loaded = sections.filter(({ type, address }) => type === PROGBITS && address !== 0);
  /** Where in the file an address is. */
  const offsetOf = (address: number) => {
    const section = loaded.find((s) => address >= s.address && address < s.address + s.size);
    return section && address - section.address + section.offset;
  };
  const pointers = new Map<number, number>();
  for (const { offset, size } of sections.filter(({ type }) => type === RELA))
    for (let at = offset; at < offset + size; at += 24) {
      const from = offsetOf(word(at));
      const to = offsetOf(word(at + 16));
      if (R_RELATIVE.includes(elf.readUInt32LE(at + 8)) && from !== undefined && to !== undefined)
        pointers.set(from, to);
    }

  const objects: CkObject[] = [];
  for (const [at, types] of pointers) {
    const values = pointers.get(at + 8);
    const count = values === undefined ? 0 : word(at - 8);
    if (count < 4 || count > 40 || word(types) !== CKA.class) continue;
    const attributes = new Map<number, Buffer>();
    for (let i = 0; i < count; i++) {
      const from = pointers.get(values! + i * 16);
      if (from === undefined) break;
      attributes.set(word(types + i * 8), elf.subarray(from, from + elf.readUInt32LE(values! + i * 16 + 8)));
    }
    if (attributes.size !== count) continue;
    const number = (attribute: number) => {
      const value = attributes.get(attribute);
      return value?.length === 8 ? Number(value.readBigUInt64LE()) : undefined;
    };
    const date = attributes.get(CKA.distrustAfter);
    objects.push({
      isCertificate: number(CKA.class) === CKO_CERTIFICATE,
      label: attributes.get(CKA.label)?.toString().replace(/\0$/, "") ?? "",
      value: attributes.get(CKA.value) ?? Buffer.alloc(0),
      key: [CKA.issuer, CKA.serial].map((a) => attributes.get(a)?.toString("hex")).join(),
      isDelegator: number(CKA.trustServerAuth) === CKT_NSS_TRUSTED_DELEGATOR,
      distrustAfter: date && date.length > 1 ? date : undefined, // CK_FALSE is one byte
    });
  }
  return rootsOf(objects);
}
