import { parseHostPort } from "./allow-list.js";

export const usage = `Usage: npm start -- [--allow host:port]…

  --allow host:port   let the relay reach this host too (may be given several times)
  --help              say this

  PORT                environment: the page's port (8443 unless taken)`;

export interface Arguments {
  readonly allow: readonly { host: string; port: number }[];
  /** Undefined: the usual port, or a free one when that is taken. */
  readonly port: number | undefined;
  readonly help: boolean;
}

/** Throws an Error whose message is meant for the terminal. */
export function parseArguments(argv: readonly string[], environment: NodeJS.ProcessEnv): Arguments {
  const allow: { host: string; port: number }[] = [];
  let help = false;
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] ?? "";
    if (argument === "--help" || argument === "-h") {
      help = true;
    } else if (argument === "--allow" || argument.startsWith("--allow=")) {
      const value = argument === "--allow" ? (argv[++i] ?? "") : argument.slice("--allow=".length);
      const parsed = parseHostPort(value);
      if (parsed === undefined) throw new Error(`--allow wants host:port, not "${value}"`);
      allow.push(parsed);
    } else {
      throw new Error(`unknown argument "${argument}"\n\n${usage}`);
    }
  }
  return { allow, port: parsePort(environment.PORT), help };
}

function parsePort(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new Error(`PORT must be 0–65535, not "${text}"`);
  return port;
}
