import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError } from "../core/errors.ts";
import type { StartStats } from "../core/starts.ts";
import type { GatewayStats } from "../core/stats.ts";
import { HOUR_MS, HOURS_MS_MAX } from "../core/usage-history.ts";
import { DEFAULT_GATEWAY, GatewayClient } from "./client/gateway-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { hoursText, samplesText } from "./stats/history.ts";
import { liveText, type Sample } from "./stats/live.ts";
import { count, table } from "./terminal/text.ts";

const CLEAR_SCREEN = "\u001b[H\u001b[2J";

const FLAGS = {
  watch: { type: "boolean", short: "w", description: "Show what functions do at the moment, again and again, until Ctrl-C" },
  every: { type: "duration", default: 1_000, description: "How often, with --watch" },
  hours: { type: "number", min: 1, max: HOURS_MS_MAX / HOUR_MS, description: "Show what each function used in so many hours instead" },
  recent: { type: "duration", description: "Show what functions did every ten seconds for so long instead" },
  gateway: { type: "string", value: "URL", default: DEFAULT_GATEWAY, description: "The gateway's HTTP" },
} as const satisfies FlagTable;

export const command = defineCommand({
  name: "stats",
  summary: "show the counters of a gateway and of its functions",
  usage: "[flags]",
  flags: FLAGS,
  details: `
Counters begin with the gateway process. "backlog" is what waits in the journal for a function, "isolates" how many it has,
"start ms" what they took to start on average, "pending" the events that the cloud has not confirmed.

With --watch the table says what functions do between two looks, those first that compute most: "msg/s" and "err/s" are tries and failed
tries, "p50 ms" and "p99 ms" how long a message takes (see metrics.md in the reference), "cpu %" is of one processor, "age" that of the oldest
message that waits, "stored" what the function keeps as state. With --json there is one object, with --watch one on each line. The same
figures for Prometheus are at /metrics of the gateway.

The gateway keeps totals by the hour for 7 days and a sample every 10 seconds for 6 hours: --hours 24 and --recent 30m show them. "GB-s" is the
time that handling took times \`limits.memory\`. A kill of the gateway takes what came since the last sample.`,
  examples: ["millrace stats --watch", "millrace stats --hours 24", "millrace stats --json"],
  run,
});

async function run(context: CommandContext<typeof FLAGS>): Promise<number> {
  const { flags, signal, json } = context;
  const gateway = new GatewayClient(flags.gateway, signal);
  if (flags.hours !== undefined || flags.recent !== undefined) return history(context, gateway);
  let before: Sample | undefined;
  for (;;) {
    const stats = await gateway.stats();
    const now = { at: performance.now(), stats };
    const clear = context.tty ? CLEAR_SCREEN : "";
    if (json) context.stdout(`${JSON.stringify(stats)}\n`);
    else context.stdout(flags.watch ? `${clear}${headText(stats)}\n${liveText(now, before)}` : statsText(stats));
    if (!flags.watch) return 0;
    before = now;
    await sleep(flags.every, undefined, { signal });
  }
}

/** What the gateway has written down. */
async function history(context: CommandContext<typeof FLAGS>, gateway: GatewayClient): Promise<number> {
  const { hours, recent, watch } = context.flags;
  if (watch || (hours !== undefined && recent !== undefined)) {
    throw new MillraceError("USAGE", "only one of --watch, --hours and --recent can be shown");
  }
  if (hours !== undefined) {
    const totals = await gateway.hours(hours);
    context.stdout(context.json ? `${JSON.stringify(totals)}\n` : hoursText(totals));
  }
  if (recent !== undefined) {
    const samples = await gateway.samples(recent);
    context.stdout(context.json ? `${JSON.stringify(samples)}\n` : samplesText(samples));
  }
  return 0;
}

export function statsText(stats: GatewayStats): string {
  const { functions } = stats;
  const body = functions.length === 0 ? "no function runs here; millrace publish DIR deploys one\n" : functionTable(functions);
  return `${headText(stats)}\n${body}`;
}

function headText(stats: GatewayStats): string {
  const { broker, journal, outbox, link } = stats;
  const state = link.connected ? `connected to ${link.url}` : link.url === "" ? "none configured" : `down (${link.error ?? link.url})`;
  const head = [
    `gateway ${stats.gateway}, version ${stats.version}, since ${stats.startedAt}`,
    `  broker   ${count(broker.received)} received, ${count(broker.delivered)} delivered, ${count(broker.clients)} clients`,
    ...(broker.listeners.length > 1 ? broker.listeners.map(listenerText) : []),
    `  journal  ${count(journal.appended)} appended, position ${count(journal.seq)}, ${count(journal.commits)} commits`,
    `  outbox   ${count(outbox.pending)} pending, ${count(outbox.uploaded)} stored in the cloud, ${count(outbox.rejected)} rejected`,
    `  link     ${state}`,
  ];
  for (const { function: name, reason, count: dropped } of stats.drops) head.push(`  dropped  ${count(dropped)} of ${name} (${reason})`);
  for (const { reason, count: dropped } of broker.stored.drops) head.push(`  dropped  ${count(dropped)} of the broker (${reason})`);
  return `${head.join("\n")}\n`;
}

function listenerText({ name, address, connections, accepted, refused, failed }: GatewayStats["broker"]["listeners"][number]): string {
  const numbers = `${count(connections)} connections, ${count(accepted)} taken, ${count(failed)} failed, ${count(refused)} refused`;
  return `           ${name} at ${address}: ${numbers}`;
}

const NUMBERS = ["handled", "failed", "retried", "deadLettered", "emitted", "published", "backlog", "instances"] as const;
const HEADINGS = ["handled", "failed", "retried", "dead", "emitted", "published", "backlog", "isolates"];

function functionTable(functions: GatewayStats["functions"]): string {
  const rows = functions.map((each) => [
    each.name,
    `v${each.version}`,
    each.state,
    ...NUMBERS.map((name) => count(each[name])),
    startMs(each.starts),
  ]);
  const totals = NUMBERS.map((name) => count(functions.reduce((sum, each) => sum + each[name], 0)));
  const headings = [...HEADINGS, "start ms"];
  const body = table(["function", "version", "state", ...headings], [...rows, ["total", "", "", ...totals, ""]], headings);
  const errors = functions.flatMap(({ name, error, secretProblems = [] }) => [
    ...(error === undefined ? [] : [`${name}: ${error}\n`]),
    ...secretProblems.map((problem) => `${name}: ${problem}\n`),
  ]);
  return body + errors.join("");
}

/** The mean of all starts. */
function startMs({ count: starts, isolateMs, compileMs, initMs }: StartStats): string {
  return starts === 0 ? "" : ((isolateMs + compileMs + initMs) / starts).toFixed(1);
}
