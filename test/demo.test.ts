/**
 * The demo, as a user has it: `demo/serve.ts` as a process of its own, and its page in headless Chromium.
 */
import { startDemo } from "./demo/demo-process.ts";
import { testPage } from "./demo/page.ts";
import { testRelay } from "./demo/relay.ts";
import { TargetServer } from "./demo/target-server.ts";
import type { Report } from "./report.ts";
import { setUp } from "./setup.ts";

/** No single test may take longer, in milliseconds. */
const testTimeout = 30_000;

export type Test = (name: string, body: () => Promise<void>) => Promise<void>;

export async function run(report: Report): Promise<void> {
  const test: Test = async (name, body) => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`not done after ${testTimeout} ms`)), testTimeout);
    });
    try {
      await Promise.race([body(), late]);
      report("demo", name);
    } catch (error) {
      report("demo", name, error);
    }
    clearTimeout(timer);
  };

  const target = await TargetServer.start();
  const demo = await startDemo(["--allow", `127.0.0.1:${target.port}`]);
  try {
    await testRelay(test, demo, target);
    await testPage(test, demo, setUp().chromium);
    await test("Ctrl-C ends everything that was started", () => demo.interrupt());
  } finally {
    demo.kill();
    target.close();
  }
}
