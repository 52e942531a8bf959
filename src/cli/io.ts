/** What the program has of the world around it; tests give it another one. */
import type { ConnectWebSocketOptions } from "wassl/transports/websocket";

export type WebSocketClass = NonNullable<ConnectWebSocketOptions["WebSocket"]>;

export interface Io {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdinIsTerminal: boolean;
  /** Settles when the bytes have been taken; rejects when they are not read any more. */
  stdout(bytes: Uint8Array): Promise<void>;
  stderr(text: string): void;
  readonly stderrIsTerminal: boolean;
  env(name: string): string | undefined;
  /** Aborted by Ctrl-C or SIGTERM, and by SIGHUP where `onHangUp` was not called. */
  readonly interrupted: AbortSignal;
  /** Has `listener` called on each SIGHUP from now on. Absent at a terminal, whose end must end the program. */
  onHangUp?(listener: () => void): void;
  /** The class for `--via`, if it is not the global one. */
  readonly WebSocket?: WebSocketClass;
}
