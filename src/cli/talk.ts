/** An open connection between standard input and standard output, and how it is ended. */
import { type CloseInfo, TlsError, type TlsStream } from "wassl";
import type { Io } from "./io.js";
import { exitCode, messageOf, type Outcome, type Report } from "./report.js";

export const closings = ["half", "shutdown", "close", "abort", "none"] as const;
export type Closing = (typeof closings)[number];

export interface TalkOptions {
  close: Closing;
  /** How long to wait for the peer after our own end, in milliseconds. */
  timeout: number | undefined;
  /** What comes ahead of standard input. The server has it by now if it accepted it early. */
  earlyData?: Uint8Array | undefined;
}

/** Ends our side. Returns how many bytes followed the peer's close_notify, if that is to be known. */
export async function end(stream: TlsStream, { close, timeout }: TalkOptions): Promise<number> {
  switch (close) {
    case "half":
    // Its time has come when the peer has ended.
    case "none":
      await stream.closeWrite();
      return 0;
    case "shutdown": {
      const { transport, trailing } = await stream.shutdown(timeout === undefined ? {} : { timeout });
      // The transport is not used any more. If it has failed by now, nothing is lost.
      await transport.writable.close().catch(() => {});
      await transport.readable.cancel().catch(() => {});
      return trailing.byteLength;
    }
    case "close":
      await stream.close();
      return 0;
    case "abort":
      stream.abort(aborted);
      return 0;
  }
}

/** The reason of an abort that was asked for, which is not a failure. */
const aborted = new TlsError("closed", "aborted, as --close says");

/** How it ended, whichever side ended it. */
export async function ending(stream: TlsStream): Promise<Outcome> {
  let error: unknown;
  const closed = await stream.closed.catch((reason) => {
    error = reason;
  });
  const { sent, received } = stream.statistics;
  const statistics = { sent, received };
  if (closed) return { exitCode: 0, info: closed, statistics };
  const info: CloseInfo | undefined = error instanceof TlsError ? error.outcome : undefined;
  const code = error === aborted ? 0 : exitCode(error);
  return { exitCode: code, ...(info && { info }), ...(code > 0 && { error }), statistics };
}

/**
 * Standard input goes to the peer, and the peer's data to standard output, until both have ended. With a half-close
 * each direction ends by itself. Otherwise, or with a user at the keyboard, the peer's end is ours too.
 */
export async function talk(
  stream: TlsStream,
  io: Io,
  report: Report,
  options: TalkOptions,
): Promise<Outcome> {
  const { earlyData } = options;
  const accepted = stream.info.earlyData === "accepted";
  let sent = accepted ? (earlyData?.byteLength ?? 0) : 0;
  let received = 0;
  let trailing = 0;
  /** Standard input or output has failed. */
  let failure: Error | undefined;
  const fail = async (what: string, error: unknown) => {
    failure ??= new Error(`${what}: ${messageOf(error)}`, { cause: error });
    stopSending();
    await stream.close();
  };

  let over = false;
  let wake = () => {};
  const stopSending = () => {
    over = true;
    wake();
  };

  /** Silence after our own end. */
  let timer: ReturnType<typeof setTimeout> | undefined;
  const listen = () => {
    clearTimeout(timer);
    const { close, timeout } = options;
    if (!over || (close !== "half" && close !== "none") || timeout === undefined) return;
    const message = `nothing from the peer for ${timeout / 1000} s after our end`;
    timer = setTimeout(() => stream.abort(new TlsError("timeout", message)), timeout);
  };

  const receive = async () => {
    const reader = stream.readable.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      received += value.byteLength;
      listen();
      report.progress(sent, received);
      try {
        await io.stdout(value);
      } catch (error) {
        await fail("standard output", error);
        return;
      }
    }
    if (options.close !== "half" || io.stdinIsTerminal) stopSending();
  };

  const send = async () => {
    const writer = stream.writable.getWriter();
    if (earlyData && !accepted) {
      await writer.write(earlyData);
      sent += earlyData.byteLength;
    }
    const input = io.stdin[Symbol.asyncIterator]();
    while (!over) {
      let next: IteratorResult<Uint8Array> | undefined;
      try {
        // Not Promise.race: a promise that lives long would keep every chunk that it ever raced with.
        next = await new Promise((resolve, reject) => {
          wake = () => resolve(undefined);
          input.next().then(resolve, reject);
        });
      } catch (error) {
        await fail("standard input", error);
        return;
      }
      if (!next || next.done) break;
      await writer.write(next.value);
      sent += next.value.byteLength;
      report.progress(sent, received);
    }
    if (failure) return;
    over = true;
    listen();
    if (options.close === "none") await receiving;
    trailing = await end(stream, options);
  };

  // How the stream ends tells what went wrong with it. Where an end without close_notify passes, the stream does not
  // end by itself.
  const giveUp = () => stream.close();
  const sending = send().catch(giveUp);
  const receiving = receive().catch(giveUp);
  const outcome = await ending(stream);
  stopSending();
  await Promise.all([sending, receiving]);
  clearTimeout(timer);
  return {
    ...outcome,
    sent,
    received,
    ...(trailing > 0 && { trailing }),
    ...(failure && { exitCode: 1, error: failure }),
  };
}
