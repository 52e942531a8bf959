/** What is read from files and stores: sessions, tickets, PKCS #12, private keys, PEM, sets of trust anchors. */
import { createCipheriv, createDecipheriv, createHmac, generateKeyPairSync } from "node:crypto";
import * as openssl from "wassl/openssl";
import { join } from "../../der.ts";
import { clone, type Der, mutate, octets, parse, parseFirst, seq, write } from "../der.ts";
import { type Dice, equal } from "../dice.ts";
import * as pki from "../pki.ts";
import { attempt, insist, note, type Run, type Target } from "../target.ts";
import { look, makeChain } from "./certificates.ts";
import { type Chain, contextOf, firstSession, identify, makeEnds, run } from "./handshakes.ts";

const PASSPHRASE = "secret";
const elements = pki.pool();

function changed(tree: Der, dice: Dice, signAgain: (tree: Der) => void = () => {}): Uint8Array {
  const copy = clone(tree);
  if (dice.chance(0.9)) mutate(copy, dice, elements);
  signAgain(copy);
  const bytes = write(copy);
  return dice.chance(0.1) ? dice.garble(bytes) : bytes;
}

// ---- sessions ----------------------------------------------------------------------------------------------------

const TICKET_KEY = new Uint8Array(80).map((_, i) => i);

/** The two contexts of a version; the server keeps no sessions but in tickets. */
function contextsOf(instance: openssl.OpenSsl, chain: Chain, version: number) {
  return {
    client: contextOf(instance, "client", chain, version, (each) => {
      each.setSessionCacheMode(openssl.SSL_SESS_CACHE_CLIENT);
      each.keepNewSessions(true);
      identify(each, chain);
    }),
    server: contextOf(instance, "server", chain, version, (each) => {
      identify(each, chain);
      each.setVerify(openssl.SSL_VERIFY_PEER);
      each.verifyResumed();
      each.setSessionIdContext(Uint8Array.of(1));
      each.setTicketKeys([TICKET_KEY]);
      each.setSessionCacheMode(openssl.SSL_SESS_CACHE_OFF);
    }),
  };
}

/** A connection that offers `session`: whether it came about, and whether it was resumed. */
function connect(
  instance: openssl.OpenSsl,
  contexts: ReturnType<typeof contextsOf>,
  session: openssl.SslSession,
  asVerified: boolean,
): { open: boolean; resumed: boolean } {
  const ends = makeEnds(instance, contexts.client, contexts.server);
  try {
    // As startTls does it: what would not be accepted now is not offered.
    const offered = !asVerified || ends.client.verifySession(session) === 0;
    if (offered) attempt("setSession", () => ends.client.setSession(session));
    instance.clearErrors();
    run(ends, (_, bytes) => bytes, { client: Uint8Array.of(1), server: Uint8Array.of(2) });
    const open = ends.client.isInitFinished() && ends.server.isInitFinished();
    attempt("what a connection says", () => [
      ends.client.getPeerCertificates(),
      ends.server.getPeerCertificates(),
    ]);
    return { open, resumed: open && ends.server.sessionReused() };
  } finally {
    for (const each of ends.client.takeSessions()) each.free();
    ends.free();
  }
}

/** The secret that a session stands for, and its ticket. */
function partsOf(session: Uint8Array): { secret: string; ticket: string } {
  const kids = parseFirst(session)?.kids ?? [];
  const of = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");
  const ticket = kids.find(({ tag }) => tag[0] === 0xaa)?.kids?.[0];
  return { secret: of(kids[4] && write(kids[4])), ticket: of(ticket && write(ticket)) };
}

export const sessions: Target = {
  name: "sessions",
  share: 6,
  start(instance, seed): Run {
    const chain = makeChain(`${seed} ec`, "ec");
    const kinds = [openssl.TLS1_2_VERSION, openssl.TLS1_3_VERSION].map((version) => {
      const contexts = contextsOf(instance, chain, version);
      const bytes = firstSession(instance, contexts);
      return {
        contexts,
        bytes,
        tree: parseFirst(bytes)!,
        behind: bytes.slice(write(parseFirst(bytes)!).length),
      };
    });
    for (const { contexts, bytes } of kinds) {
      using session = instance.parseSession(bytes);
      if (!connect(instance, contexts, session, true).resumed)
        throw new Error("an honest session is not resumed");
    }
    return (dice) => {
      const { contexts, bytes: original, tree, behind } = dice.pick(kinds);
      const bytes = join(changed(tree, dice), dice.chance(0.2) ? dice.garble(behind) : behind);
      note("the session", bytes);
      using session = attempt("parseSession", () => instance.parseSession(bytes));
      if (!session) return;
      attempt("what a session says", () => [
        ...[session.isResumable(), session.getProtocolVersion(), session.getTime(), session.getTimeout()],
        ...[
          session.hasTicket(),
          session.getTicketLifetimeHint(),
          session.getMaxEarlyData(),
          session.getHostname(),
        ],
        ...[session.getAlpnSelected(), session.getPeerCertificate()?.subjectAltName, session.toDer()],
      ]);
      const once = attempt("toBytes", () => session.toBytes());
      if (once) {
        using again = attempt("parseSession of what it wrote", () => instance.parseSession(once));
        insist(again !== undefined, "a session that was read is not read again");
        insist(equal(again.toBytes(), once), "a session is another one when it was written and read again");
      }
      const { resumed } = connect(instance, contexts, session, dice.chance(0.7));
      if (!resumed) return;
      const what = once ?? bytes;
      const [now, then] = [partsOf(what), partsOf(original)];
      // OpenSSL reads a certificate in it that is nested more deeply than the tree here goes: then it is looked for.
      const has = (part: "secret" | "ticket") =>
        now.secret === ""
          ? Buffer.from(what).includes(Buffer.from(then[part], "hex"))
          : now[part] === then[part];
      insist(has("secret"), "a session with another secret is resumed");
      insist(has("ticket"), "a session with another ticket is resumed");
    };
  },
};

/** What stands in a ticket, changed by an attacker that has the server's ticket keys, and by one that has not. */
export const tickets: Target = {
  name: "tickets",
  share: 4,
  start(instance, seed): Run {
    const chain = makeChain(`${seed} ec`, "ec");
    const kinds = [openssl.TLS1_2_VERSION, openssl.TLS1_3_VERSION].map((version) => {
      const contexts = contextsOf(instance, chain, version);
      const bytes = firstSession(instance, contexts);
      const tree = parseFirst(bytes)!;
      const place = tree.kids!.findIndex(({ tag }) => tag[0] === 0xaa);
      const ticket = tree.kids![place]!.kids![0]!;
      const sealed = ticket.bytes ?? join(...ticket.kids!.map(write));
      return { contexts, tree, place, sealed, behind: bytes.slice(write(tree).length) };
    });
    const [mac, aes] = [TICKET_KEY.subarray(16, 48), TICKET_KEY.subarray(48)];
    return (dice) => {
      const { contexts, tree, place, sealed, behind } = dice.pick(kinds);
      const holder = dice.chance(0.7);
      let ticket: Uint8Array;
      if (holder) {
        const [name, iv] = [sealed.subarray(0, 16), sealed.subarray(16, 32)];
        const decipher = createDecipheriv("aes-256-cbc", aes, iv);
        const plain = Uint8Array.from(join(decipher.update(sealed.subarray(32, -32)), decipher.final()));
        const inner = parseFirst(plain)!;
        const rest = plain.subarray(write(inner).length);
        const next = join(changed(inner, dice), dice.chance(0.2) ? dice.garble(rest) : rest);
        const cipher = createCipheriv("aes-256-cbc", aes, iv);
        const covered = join(name, iv, cipher.update(next.subarray(0, 50_000)), cipher.final());
        ticket = join(covered, createHmac("sha256", mac).update(covered).digest());
      } else {
        ticket = dice.garble(sealed);
      }
      const copy = clone(tree);
      copy.kids![place]!.kids = [octets(ticket)];
      const bytes = join(write(copy), behind);
      note("the session", bytes);
      using session = attempt("parseSession", () => instance.parseSession(bytes));
      if (!session) return;
      const { resumed } = connect(instance, contexts, session, false);
      insist(holder || !resumed || equal(ticket, sealed), "a ticket that nobody made is taken");
    };
  },
};

// ---- keys and PKCS #12 -------------------------------------------------------------------------------------------

/** A context with an identity that was read from elsewhere; if it was taken, a client connects to it. */
function serve(
  instance: openssl.OpenSsl,
  client: openssl.SslContext,
  use: (context: openssl.SslContext) => void,
): void {
  const server = instance.newContext("server");
  try {
    const taken = attempt("an identity", () => {
      use(server);
      return true;
    });
    if (!taken) return;
    const ends = makeEnds(instance, client, server);
    try {
      run(ends, (_, bytes) => bytes);
    } finally {
      ends.free();
    }
  } finally {
    server.free();
  }
}

function trusting(instance: openssl.OpenSsl, chain: Chain): openssl.SslContext {
  const client = instance.newContext("client");
  client.addCaCert(write(chain.root));
  client.setVerify(openssl.SSL_VERIFY_PEER);
  return client;
}

export const keys: Target = {
  name: "private keys",
  share: 5,
  start(instance, seed): Run {
    const ec = makeChain(`${seed} ec`, "ec");
    const ed = makeChain(`${seed} ed`, "ed");
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const rsa = pki.rsaKey(privateKey, parse);
    const rsaLeaf = pki.certificate({
      ...{ cn: "host.example", key: rsa, serial: 9, ca: false, hostname: "host.example" },
      issuer: { cn: `${seed} ec intermediate`, key: ec.keys.intermediate },
    });
    const pkcs1 = parse(Uint8Array.from(privateKey.export({ format: "der", type: "pkcs1" })))!;
    const client = trusting(instance, ec);
    const forms: [label: string, tree: Der, leaf: Der][] = [
      ["PRIVATE KEY", ec.keys.leaf.pkcs8, ec.leaf],
      ["EC PRIVATE KEY", pki.sec1Of(ec.keys.leaf), ec.leaf],
      ["PRIVATE KEY", ed.keys.leaf.pkcs8, ed.leaf],
      ["PRIVATE KEY", rsa.pkcs8, rsaLeaf],
      ["RSA PRIVATE KEY", pkcs1, rsaLeaf],
      ["ENCRYPTED PRIVATE KEY", pki.encryptedKey(ec.keys.leaf, PASSPHRASE), ec.leaf],
    ];
    return (dice) => {
      const [label, tree, leaf] = dice.pick(forms);
      let der = changed(tree, dice);
      // What is behind the encryption too.
      if (label === "ENCRYPTED PRIVATE KEY" && dice.chance(0.6)) {
        const { algorithm, bytes } = pki.encrypted(changed(ec.keys.leaf.pkcs8, dice), PASSPHRASE);
        der = write(seq(algorithm, octets(bytes)));
      }
      note("the key", der);
      const data = dice.chance(0.5) ? der : pki.pem(label, der);
      serve(instance, client, (server) => {
        server.useCertificateChain(write(leaf));
        server.usePrivateKey(data, PASSPHRASE);
      });
    };
  },
};

export const pkcs12: Target = {
  name: "PKCS #12",
  share: 5,
  start(instance, seed): Run {
    const chain = makeChain(`${seed} ec`, "ec");
    const client = trusting(instance, chain);
    const file = (safe: pki.Safe, change?: (authenticated: Der) => void) =>
      write(pki.pkcs12(safe, PASSPHRASE, change));
    const safe = () =>
      pki.safeOf(chain.keys.leaf, [clone(chain.leaf), clone(chain.intermediate)], PASSPHRASE);
    const whole = parse(file(safe()))!;
    using probe = instance.newContext("server");
    probe.usePkcs12(write(whole), PASSPHRASE);
    return (dice) => {
      let bytes: Uint8Array;
      const depth = dice.below(4);
      if (depth === 0) bytes = changed(whole, dice);
      else {
        // Below the MAC, and below the encryption.
        const inner = safe();
        if (depth === 1) mutate(inner.certificates, dice, elements);
        if (depth === 2) mutate(inner.bags, dice, elements);
        bytes = file(inner, (authenticated) => {
          if (depth === 3) mutate(authenticated, dice, elements);
        });
      }
      note("the file", bytes);
      serve(instance, client, (server) => server.usePkcs12(bytes, dice.chance(0.9) ? PASSPHRASE : ""));
    };
  },
};

// ---- PEM ---------------------------------------------------------------------------------------------------------

export const pemTexts: Target = {
  name: "PEM",
  share: 4,
  start(instance, seed): Run {
    const chain = makeChain(`${seed} ec`, "ec");
    const blocks: [string, Uint8Array][] = [
      ["CERTIFICATE", write(chain.leaf)],
      ["CERTIFICATE", write(chain.root)],
      ["TRUSTED CERTIFICATE", write(chain.root)],
      ["X509 CRL", write(chain.revoked)],
      ["PRIVATE KEY", write(chain.keys.leaf.pkcs8)],
      ["ENCRYPTED PRIVATE KEY", write(pki.encryptedKey(chain.keys.leaf, PASSPHRASE))],
      ["PUBLIC KEY", write(chain.keys.leaf.spki)],
    ];
    const change = (line: string, dice: Dice): string =>
      dice.pick([
        () => "",
        () => ` ${line}`,
        () => `${line} \t`,
        () => `${line}\r`,
        () => line.slice(0, dice.below(line.length + 1)),
        () => line.repeat(dice.pick([2, 3, 500])),
        () => line.replace(/[A-Za-z]/, dice.pick(["=", "-", "\0", "ä", "*"])),
        () =>
          `${line}\nProc-Type: 4,ENCRYPTED\nDEK-Info: ${dice.pick(["AES-128-CBC", "AES-256-CBC", "DES-EDE3-CBC", "NULL", ""])},${"0".repeat(dice.pick([0, 1, 16, 32, 33, 4_000]))}\n`,
        () => `${line}\nComment: ${"x".repeat(dice.size(5_000))}\n\n`,
        () => `${line}\n-----BEGIN CERTIFICATE-----`,
        () => "-----END CERTIFICATE-----",
        () => line.replace("-----", dice.pick(["----", "------", ""])),
        () =>
          line.replace(
            /(BEGIN|END) .*-----$/,
            `$1 ${dice.pick(["", "X", "CERTIFICATE", "X509 CERTIFICATE", "X".repeat(300)])}-----`,
          ),
      ])();
    return (dice) => {
      const lines: string[] = [];
      for (let count = dice.pick([1, 1, 2, 5, 60]); count > 0; count--) {
        const [label, bytes] = dice.pick(blocks);
        lines.push(...pki.pem(label, dice.chance(0.2) ? dice.garble(bytes) : bytes).split("\n"));
      }
      for (let count = dice.below(4); count > 0; count--) {
        const at = dice.below(lines.length);
        lines[at] = change(lines[at]!, dice);
      }
      let data: string | Uint8Array = lines.join(dice.chance(0.1) ? "\r\n" : "\n").slice(0, 60_000);
      if (dice.chance(0.1)) data = dice.garble(new TextEncoder().encode(data));
      note("the text", data);
      for (const each of attempt("parseCertificates", () => instance.parseCertificates(data)) ?? [])
        look(instance, each.der);
      using store = instance.newX509Store();
      attempt("addCaCert", () => store.addCaCert(data));
      attempt("addCrl", () => store.addCrl(data));
      using context = instance.newContext("server");
      attempt("useCertificateChain", () => context.useCertificateChain(data));
      attempt("usePrivateKey", () => context.usePrivateKey(data, dice.chance(0.5) ? PASSPHRASE : undefined));
    };
  },
};

// ---- sets of trust anchors ---------------------------------------------------------------------------------------

export const anchors: Target = {
  name: "trust anchors",
  share: 2,
  // An instance has a set for as long as it lives.
  keeps: true,
  start(instance, seed): Run {
    const chain = makeChain(`${seed} ec`, "ec");
    return (dice) => {
      // The number of certificates, of each the hash of its subject and where it ends, and they themselves
      // (wasm/abi/abi.h).
      const all = Array.from({ length: dice.below(4) }, () => {
        const tree = clone(chain.root);
        if (dice.chance(0.5)) mutate(tree, dice, elements);
        return write(tree);
      });
      const words = new Uint8Array(4 + all.length * 8);
      const view = new DataView(words.buffer);
      view.setUint32(0, all.length, true);
      let end = 0;
      for (const [i, bytes] of all.entries()) {
        end += bytes.length;
        view.setUint32(4 + i * 8, dice.chance(0.8) ? i * 1_000 : dice.below(2 ** 32), true);
        view.setUint32(8 + i * 8, end, true);
      }
      let table = join(words, ...all);
      for (let count = dice.below(3); count > 0; count--) {
        const at = 4 * dice.below(Math.max(table.length >> 2, 1));
        if (at + 4 <= table.length) table.set(dice.border(4), at);
      }
      if (dice.chance(0.2)) table = Uint8Array.from(dice.garble(table));
      let base64 = Buffer.from(table)
        .toString("base64")
        .replace(/.{1,80}/g, "$&\n");
      if (dice.chance(0.2)) base64 = new TextDecoder().decode(dice.garble(new TextEncoder().encode(base64)));
      note("the table", base64);
      for (const each of attempt("parseTrustAnchors", () => instance.parseTrustAnchors({ table: base64 })) ??
        [])
        look(instance, each.der);
      using store = instance.newX509Store();
      attempt("addTrustAnchors", () => store.addTrustAnchors({ table: base64 }));
      attempt("a verification", () => store.verify([write(chain.leaf), write(chain.intermediate)]));
    };
  },
};
