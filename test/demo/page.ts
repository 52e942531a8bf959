/** The page in headless Chromium: what it shows, what its buttons do, and how it explains what goes wrong. */
import assert from "node:assert/strict";
import { chromium, type Page } from "playwright-core";
import type { Test } from "../demo.test.ts";
import type { Demo } from "./demo-process.ts";
import { checkLayout, countColours } from "./layout.ts";
import { relayLog } from "./relay.ts";

const wait = { timeout: 15_000 };

export async function testPage(test: Test, demo: Demo, executablePath: string): Promise<void> {
  const browser = await chromium.launch({
    executablePath,
    args: [
      ...["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking", "--disable-quic"],
      ...["--no-first-run", "--disable-component-update", "--disable-sync"],
    ],
  });
  const tabs = new Tabs(() => browser.newPage(), demo.url);
  try {
    for (const target of demo.setup.targets.filter(({ host }) => host === "localhost"))
      await test(`the page talks to ${target.stack}`, () => showsConnection(tabs, demo, target.id));
    await test("TLS 1.2 when it is chosen", () => speaksTls12(tabs));
    await test("an IP address is checked as one, and sent to nobody", () => checksIpAddress(tabs));
    await test("the same connection carries another request", () => asksAgain(tabs));
    await test("a long answer is counted in full and shown in part", () => boundsAnswer(tabs));
    for (const [verb, expected] of closings)
      await test(`${verb}() and what it does`, () => closes(tabs, demo, verb, expected));
    await test("the server closes first, we answer", () => answersClose(tabs));
    for (const trouble of troubles)
      await test(`what if ${trouble.pick}: in words`, () => explains(tabs, trouble));
    await test("a connection that is left behind is given up", () => leavesBehind(tabs, demo));
    await test("what is wrong in the form is said before anything is sent", () => checksForm(tabs));
    await test("the keyboard alone will do", () => worksByKeyboard(tabs));
    for (const colorScheme of ["light", "dark"] as const)
      for (const width of [380, 1280])
        await test(`layout and contrast, ${colorScheme}, ${width} px`, () => looks(tabs, colorScheme, width));
  } finally {
    await browser.close();
  }
}

/** A page of the browser, and what it has done since its test began. */
interface Tab {
  page: Page;
  /** Whatever the browser complained about; it fails the test at its end. */
  complaints: string[];
  relayIds: string[];
}

/**
 * The tests have one page in turn, which each of them loads anew: with a renderer for each, most of their time would go
 * into compiling the same module again. A test that failed, or that goes on after its time, does not give its page
 * back.
 */
class Tabs {
  readonly #open: () => Promise<Page>;
  readonly #url: string;
  #idle: Tab | undefined;

  constructor(open: () => Promise<Page>, url: string) {
    this.#open = open;
    this.#url = url;
  }

  async use(
    body: (page: Page, relayIds: string[]) => Promise<void>,
    options: { width?: number; colorScheme?: "light" | "dark" } = {},
  ): Promise<void> {
    const { width = 1280, colorScheme = "light" } = options;
    const tab = this.#idle ?? this.#watch(await this.#open());
    this.#idle = undefined;
    const { page, complaints, relayIds } = tab;
    complaints.length = relayIds.length = 0;
    try {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await page.goto(this.#url);
      await page.waitForSelector("[data-pick][aria-pressed=true]");
      await body(page, relayIds);
      assert.deepEqual(complaints, [], "the browser has nothing to complain about");
    } catch (error) {
      await page.close();
      throw error;
    }
    this.#idle = tab;
  }

  #watch(page: Page): Tab {
    const complaints: string[] = [];
    const relayIds: string[] = [];
    page.setDefaultTimeout(wait.timeout);
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("requestfailed", (request) => {
      // The page closes its event stream itself.
      if (!request.url().includes("/relay/watch")) complaints.push(`${request.url()} failed`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) complaints.push(`${response.url()}: ${response.status()}`);
    });
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== new URL(this.#url).origin)
        complaints.push(`asked ${request.url()}`);
    });
    page.on("websocket", (webSocket) => relayIds.push(new URL(webSocket.url()).searchParams.get("id") ?? ""));
    return { page, complaints, relayIds };
  }
}

async function connect(page: Page, pick?: string): Promise<void> {
  if (pick !== undefined) await page.click(`[data-pick="${pick}"]`);
  await page.click("#connect");
  await page.waitForSelector('body[data-state="connected"]');
  await page.waitForFunction(() => document.querySelector("#answer .status-code") !== null);
  await page.waitForSelector('[data-step="answer"][data-phase="done"]');
}

// biome-ignore lint/performance/useDomNodeTextContent: what is meant is what a reader sees.
const text = async (page: Page, selector: string) => (await page.locator(selector).innerText()).trim();

/** What the sequence diagram says, line by line, with the two flags behind: "page to server: close_notify 10". */
async function timeline(page: Page): Promise<string[]> {
  const rows = await page.locator("#timeline .event:not(.event-heading)").all();
  return await Promise.all(
    rows.map(async (row) => {
      const words = (await row.locator(".event-words").textContent()) ?? "";
      const flags = (await row.locator(".flag").allTextContents()).join("");
      return `${words} ${flags}`;
    }),
  );
}

const fact = (page: Page, name: string) => text(page, `[data-fact="${name}"] code`);

async function showsConnection(tabs: Tabs, demo: Demo, pick: string): Promise<void> {
  await tabs.use(async (page, relayIds) => {
    await connect(page, pick);
    assert.equal(await fact(page, "Version"), "TLSv1.3");
    assert.match(await fact(page, "Cipher"), /^TLS_(AES_(128|256)_GCM|CHACHA20_POLY1305)_SHA/);
    assert.match(await fact(page, "Key exchange"), /^(X25519MLKEM768|x25519|secp256r1)$/i);
    assert.match(await fact(page, "Signature"), /ecdsa/i);
    assert.equal(await fact(page, "Verified"), "yes, for localhost");
    assert.match(await fact(page, "ALPN"), pick === "rustls" ? /^http\/1\.1$/ : /^(http\/1\.1|none)$/);

    assert.deepEqual(await page.locator(".link-name").allInnerTexts(), [
      "localhost",
      "Wassl demo intermediate, of Wassl demo",
      "Wassl demo root, of Wassl demo",
    ]);
    const leaf = await text(page, ".link >> nth=0");
    assert.match(leaf, /localhost, 127\.0\.0\.1/);
    assert.match(leaf, /EC, P-256/);
    const fingerprint = await page.locator(".fingerprint").first().getAttribute("data-fingerprint");
    assert.match(fingerprint ?? "", /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);

    assert.match(await text(page, ".status-code"), /^HTTP\/1\.[01] 200 ok$/i);
    const body = await text(page, "#answer .body");
    const proof: Record<string, RegExp> = {
      rustls: /Hello from rustls.*I am {12}Deno \d/s,
      node: /Hello from Node's own TLS.*TLSv1\.3, TLS_/s,
      s_server: /s_server.*Protocol {2}: TLSv1\.3/s,
    };
    assert.match(body, proof[pick] ?? /never/);

    const steps = ["relay", "openssl", "handshake", "first-byte", "answer"];
    const shown = await page
      .locator(".step")
      .evaluateAll((rows) => rows.map((row) => row.getAttribute("data-step")));
    assert.deepEqual(shown, steps);
    for (const time of await page.locator(".step-time").allInnerTexts()) assert.match(time, /^[\d.]+ m?s$/);

    const drawn = await timeline(page);
    assert.equal(drawn[0], "TLS established 00");
    assert.equal(drawn[1], "page to server: GET / HTTP/1.1 00");
    await onlyCiphertext(page, demo, relayIds, [
      ...["GET /", "HTTP/1.", "wassl-demo", "demo intermediate", "Protocol  :", "decrypted in the page"],
      ...body.split("\n").filter((line) => line.length > 12),
    ]);
  });
}

/** The relay's log holds the name that TLS sends in the clear, and none of these. */
async function onlyCiphertext(page: Page, demo: Demo, relayIds: string[], secrets: string[]): Promise<void> {
  assert.equal(relayIds.length, 1);
  const log = await relayLog(demo, relayIds[0] ?? "");
  const up = Buffer.from(log.capture.up, "base64").toString("latin1");
  const down = Buffer.from(log.capture.down, "base64").toString("latin1");
  assert.ok(up.length > 500 && down.length > 500);
  assert.ok(up.includes("localhost"), "the server's name is in the clear, and the page says so");
  for (const secret of secrets) assert.ok(!`${up}\n${down}`.includes(secret), `the relay saw "${secret}"`);
  assert.equal(await text(page, ".relay-summary mark"), "localhost");
  assert.match(await text(page, ".relay-summary"), /Not the request, not the answer/);
  assert.match(await text(page, ".records"), /ClientHello.*ServerHello.*sealed/s);
  assert.match(await text(page, "#lane-up"), /^1[67] 03 0[13]/);
  assert.match(await text(page, "#way-count"), /^saw [\d.]+ k?B → and [\d.]+ k?B ←$/);
}

async function speaksTls12(tabs: Tabs): Promise<void> {
  await tabs.use(async (page) => {
    await page.selectOption("#version", "TLSv1.2 TLSv1.2");
    await connect(page, "node");
    assert.equal(await fact(page, "Version"), "TLSv1.2");
    assert.match(await fact(page, "Cipher"), /^ECDHE-ECDSA-/);
    assert.match(await text(page, ".relay-summary"), /certificate as well, because TLS 1\.2/);
  });
}

async function checksIpAddress(tabs: Tabs): Promise<void> {
  await tabs.use(async (page) => {
    await page.click('[data-pick="node"]');
    await page.fill("#host", "127.0.0.1");
    await connect(page);
    assert.equal(await fact(page, "Verified"), "yes, for 127.0.0.1");
    assert.match(await text(page, ".relay-summary"), /No name in the clear/);
  });
}

async function asksAgain(tabs: Tabs): Promise<void> {
  await tabs.use(async (page, relayIds) => {
    await connect(page, "node");
    await page.click('[data-verb="request"]');
    await page.waitForFunction(() => document.querySelectorAll("#timeline .event-down").length === 2);
    assert.equal(relayIds.length, 1);
    const drawn = await timeline(page);
    assert.deepEqual(drawn.slice(3), [
      "page to server: GET / HTTP/1.1 00",
      "server to page: HTTP/1.1 200 OK, complete 00",
    ]);
  });
}

async function boundsAnswer(tabs: Tabs): Promise<void> {
  await tabs.use(async (page) => {
    await page.click('[data-pick="node"]');
    await page.fill("#path", "/large");
    await connect(page);
    assert.match(await text(page, "#answer"), /1\.1 MB of body, of which the first 65\.5 kB are shown/);
    const shown = await page.locator("#answer .body").evaluate((element) => element.textContent?.length);
    assert.equal(shown, 65_536);
  });
}

interface Closing {
  /** What the picture shows from the press of the button on. */
  drawn: (string | RegExp)[];
  outcome: RegExp;
  /** SSL_SENT_SHUTDOWN at the end. */
  sent: boolean;
  /** The close code that the relay got. */
  relay: number;
}

const closings: [verb: string, expected: Closing][] = [
  [
    "closeWrite",
    {
      drawn: [
        "page: closeWrite() 00",
        "page to server: close_notify 10",
        "page: closeWrite() settled 10",
        "server to page: close_notify 11",
      ],
      outcome: /^Complete: close_notify went both ways/,
      sent: true,
      relay: 1000,
    },
  ],
  [
    "shutdown",
    {
      drawn: [
        "page: shutdown() 00",
        "page to server: close_notify 10",
        "server to page: close_notify 11",
        "page: shutdown() settled: the transport came back with 0 bytes behind the last record 11",
      ],
      outcome: /^Complete: close_notify went both ways/,
      sent: true,
      relay: 1000,
    },
  ],
  [
    "close",
    {
      drawn: ["page: close() 00", "page to server: close_notify 10", /^page: close\(\) settled 1[01]$/],
      outcome: /^(Closed without waiting|Complete)/,
      sent: true,
      relay: 1000,
    },
  ],
  [
    "abort",
    {
      drawn: ["page: abort() 00", "page: abort() settled 00"],
      outcome: /^Aborted: no close_notify was sent/,
      sent: false,
      relay: 4000,
    },
  ],
];

async function closes(tabs: Tabs, demo: Demo, verb: string, expected: Closing): Promise<void> {
  await tabs.use(async (page, relayIds) => {
    await connect(page, "node");
    const before = (await timeline(page)).length;
    await page.click(`[data-verb="${verb}"]`);
    await page.waitForSelector('body[data-state="ended"]');
    await page.waitForFunction(
      // The heading is one of them.
      (count) => document.querySelectorAll("#timeline .event").length > count,
      before + expected.drawn.length,
    );
    const drawn = (await timeline(page)).slice(before);
    assert.equal(drawn.length, expected.drawn.length, drawn.join("\n"));
    // Whether our close_notify is settled before the server's arrives is up to the network.
    const sorted = [...drawn].sort((a, b) => order(expected.drawn, a) - order(expected.drawn, b));
    expected.drawn.forEach((line, i) => {
      if (typeof line === "string") assert.equal(sorted[i]?.slice(0, -2), line.slice(0, -2));
      else assert.match(sorted[i] ?? "", line);
    });
    assert.match(await text(page, "#outcome"), expected.outcome);
    const sent = await page.getAttribute("#flag-sent", "data-on");
    assert.equal(sent, String(expected.sent), "SSL_SENT_SHUTDOWN");
    for (const button of await page.locator(".verb").all()) assert.ok(await button.isDisabled());
    await until(async () => (await relayLog(demo, relayIds[0] ?? "")).state === "ended");
    assert.equal((await relayLog(demo, relayIds[0] ?? "")).end?.code, expected.relay);
  });
}

function order(lines: readonly (string | RegExp)[], line: string): number {
  return lines.findIndex((wanted) =>
    typeof wanted === "string" ? wanted.slice(0, -2) === line.slice(0, -2) : wanted.test(line),
  );
}

async function answersClose(tabs: Tabs): Promise<void> {
  await tabs.use(async (page) => {
    await connect(page, "s_server");
    await page.waitForFunction(() =>
      /close_notify/.test(document.querySelector("#timeline")?.textContent ?? ""),
    );
    assert.match(await text(page, "#status-line"), /server has said that it sends no more/);
    assert.match(await text(page, "#answer"), /close_notify vouches that this is all/);
    assert.ok(await page.isDisabled('[data-verb="request"]'));
    assert.ok(await page.isEnabled('[data-verb="closeWrite"]'));
    await page.click('[data-verb="closeWrite"]');
    await page.waitForSelector('body[data-state="ended"]');
    assert.match(await text(page, "#outcome"), /^Complete/);
    const flags = (await timeline(page)).map((line) => line.slice(-2));
    assert.ok(flags.includes("01"), "received before sent");
    assert.equal(flags.at(-1), "11");
  });
}

interface Trouble {
  pick: string;
  title: RegExp;
  words: RegExp;
  code: RegExp;
  /** What the connection had come to. */
  stage: "connected" | "never-connected";
}

const troubles: Trouble[] = [
  {
    pick: "misnamed",
    title: /for another name/,
    words: /elsewhere\.example.*does not name localhost/s,
    code: /^certificate · X509_V_ERR_HOSTNAME_MISMATCH at depth 0/,
    stage: "never-connected",
  },
  {
    pick: "untrusted",
    title: /No authority that you trust/,
    words: /list of trust anchors is empty/,
    code: /^certificate · X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT/,
    stage: "never-connected",
  },
  {
    pick: "expired",
    title: /has expired/,
    words: /that time is over/,
    code: /^certificate · X509_V_ERR_CERT_HAS_EXPIRED at depth 0/,
    stage: "never-connected",
  },
  { pick: "plain", title: /not TLS/, words: /in the clear/, code: /^not-tls/, stage: "never-connected" },
  {
    pick: "cut",
    title: /cut off/,
    words: /without the server’s close_notify/,
    code: /^truncated/,
    stage: "connected",
  },
  {
    pick: "silent",
    title: /No program listens/,
    words: /ECONNREFUSED/,
    code: /relay 4502$/,
    stage: "never-connected",
  },
  {
    pick: "forbidden",
    title: /relay refuses/,
    words: /not-allowed\.example:443 is not on the relay’s allow-list.*--allow not-allowed\.example:443/s,
    code: /relay 4403$/,
    stage: "never-connected",
  },
];

async function explains(tabs: Tabs, trouble: Trouble): Promise<void> {
  await tabs.use(async (page) => {
    await page.click(`[data-pick="${trouble.pick}"]`);
    await page.waitForSelector("#trouble:not([hidden])");
    assert.match(await text(page, "#trouble h2"), trouble.title);
    assert.match(await text(page, "#trouble"), trouble.words);
    await page.click("#trouble summary");
    assert.match(await text(page, "#trouble dd >> nth=0"), trouble.code);
    assert.equal(await page.getAttribute("#results", "data-stage"), trouble.stage);
    if (trouble.pick === "cut") {
      assert.match(await text(page, "#outcome"), /^Truncated/);
      assert.match(await text(page, "#answer"), /to the stranger 10 000.*then it was cut off/s);
    }
    if (trouble.code.source.includes("certificate"))
      assert.match(await text(page, "#trouble dd >> nth=2"), /certificate verify failed/);
    if (trouble.pick === "plain") assert.match(await text(page, ".relay-summary mark"), /^HTTP\/1\.1 400/);
    // And the way back is open.
    await connect(page, "node");
    assert.ok(await page.isHidden("#trouble"));
  });
}

async function leavesBehind(tabs: Tabs, demo: Demo): Promise<void> {
  await tabs.use(async (page, relayIds) => {
    await connect(page, "node");
    await connect(page, "rustls");
    assert.equal(await text(page, "#way-server small"), "rustls, in Deno");
    const [first = "", second = ""] = relayIds;
    await until(async () => (await relayLog(demo, first)).state === "ended");
    assert.equal((await relayLog(demo, first)).end?.code, 4000);
    assert.equal((await relayLog(demo, second)).state, "open");
  });
}

async function checksForm(tabs: Tabs): Promise<void> {
  await tabs.use(async (page, relayIds) => {
    const cases: [field: string, value: string, words: RegExp][] = [
      ["#host", "https://localhost/", /name or an IP address/],
      ["#host", "", /name or an IP address/],
      ["#port", "http", /number from 1 to 65535/],
      ["#path", "/a b", /no spaces/],
      ["#path", "index", /begins with \//],
    ];
    for (const [field, value, words] of cases) {
      await page.click('[data-pick="node"]');
      await page.fill(field, value);
      await page.click("#connect");
      assert.match(await text(page, "#form-error"), words);
    }
    assert.deepEqual(relayIds, []);
    await page.click('[data-pick="node"]');
    await page.click("#trust summary");
    await page.fill("#ca-certs", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----");
    assert.equal(await text(page, "#trust-summary"), "your own");
    await page.click("#connect");
    await page.waitForSelector("#trouble:not([hidden])");
    assert.match(await text(page, "#trouble"), /BEGIN CERTIFICATE/);
  });
}

async function worksByKeyboard(tabs: Tabs): Promise<void> {
  await tabs.use(async (page) => {
    await page.focus("#path");
    await page.keyboard.press("Enter");
    await page.waitForSelector('[data-step="answer"][data-phase="done"]');
    await page.focus('[data-verb="closeWrite"]');
    const outline = await page.evaluate(
      () => document.activeElement !== null && getComputedStyle(document.activeElement).outlineStyle,
    );
    assert.notEqual(outline, "none", "the focus is visible");
    await page.keyboard.press("Space");
    await page.waitForSelector('body[data-state="ended"]');
  });
}

async function looks(tabs: Tabs, colorScheme: "light" | "dark", width: number): Promise<void> {
  await tabs.use(
    async (page) => {
      await page.click("#trust summary");
      await checkLayout(page, "idle");
      await page.click("#trust summary");
      await connect(page);
      await checkLayout(page, "connected");
      const shot = await page.screenshot();
      const colours = await countColours(page, shot);
      assert.ok(colours > 50, `a screenshot has ${colours} colours`);
      await page.click('[data-verb="shutdown"]');
      await page.waitForSelector('body[data-state="ended"]');
      await checkLayout(page, "ended");
      await page.click('[data-pick="misnamed"]');
      await page.waitForSelector("#trouble:not([hidden])");
      await page.click("#trouble summary");
      await checkLayout(page, "failed");
    },
    { colorScheme, width },
  );
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`it did not come to that in 5 s: ${condition}`);
}
