import { setTimeout as sleep } from "node:timers/promises";
import type { CloudEvent } from "../core/event.ts";
import { MillraceError } from "../core/errors.ts";
import { ControlClient, DEFAULT_CONTROL, type EventQuery } from "./client/control-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { printable } from "./terminal/text.ts";

const PAGE = 5_000;
/** The API has no stream of events, so following asks for what is new. */
const FOLLOW_MS = 500;

const FLAGS = {
  function: { type: "string", value: "NAME", description: "Only events of this function" },
  gateway: { type: "string", value: "ID", description: "Only events of this gateway" },
  type: { type: "string", value: "TYPE", description: "Only events of this type" },
  limit: { type: "number", value: "N", min: 1, max: PAGE, default: 20, description: "How many; the newest, or the first with --after" },
  after: { type: "number", value: "POSITION", min: 0, description: "Begin behind this position" },
  all: { type: "boolean", description: "Every event, oldest first, page after page" },
  follow: { type: "boolean", short: "f", description: "Go on with what arrives, until Ctrl-C" },
  control: { type: "string", value: "URL", default: DEFAULT_CONTROL, description: "The control plane's HTTP API" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

export const command = defineCommand({
  name: "events",
  summary: "show the events that the cloud has stored",
  usage: "[flags]",
  flags: FLAGS,
  details: `
Prints time, gateway, function and version, type, subject and data, oldest first. With --json each line is one CloudEvents 1.0 object; its
"position" is what --after takes.`,
  examples: [
    "millrace events --type measurement -f",
    "millrace events --function threshold-alert --limit 5",
    "millrace events --all --json > events.ndjson",
  ],
  run,
});

async function run(context: Context): Promise<number> {
  const { flags, signal } = context;
  if (flags.all && flags.follow) throw new MillraceError("USAGE", "--all ends with what is there and --follow does not; choose one");
  const control = new ControlClient(flags.control, signal);
  const filter: EventQuery = { function: flags.function, gateway: flags.gateway, type: flags.type };
  if (flags.all) {
    await printAll(context, control, { ...filter, after: flags.after });
    return 0;
  }
  const last = await printPage(context, control, filter);
  if (flags.follow) await follow(context, control, { ...filter, after: last });
  return 0;
}

/** Returns the position behind which nothing has been printed. */
async function printPage(context: Context, control: ControlClient, filter: EventQuery): Promise<number> {
  const { after, limit } = context.flags;
  const page = await control.events({ ...filter, after, limit, order: after === undefined ? "desc" : "asc" });
  const events = page.events.toSorted((a, b) => a.position - b.position);
  for (const event of events) print(context, event);
  return events.at(-1)?.position ?? after ?? 0;
}

async function printAll(context: Context, control: ControlClient, query: EventQuery): Promise<void> {
  let after = query.after;
  for (;;) {
    const { events, next } = await control.events({ ...query, after, limit: PAGE, order: "asc" });
    for (const event of events) print(context, event);
    if (next === null) return;
    after = next;
  }
}

async function follow(context: Context, control: ControlClient, query: EventQuery): Promise<void> {
  let after = query.after;
  while (!context.signal.aborted) {
    const { events, next } = await control.events({ ...query, after, limit: PAGE, order: "asc" });
    for (const event of events) print(context, event);
    after = events.at(-1)?.position ?? after;
    if (next === null) await sleep(FOLLOW_MS, undefined, { signal: context.signal });
  }
}

function print({ json, stdout }: Pick<Context, "json" | "stdout">, event: CloudEvent): void {
  stdout(`${json ? JSON.stringify(event) : eventLine(event)}\n`);
}

export function eventLine({ time, gateway, function: name, functionversion, type, subject, data }: CloudEvent): string {
  return printable(`${time}  ${gateway}  ${name} v${functionversion}  ${type}  ${subject}  ${JSON.stringify(data)}`);
}
