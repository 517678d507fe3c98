import type { GatewayInfo } from "../core/control-api.ts";
import { ControlClient, DEFAULT_CONTROL } from "./client/control-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { clip, count, printable, table } from "./terminal/text.ts";

const FLAGS = {
  control: { type: "string", value: "URL", default: DEFAULT_CONTROL, description: "The control plane's HTTP API" },
} as const satisfies FlagTable;

export const command = defineCommand({
  name: "gateways",
  summary: "list the gateways that the control plane knows",
  usage: "[flags]",
  flags: FLAGS,
  details: `
"dropped" counts what the gateway dropped since its start because a manifest or a quota said so; below the table it is listed by function and
reason, behind the functions that failed or are quarantined there, with their errors. What one gateway does now: millrace stats.`,
  examples: ["millrace gateways", "millrace gateways --json"],
  run,
});

async function run(context: CommandContext<typeof FLAGS>): Promise<number> {
  const gateways = await new ControlClient(context.flags.control, context.signal).gateways();
  if (context.json) context.stdout(`${JSON.stringify(gateways)}\n`);
  else context.stdout(gateways.length === 0 ? "no gateway has said hello yet; millrace gateway starts one\n" : gatewaysTable(gateways));
  return 0;
}

/** Of an error that is listed. */
const ERROR_CHARS_MAX = 200;

export function gatewaysTable(gateways: readonly GatewayInfo[]): string {
  const rows = gateways.map(({ id, connected, lastSeen, version, labels, functions, drops }) => [
    id,
    connected ? "yes" : "no",
    lastSeen,
    version,
    String(functions.length),
    count(drops.reduce((sum, dropped) => sum + dropped.count, 0)),
    Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(" "),
  ]);
  const troubles = gateways.flatMap(({ id, functions }) =>
    functions
      .filter(({ state }) => state !== "active")
      .map(({ name, version, state, error = "" }) => {
        const what = state === "quarantined" ? "is quarantined" : "failed";
        return `${id}: ${name} v${version} ${what}: ${clip(printable(error), ERROR_CHARS_MAX)}\n`;
      }),
  );
  const problems = gateways.flatMap(({ id, functions }) =>
    functions.flatMap(({ name, version, problems: lacks = [] }) =>
      lacks.map(({ code, message }) => `${id}: ${name} v${version}: ${code}: ${clip(printable(message), ERROR_CHARS_MAX)}\n`),
    ),
  );
  const drops = gateways.flatMap((gateway) =>
    gateway.drops.map((dropped) => `${gateway.id}: ${dropped.function} dropped ${count(dropped.count)} (${dropped.reason})\n`),
  );
  return (
    table(["gateway", "connected", "last seen", "version", "functions", "dropped", "labels"], rows, ["functions", "dropped"]) +
    troubles.join("") +
    problems.join("") +
    drops.join("")
  );
}
