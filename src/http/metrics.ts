import type { Dropped } from "../core/drops.ts";
import type { StartStats } from "../core/starts.ts";
import type { FunctionStats, GatewayStats } from "../core/stats.ts";

export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

interface Metric<T> {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  value(of: T): number;
}

const GATEWAY: readonly Metric<GatewayStats>[] = [
  gauge("start_time_seconds", "When the process started, in seconds since the epoch.", (s) => Date.parse(s.startedAt) / 1000),
  gauge("mqtt_clients", "Connected MQTT clients.", (s) => s.broker.clients),
  counter("messages_received_total", "Messages received from MQTT clients.", (s) => s.broker.received),
  counter("messages_delivered_total", "Messages delivered to MQTT clients.", (s) => s.broker.delivered),
  counter("messages_refused_total", "Messages and clients that the broker refused.", (s) => s.broker.refused),
  gauge("inflight_bytes", "What clients have sent and the broker is not done with.", (s) => s.broker.inflightBytes),
  counter(
    "inflight_waits_total",
    "Times that a client was not read further because of mqtt.inflight_bytes_max.",
    (s) => s.broker.inflightWaits,
  ),
  counter("journal_appended_total", "Messages appended to the journal.", (s) => s.journal.appended),
  counter("journal_commits_total", "Handled messages whose effects were committed.", (s) => s.journal.commits),
  gauge("journal_seq", "Newest position of the journal.", (s) => s.journal.seq),
  gauge("journal_floor", "Position below which everything was handled.", (s) => s.journal.floor),
  gauge("journal_first", "Oldest position that is kept.", (s) => s.journal.first),
  gauge("journal_bytes", "Bytes of the messages that are kept.", (s) => s.journal.bytes),
  gauge("journal_waiting", "Whether messages from clients have to wait for room: 1 or 0.", (s) => (s.journal.waiting.length > 0 ? 1 : 0)),
  gauge("dead_letters", "Dead letters that are kept.", (s) => s.deadLetters.count),
  gauge("dead_letters_bytes", "Bytes of the dead letters that are kept.", (s) => s.deadLetters.bytes),
  gauge("hosts", "Running host processes.", (s) => s.runtime.hosts),
  counter("host_restarts_total", "Host processes that died and were started again.", (s) => s.runtime.hostRestarts),
  gauge("outbox_pending", "Events that the control plane has not confirmed.", (s) => s.outbox.pending),
  counter("outbox_uploaded_total", "Events that the control plane confirmed.", (s) => s.outbox.uploaded),
  counter("outbox_rejected_total", "Events that the control plane can never store.", (s) => s.outbox.rejected),
  gauge("link_connected", "Whether the link to the control plane is up: 1 or 0.", (s) => (s.link.connected ? 1 : 0)),
];

const FUNCTION: readonly Metric<FunctionStats>[] = [
  gauge("function_active", "Whether the version that was asked for is the one that runs: 1 or 0.", (f) => (f.state === "active" ? 1 : 0)),
  gauge("function_version", "Number of the version that runs.", (f) => f.version),
  gauge("function_backlog", "Messages that wait for the function.", (f) => f.backlog),
  gauge("function_instances", "Isolates that the function has.", (f) => f.instances),
  counter("function_handled_total", "Messages that the function handled.", (f) => f.handled),
  counter("function_failed_total", "Tries of the function that failed.", (f) => f.failed),
  counter("function_retried_total", "Tries that were repetitions.", (f) => f.retried),
  counter("function_dead_lettered_total", "Messages that were given up.", (f) => f.deadLettered),
  counter("function_duplicates_total", "Messages left out because of their idempotency key.", (f) => f.duplicates),
  counter("function_emitted_total", "Events that the function emitted.", (f) => f.emitted),
  counter("function_published_total", "Messages that the function published.", (f) => f.published),
  counter("function_starts_pooled_total", "Starts of the function that found an isolate ready.", (f) => f.starts.pooled),
  counter("function_starts_cached_total", "Starts of the function whose code had been compiled before.", (f) => f.starts.cached),
];

type Of = (starts: StartStats) => number;

/** Each as a summary: the sum of what the starts took, by phase, and how many there were. */
const START_PHASES: readonly { readonly phase: string; readonly ms: Of; readonly count: Of }[] = [
  { phase: "isolate", ms: (starts) => starts.isolateMs, count: ({ count }) => count },
  { phase: "compile", ms: (starts) => starts.compileMs, count: ({ count }) => count },
  { phase: "init", ms: (starts) => starts.initMs, count: ({ count }) => count },
  { phase: "first_call", ms: (starts) => starts.firstCallMs, count: (starts) => starts.firstCalls },
];

const DROPPED: Metric<Dropped> = counter("dropped_total", "What was dropped because a setting or a manifest says so.", (d) => d.count);

/** The stats in the text format of Prometheus, version 0.0.4. */
export function metricsText(stats: GatewayStats): string {
  const info = labels({ gateway: stats.gateway, version: stats.version });
  const lines = [
    "# HELP millrace_info Who this is; always 1.",
    "# TYPE millrace_info gauge",
    `millrace_info${info} 1`,
    ...GATEWAY.flatMap((metric) => [...head(metric), `millrace_${metric.name} ${metric.value(stats)}`]),
    ...FUNCTION.flatMap((metric) => [...head(metric), ...stats.functions.map((each) => sample(metric, each, { function: each.name }))]),
    "# HELP millrace_function_start_seconds What starts of the function's isolates took, by phase.",
    "# TYPE millrace_function_start_seconds summary",
    ...stats.functions.flatMap(({ name, starts }) => startSamples(name, starts)),
    ...head(DROPPED),
    ...stats.drops.map((each) => sample(DROPPED, each, { function: each.function, reason: each.reason })),
  ];
  return `${lines.join("\n")}\n`;
}

function head({ name, type, help }: Metric<never>): string[] {
  return [`# HELP millrace_${name} ${help}`, `# TYPE millrace_${name} ${type}`];
}

function sample<T>(metric: Metric<T>, of: T, by: Readonly<Record<string, string>>): string {
  return `millrace_${metric.name}${labels(by)} ${metric.value(of)}`;
}

function startSamples(name: string, starts: StartStats): string[] {
  return START_PHASES.flatMap(({ phase, ms, count }) => {
    const by = labels({ function: name, phase });
    const metric = "millrace_function_start_seconds";
    return [`${metric}_sum${by} ${ms(starts) / 1_000}`, `${metric}_count${by} ${count(starts)}`];
  });
}

function labels(values: Readonly<Record<string, string>>): string {
  return `{${Object.entries(values)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(",")}}`;
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function counter<T>(name: string, help: string, value: (of: T) => number): Metric<T> {
  return { name, type: "counter", help, value };
}

function gauge<T>(name: string, help: string, value: (of: T) => number): Metric<T> {
  return { name, type: "gauge", help, value };
}
