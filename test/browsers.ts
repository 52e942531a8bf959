/**
 * Browsers with one page, and nobody attached to it: a debugger is told each frame of each WebSocket, which costs more
 * than the page itself. How it is doing the page has to say by itself.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { killAtEnd } from "./processes.ts";

export type Browser = ChildProcessByStdio<null, null, Readable>;

/** What it logs comes on its standard error, which has to be read. */
function start(executable: string, args: string[], env: NodeJS.ProcessEnv = process.env): Browser {
  const child = spawn(executable, args, { stdio: ["ignore", "ignore", "pipe"], env });
  killAtEnd(child);
  return child;
}

const CHROMIUM_FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"],
  ...["--disable-extensions", "--disable-background-timer-throttling", "--disable-renderer-backgrounding"],
];

/** `profile` is a folder for it alone, here and below. */
export function startChromium(
  executable: string,
  profile: string,
  url: string,
  flags: string[] = [],
): Browser {
  const usual = flags.some((flag) => flag.startsWith("--load-extension="))
    ? CHROMIUM_FLAGS.filter((flag) => flag !== "--disable-extensions")
    : CHROMIUM_FLAGS;
  return start(executable, [...usual, ...flags, `--user-data-dir=${profile}`, url]);
}

const FIREFOX_PREFERENCES = {
  "app.update.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.dom.window.dump.enabled": true,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "datareporting.policy.dataSubmissionEnabled": false,
  "devtools.console.stdout.content": true,
  "dom.disable_open_during_load": false,
  // The page is what is tested, whether or not a window shows it.
  "dom.min_background_timeout_value": 4,
  "dom.min_background_timeout_value_without_budget_throttling": 4,
  "dom.timeout.enable_budget_timer_throttling": false,
  "dom.timeout.throttling_delay": -1,
  "widget.windows.window_occlusion_tracking.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  // Ours is one host, and many connections at once are what is tested.
  "network.websocket.max-connections": 1000,
  "network.websocket.delay-failed-reconnects": false,
  "services.settings.server": "data:,#remote-settings-dummy/v1",
  "toolkit.telemetry.enabled": false,
};

export function startFirefox(executable: string, profile: string, url: string): Browser {
  mkdirSync(profile, { recursive: true });
  const lines = Object.entries(FIREFOX_PREFERENCES).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
  );
  writeFileSync(join(profile, "user.js"), lines.join(""));
  const env = { ...process.env, HOME: profile, MOZ_CRASHREPORTER_DISABLE: "1" };
  return start(executable, ["--headless", "--no-remote", "--profile", profile, url], env);
}

/** WebKitGTK's own small browser. It has no mode without a display, so `xvfb` is one. */
export async function startWebKit(
  executable: string,
  xvfb: string,
  profile: string,
  url: string,
): Promise<Browser> {
  mkdirSync(profile, { recursive: true });
  const display = await startDisplay(xvfb);
  const env = {
    ...process.env,
    DISPLAY: display,
    HOME: profile,
    GDK_BACKEND: "x11",
    XDG_RUNTIME_DIR: profile,
    // WebKitGTK knows no cross-origin isolation, by which Safari has it.
    JSC_useSharedArrayBuffer: "true",
    LIBGL_ALWAYS_SOFTWARE: "1",
    WEBKIT_DISABLE_COMPOSITING_MODE: "1",
    WEBKIT_DISABLE_DMABUF_RENDERER: "1",
  };
  return start(executable, ["--private", "--features=-PageVisibilityBasedProcessSuppression", url], env);
}

/** A display of its own, whose number Xvfb chooses and tells. It ends with this process. */
async function startDisplay(xvfb: string): Promise<string> {
  const child = spawn(xvfb, ["-displayfd", "3", "-screen", "0", "800x600x24", "-nolisten", "tcp"], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  killAtEnd(child);
  const told = child.stdio[3] as Readable;
  return await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`Xvfb exited with ${code}`)));
    told.once("data", (number) => resolve(`:${String(number).trim()}`));
  });
}
