/** The commands, and what their ends come to as an exit code. */
import { connect } from "./connect.js";
import type { Io } from "./io.js";
import { commandHelp, generalHelp, isCommand, parse } from "./options.js";
import { exitCode, Report, UsageError } from "./report.js";
import { serve } from "./serve.js";

const commands = { connect, serve };

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
    report.trace = values.trace ?? false;
    return report.outcome(await commands[name](values, positionals, io, report));
  } catch (error) {
    return report.outcome({ exitCode: exitCode(error), error });
  }
}
