import { LOG_LEVELS, type LogRecord } from "../core/stats.ts";
import { DEFAULT_GATEWAY, GatewayClient, type LogFilter } from "./client/gateway-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { printable } from "./terminal/text.ts";

const FLAGS = {
  follow: { type: "boolean", short: "f", description: "Go on with what is logged, until Ctrl-C" },
  level: { type: "string", choices: LOG_LEVELS, default: "debug", description: "The least severe level to show" },
  limit: { type: "number", value: "N", min: 1, max: 1_000, default: 100, description: "How many of the newest records to begin with" },
  gateway: { type: "string", value: "URL", default: DEFAULT_GATEWAY, description: "The gateway's HTTP" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

export const command = defineCommand({
  name: "logs",
  summary: "show what functions logged on a gateway",
  usage: "[FUNCTION] [flags]",
  positionals: { min: 0, max: 1 },
  flags: FLAGS,
  details: `
Prints time, level, function and version, the invocation (journal position and attempt) and the message; also what the gateway says about a
function, such as a restart. The gateway keeps the newest records only and none over a restart. With --json each line is one record.`,
  examples: ["millrace logs -f", "millrace logs celsius --level warn --json"],
  run,
});

async function run(context: Context): Promise<number> {
  const { flags, positionals, signal } = context;
  const gateway = new GatewayClient(flags.gateway, signal);
  const level = LOG_LEVELS.find((each) => each === flags.level);
  const filter: LogFilter = { function: positionals[0], level, limit: flags.limit };
  if (!flags.follow) {
    for (const record of (await gateway.logs(filter)).records) print(context, record);
    return 0;
  }
  for await (const record of gateway.followLogs(filter)) print(context, record);
  // The stream ends when the gateway closes, which is not what following asked for.
  if (!signal.aborted) context.stderr("the gateway has stopped\n");
  return 0;
}

function print({ json, stdout }: Pick<Context, "json" | "stdout">, record: LogRecord): void {
  stdout(`${json ? JSON.stringify(record) : logLine(record)}\n`);
}

export function logLine({ time, level, function: name, version, invocation, message }: LogRecord): string {
  const at = new Date(time).toISOString();
  const where = invocation === undefined ? "" : ` #${invocation}`;
  return printable(`${at}  ${level.padEnd(5)}  ${name} v${version}${where}  ${message}`);
}
