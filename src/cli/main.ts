/** The commands, and the exit codes of their ends. */
import { connect } from "./connect.js";
import type { Io } from "./io.js";
import { type Command, commandHelp, generalHelp, isCommand, parse, type Values } from "./options.js";
import { exitCode, type Outcome, Report, UsageError } from "./report.js";
import { serve } from "./serve.js";
import { verify } from "./verify.js";

/** Runs `wassl ARGS…`, and resolves to its exit code. It never rejects. */
export async function main(args: readonly string[], io: Io): Promise<number> {
  const [name = "--help", ...rest] = args;
  if (name === "--help" || name === "-h" || name === "help") {
    await io.stdout(new TextEncoder().encode(generalHelp)).catch(() => {});
    return args.length === 0 ? 2 : 0;
  }
  const report = new Report(io, name, rest.includes("--json"));
  try {
    if (!isCommand(name)) throw new UsageError(`there is no command "${name}"; see wassl --help`);
    const { values, positionals } = parse(name, rest);
    if (values.help) {
      await io.stdout(new TextEncoder().encode(commandHelp(name)));
      return 0;
    }
    return report.outcome(await run(name, values, positionals, io, report));
  } catch (error) {
    report.toStdout(false);
    return report.outcome({ exitCode: exitCode(error), error });
  } finally {
    await report.written;
  }
}

/** Each command has its own options, which is too much for TypeScript to see in a table of functions. */
function run<C extends Command>(
  command: C,
  values: Values<C>,
  positionals: string[],
  io: Io,
  report: Report,
): Promise<Outcome> {
  switch (command) {
    case "connect":
      return connect(values as Values<"connect">, positionals, io, report);
    case "serve":
      return serve(values as Values<"serve">, positionals, io, report);
    default:
      return verify(values as Values<"verify">, positionals, io, report);
  }
}
