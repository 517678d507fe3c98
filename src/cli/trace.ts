import { DEFAULT_GATEWAY, GatewayClient } from "./client/gateway-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { MillraceError } from "../core/errors.ts";
import { parseTraceRef, TRACE_REF_FORMS } from "../core/trace-ref.ts";
import { traceText } from "./trace/tree.ts";

const FLAGS = {
  gateway: { type: "string", value: "URL", default: DEFAULT_GATEWAY, description: "The gateway's HTTP" },
} as const satisfies FlagTable;

export const command = defineCommand({
  name: "trace",
  summary: "follow a message from its arrival to its effects",
  usage: "ID [flags]",
  positionals: { min: 1, max: 1 },
  flags: FLAGS,
  details: `
ID is ${TRACE_REF_FORMS}, as logs, dead letters and
events show them. Prints a tree: the message; each function that it woke, with its tries, how long they waited and took, what they logged and
wrote, emitted (and whether the cloud has it) and published; and the messages that this led to, with what became of them. Failures are recorded in
full, and so are messages whose traceparent is sampled; of others the gateway records a sample (traces.rate_max, traces.sample_max). Of what was
not recorded it shows what it knows.`,
  examples: ["millrace trace 48211", "millrace trace milan-1:48211:celsius:0", "millrace trace 4bf92f3577b34da6a3ce929d0e0e4736 --json"],
  run,
});

async function run(context: CommandContext<typeof FLAGS>): Promise<number> {
  const { flags, json, signal } = context;
  const [id = ""] = context.positionals;
  if (parseTraceRef(id) === undefined) throw new MillraceError("USAGE", `trace: "${id}" is not ${TRACE_REF_FORMS}`);
  const answer = await new GatewayClient(flags.gateway, signal).trace(id);
  context.stdout(json ? `${JSON.stringify(answer)}\n` : traceText(answer));
  return 0;
}
