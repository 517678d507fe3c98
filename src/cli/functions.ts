import type { FunctionInfo } from "../core/control-api.ts";
import { MillraceError } from "../core/errors.ts";
import { triggerText } from "../core/triggers.ts";
import { ControlClient, DEFAULT_CONTROL } from "./client/control-client.ts";
import { DEFAULT_GATEWAY } from "./client/gateway-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { inspectFunction } from "./functions/inspect.ts";
import { shortDigest, table } from "./terminal/text.ts";

/** Where chrome://inspect looks by itself. */
const INSPECT_PORT = 9229;
const FOR_MS_DEFAULT = 3_600_000;

const FLAGS = {
  control: { type: "string", value: "URL", default: DEFAULT_CONTROL, description: "The control plane's HTTP API" },
  gateway: { type: "string", value: "URL", default: DEFAULT_GATEWAY, description: "inspect: the gateway's HTTP, at a loopback address" },
  for: {
    type: "duration",
    value: "TIME",
    default: FOR_MS_DEFAULT,
    description: "inspect: how long, at most; 8h is the most there is",
  },
  sources: { type: "string", value: "DIR", description: "inspect: the folder that the function was published from, to see its files" },
  port: {
    type: "number",
    value: "PORT",
    default: INSPECT_PORT,
    min: 0,
    max: 65_535,
    description: "inspect: where the debugger attaches on the gateway's machine; 0 picks a free one",
  },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

export const command = defineCommand({
  name: "functions",
  summary: "list what is deployed, or debug a function",
  usage: "[inspect NAME] [flags]",
  positionals: { min: 0, max: 2 },
  flags: FLAGS,
  details: `
"active", "failed" and "quarantined" count the gateways that report the latest version so; what is quarantined keeps killing host processes and
runs only now and then. What one gateway does with its functions: millrace stats.

inspect NAME lets Chrome DevTools or an editor attach to a function that runs on a gateway: breakpoints in your files, heap, profiles. The
function moves to a host process of its own, without limits of time there; while it is held its messages wait, and no other function notices.
Run it on the gateway's machine; it prints where to attach and stays until Ctrl-C. More in docs/guide/debugging.md. With --json each line is
one object: {"event": "ready", …}, then {"event": "ended", …}.`,
  examples: [
    "millrace functions",
    "millrace functions --json",
    "millrace functions inspect celsius --sources functions/celsius",
    "millrace functions inspect celsius --port 0 --for 10m",
  ],
  run,
});

async function run(context: Context): Promise<number> {
  const [verb, name, ...rest] = context.positionals;
  if (verb === undefined) return list(context);
  if (verb !== "inspect") throw new MillraceError("USAGE", `functions: "${verb}" is unknown; only inspect NAME may follow`);
  if (name === undefined || rest.length > 0) throw new MillraceError("USAGE", "functions inspect: exactly one name is needed");
  const { gateway, for: forMs, port, sources: folder } = context.flags;
  return inspectFunction({ name, gateway, forMs, port, folder }, context);
}

async function list(context: Context): Promise<number> {
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
