import type { CloseInfo } from "wassl";

/** When the page aborts, `closed` rejects with the page's own reason, which has no `CloseInfo`. */
export const abortedWords = "Aborted: no close_notify was sent. To the server this looks like a cut cable.";

const words: Record<CloseInfo["how"], string> = {
  complete: "Complete: close_notify went both ways. Nothing can be missing.",
  "closed-without-waiting":
    "Closed without waiting: the page sent close_notify and left before the server could send its own.",
  quiet: "Quiet: closed without close_notify, as was asked for.",
  truncated: "Truncated: the server’s side ended without close_notify. Something may be missing.",
  alert: "Ended by a fatal alert.",
  timeout: "Timed out: the server did not answer the page’s close_notify in time.",
  aborted: abortedWords,
  failed: "Failed: the transport broke.",
};

/** How it ended, in a sentence or two. */
export function outcomeWords(info: CloseInfo): string {
  const resumable = info.resumable ? " The session may be resumed." : "";
  const discarded = info.discarded > 0 ? ` ${info.discarded} unread bytes were discarded.` : "";
  return words[info.how] + resumable + discarded;
}
