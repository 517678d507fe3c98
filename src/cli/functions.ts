import type { FunctionInfo } from "../core/control-api.ts";
import { triggerText } from "../core/triggers.ts";
import { ControlClient, DEFAULT_CONTROL } from "./client/control-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { shortDigest, table } from "./terminal/text.ts";

const FLAGS = {
  control: { type: "string", value: "URL", default: DEFAULT_CONTROL, description: "The control plane's HTTP API" },
} as const satisfies FlagTable;

export const command = defineCommand({
  name: "functions",
  summary: "list what is deployed",
  usage: "[flags]",
  flags: FLAGS,
  details: `
"active", "failed" and "quarantined" count the gateways that report the latest version so; what is quarantined keeps killing host processes and
runs only now and then. What one gateway does with its functions: millrace stats.`,
  examples: ["millrace functions", "millrace functions --json"],
  run,
});

async function run(context: CommandContext<typeof FLAGS>): Promise<number> {
  const functions = await new ControlClient(context.flags.control, context.signal).functions();
  if (context.json) context.stdout(`${JSON.stringify(functions)}\n`);
  else context.stdout(functions.length === 0 ? "nothing is deployed; millrace publish DIR does it\n" : functionsTable(functions));
  return 0;
}

function functionsTable(functions: readonly FunctionInfo[]): string {
  const rows = functions.map(({ name, latest, digest, gateways, triggers }) => [
    name,
    `v${latest}`,
    shortDigest(digest),
    String(gateways.active),
    String(gateways.failed),
    String(gateways.quarantined),
    triggers.map((trigger) => triggerText(trigger)).join(" "),
  ]);
  const counts = ["active", "failed", "quarantined"];
  return table(["function", "latest", "digest", ...counts, "triggers"], rows, counts);
}
