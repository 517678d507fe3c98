import { MillraceError } from "../core/errors.ts";
import { LOG_LEVELS, type LogRecord } from "../core/stats.ts";
import { DEFAULT_GATEWAY, GatewayClient, type LogFilter } from "./client/gateway-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { printable, withFields } from "./terminal/text.ts";

const FLAGS = {
  follow: { type: "boolean", short: "f", description: "Go on with what is logged, until Ctrl-C" },
  function: { type: "string", value: "NAME", description: "The same as FUNCTION" },
  version: { type: "number", value: "N", min: 1, description: "Only of this version" },
  invocation: { type: "string", value: "ID", description: "Only of this try, SEQ.ATTEMPT, or of every try of a message, SEQ" },
  trace: { type: "string", value: "ID", description: "Only of messages of this W3C trace" },
  since: { type: "string", value: "TIME", description: "Only from this time on: a duration before now (10m) or 2026-11-20T08:00:00Z" },
  until: { type: "string", value: "TIME", description: "Only up to this time, likewise" },
  grep: { type: "string", value: "TEXT", description: "Only with this text in the message or the fields, in capitals or not" },
  level: { type: "string", choices: LOG_LEVELS, default: "debug", description: "The least severe level to show" },
  limit: {
    type: "number",
    short: "n",
    value: "N",
    min: 1,
    max: 1_000,
    default: 100,
    description: "How many of the newest records to begin with",
  },
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
Prints time, level, function and version, the invocation (journal position and attempt), the trace that the message named, the message and its
fields; \`millrace trace\` takes both ids. Also what the gateway says about a function: another version, code that does not load, a quarantine.
The gateway keeps the newest, as many as fit into logs.bytes_max, or some of them in memory when logs.store says so. With --json each line is
one record.`,
  examples: [
    "millrace logs -f",
    "millrace logs celsius --level warn --since 2h --json",
    'millrace logs --grep "sensor 12" -n 20',
    "millrace logs --invocation 48211",
  ],
  run,
});

async function run(context: Context): Promise<number> {
  const { flags, positionals, signal } = context;
  const gateway = new GatewayClient(flags.gateway, signal);
  const level = LOG_LEVELS.find((each) => each === flags.level);
  if (flags.follow && flags.until !== undefined) throw new MillraceError("USAGE", "--follow has no end and --until is one; choose one");
  const [name = flags.function] = positionals;
  if (flags.function !== undefined && name !== flags.function) {
    throw new MillraceError("USAGE", `logs: ${name} and --function ${flags.function} are two functions`);
  }
  const { version, invocation, trace, since, until, grep: text, limit } = flags;
  const filter: LogFilter = { function: name, version, invocation, trace, since, until, text, level, limit };
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

export function logLine({ time, level, function: name, version, invocation, trace, message, fields }: LogRecord): string {
  const at = new Date(time).toISOString();
  const where = `${invocation === undefined ? "" : ` #${invocation}`}${trace === undefined ? "" : ` ${trace}`}`;
  return printable(`${at}  ${level.padEnd(5)}  ${name} v${version}${where}  ${withFields(message, fields)}`);
}
