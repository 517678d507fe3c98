import type { Dropped } from "../core/drops.ts";
import type { ListenerStats } from "../core/listener-stats.ts";
import type { GatewayStats } from "../core/stats.ts";
import type { BrokerDropped } from "../core/stored-stats.ts";
import { FUNCTION_FAMILIES } from "./function-metrics.ts";
import { type Family, labels, type Metric, single } from "./metric-family.ts";

export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const GATEWAY: readonly Metric<GatewayStats>[] = [
  gauge("start_time_seconds", "When the process started, in seconds since the epoch.", (s) => Date.parse(s.startedAt) / 1000),
  gauge("mqtt_clients", "Connected MQTT clients.", (s) => s.broker.clients),
  counter("messages_received_total", "Messages received from MQTT clients.", (s) => s.broker.received),
  counter("messages_delivered_total", "Messages delivered to MQTT clients.", (s) => s.broker.delivered),
  counter("messages_refused_total", "Messages and clients that the broker refused.", (s) => s.broker.refused),
  counter("mqtt_wills_refused_total", "Wills that were due and that the broker did not publish.", (s) => s.broker.willsRefused),
  gauge("inflight_bytes", "What clients have sent and the broker is not done with.", (s) => s.broker.inflightBytes),
  counter(
    "inflight_waits_total",
    "Times that a client was not read further because of mqtt.inflight_bytes_max.",
    (s) => s.broker.inflightWaits,
  ),
  gauge("mqtt_sessions_away", "MQTT sessions whose clients are away.", (s) => s.broker.stored.sessionsAway),
  gauge("queued_messages", "Messages in the queues of MQTT sessions.", (s) => s.broker.stored.queuedMessages),
  gauge("queued_bytes", "Bytes in the queues of MQTT sessions.", (s) => s.broker.stored.queuedBytes),
  gauge("retained_messages", "Retained MQTT messages.", (s) => s.broker.stored.retainedMessages),
  gauge("retained_bytes", "Bytes of retained MQTT messages.", (s) => s.broker.stored.retainedBytes),
  gauge("calls_open", "Requests for functions that are open.", (s) => s.calls.open),
  gauge("calls_body_bytes", "Memory of the bodies of requests for functions.", (s) => s.calls.bodyBytes),
  counter("calls_refused_total", "Requests for functions answered 503 for want of a place or of memory.", (s) => s.calls.refused),
  counter("calls_late_total", "Requests for functions answered 408 because they did not come in time.", (s) => s.calls.late),
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
  counter(
    "isolates_evicted_total",
    "Idle isolates that ended to make room for others in their host process.",
    (s) => s.runtime.isolatesEvicted,
  ),
  gauge("outbox_pending", "Events that the control plane has not confirmed.", (s) => s.outbox.pending),
  counter("outbox_uploaded_total", "Events that the control plane confirmed.", (s) => s.outbox.uploaded),
  counter("outbox_rejected_total", "Events that the control plane can never store.", (s) => s.outbox.rejected),
  gauge("link_connected", "Whether the link to the control plane is up: 1 or 0.", (s) => (s.link.connected ? 1 : 0)),
];

const LISTENERS: readonly Metric<ListenerStats>[] = [
  gauge("listener_connections", "Open connections of MQTT clients.", (l) => l.connections),
  gauge("listener_handshakes", "Connections whose PROXY header, TLS or WebSocket handshake is under way.", (l) => l.handshakes),
  counter("listener_accepted_total", "Connections that were taken.", (l) => l.accepted),
  counter("listener_refused_total", "Connections that were closed because there were too many.", (l) => l.refused),
  counter("listener_failed_total", "Connections that failed before MQTT began on them.", (l) => l.failed),
];

const DROPPED: Metric<Dropped> = counter("dropped_total", "What was dropped because a setting or a manifest says so.", (d) => d.count);

const BROKER_DROPPED: Metric<BrokerDropped> = counter(
  "mqtt_dropped_total",
  "What the broker did not keep because a setting says so.",
  (d) => d.count,
);

/** Everything at /metrics, in its order. docs/reference/metrics.md is this table. */
export const FAMILIES: readonly Family[] = [
  {
    name: "info",
    type: "gauge",
    help: "Who this is; always 1.",
    labels: ["gateway", "version"],
    samples: ({ gateway, version }) => [`millrace_info${labels({ gateway, version })} 1`],
  },
  ...GATEWAY.map((metric) => single(metric, [], (stats) => [[stats, {}]])),
  ...LISTENERS.map((metric) =>
    single(metric, ["listener"], ({ broker }) => broker.listeners.map((each) => [each, { listener: each.name }])),
  ),
  single(BROKER_DROPPED, ["reason"], ({ broker }) => broker.stored.drops.map((each) => [each, { reason: each.reason }])),
  ...FUNCTION_FAMILIES,
  single(DROPPED, ["function", "reason"], ({ drops }) => drops.map((each) => [each, { function: each.function, reason: each.reason }])),
];

/** The stats in the text format of Prometheus, version 0.0.4. */
export function metricsText(stats: GatewayStats): string {
  const lines = FAMILIES.flatMap((family) => {
    const { name, type, help } = family;
    return [`# HELP millrace_${name} ${help}`, `# TYPE millrace_${name} ${type}`, ...family.samples(stats)];
  });
  return `${lines.join("\n")}\n`;
}

function counter<T>(name: string, help: string, value: (of: T) => number): Metric<T> {
  return { name, type: "counter", help, value };
}

function gauge<T>(name: string, help: string, value: (of: T) => number): Metric<T> {
  return { name, type: "gauge", help, value };
}
