/**
 * Which hosts the relay may reach. A relay without such a list lends its network position to every page
 * that finds it; this one reaches what it was told to, and nothing else.
 */
export class AllowList {
  readonly #entries = new Set<string>();

  add(host: string, port: number): void {
    this.#entries.add(key(host, port));
  }

  has(host: string, port: number): boolean {
    return this.#entries.has(key(host, port));
  }
}

function key(host: string, port: number): string {
  return `${host.toLowerCase().replace(/\.$/, "")} ${port}`;
}

/** Splits `host:port` and `[::1]:443`; undefined when it is neither. */
export function parseHostPort(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host !== undefined && isPort(port) ? { host, port } : undefined;
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65536;
}
