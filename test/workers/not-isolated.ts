/** The script of a page that is not cross-origin isolated: says what the blocking mode says there. */
import { newChannel } from "wassl/blocking";

try {
  newChannel();
  say("it works", "");
} catch (error) {
  const { code, message } = error as Error & { code: string };
  say(code, message);
}

function say(code: string, message: string): void {
  const channel = new BroadcastChannel("not-isolated");
  channel.postMessage({ code, message });
}
