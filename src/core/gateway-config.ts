import { availableParallelism, hostname, totalmem } from "node:os";
import { ACCESS_TABLE } from "./access-config.ts";
import type { ConfigOf, ConfigTable } from "./config-table.ts";
import { GATEWAY_ID } from "./link.ts";
import { ANONYMOUS, LISTENERS } from "./listener-config.ts";
import { LOG_LEVELS } from "./stats.ts";
import { STORED_TABLE } from "./stored-config.ts";

const PORT = { type: "int", min: 0, max: 65_535 } as const;

/** Everything that can be set on a gateway. docs/reference/configuration.md is this table. */
export const GATEWAY_TABLE = {
  id: {
    type: "string",
    default: gatewayIdOf(hostname()),
    defaultText: "the name of the host",
    check: (text) =>
      GATEWAY_ID.test(text) ? undefined : "it needs 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first",
    description:
      "Name of the gateway; the control plane tells gateways apart by it, and event ids start with it. Never change it while events wait.",
  },
  labels: { type: "map", default: {}, description: "Labels such as `{site: milan, ring: canary}`, reported to the control plane." },
  data: {
    type: "string",
    default: ".millrace/gateway",
    check: notEmpty,
    description: "Folder of the journal, the sessions and the function versions.",
  },
  "mqtt.host": {
    type: "string",
    default: "127.0.0.1",
    check: notEmpty,
    description:
      "Address the broker listens on; `0.0.0.0` for every network of IPv4, `::` for both versions. Clients that do not come over loopback have to say who " +
      "they are, and may do only what rules allow, see docs/guide/access.md.",
  },
  "mqtt.port": { ...PORT, default: 1883, description: "Port of the broker; 0 picks a free one." },
  "mqtt.anonymous": ANONYMOUS,
  "mqtt.listeners": LISTENERS,
  "mqtt.payload_bytes_max": {
    type: "size",
    default: 1024 ** 2,
    min: 64,
    max: 256 * 1024 ** 2,
    description: "Largest payload of a message; a client that sends more is disconnected.",
  },
  "mqtt.clients_max": {
    type: "int",
    default: 10_000,
    min: 1,
    max: 1_000_000,
    unit: "clients",
    description: "Clients connected at once; further ones are refused.",
  },
  "mqtt.inflight_max": {
    type: "int",
    default: 1_000,
    min: 1,
    max: 65_535,
    unit: "messages",
    description:
      "Messages of one client that may wait for their acknowledgement; the client is not read further until one is acknowledged.",
  },
  "mqtt.inflight_bytes_max": {
    type: "size",
    default: 32 * 1024 ** 2,
    min: 64 * 1024,
    max: 1024 ** 4,
    description:
      "Memory for what all clients together have sent and the broker is not done with; above it a client is read on only when nothing of its own " +
      "is under way, packet by packet.",
  },
  ...STORED_TABLE,
  ...ACCESS_TABLE,
  "http.host": { type: "string", default: "127.0.0.1", check: notEmpty, description: "Address the local HTTP listens on." },
  "http.port": { ...PORT, default: 8330, description: "Port of the local HTTP; 0 picks a free one." },
  "http.request_timeout": {
    type: "duration",
    default: 30_000,
    min: 100,
    max: 10 * 60_000,
    description: "How long a caller of a function may take to send its request, and again to take the answer.",
  },
  "http.bytes_max": {
    type: "size",
    default: 32 * 1024 ** 2,
    min: 64 * 1024,
    max: 1024 ** 4,
    description:
      "Memory for the bodies of requests for functions; what comes above it is answered 503. One that is alone may have mqtt.payload_bytes_max in any case.",
  },
  "control.url": {
    type: "string",
    default: "mqtt://127.0.0.1:8884",
    check: linkProblem,
    description: "Where the control plane's MQTT is; empty for a gateway without a link.",
  },
  "runtime.hosts": {
    type: "int",
    default: Math.max(1, availableParallelism() - 1),
    defaultText: "processor cores − 1, at least 1",
    min: 1,
    max: 64,
    unit: "processes",
    description:
      "Host processes that functions share once they have proved harmless. Beside them there is one for versions that have not yet, and a spare one.",
  },
  "runtime.own_hosts_max": {
    type: "int",
    default: 4,
    min: 2,
    max: 64,
    unit: "processes",
    description:
      "Host processes with a single function: for `isolation: process`, for functions that have killed a host lately and for messages suspected of " +
      "it, which wait when all are taken. The last one is kept for such messages.",
  },
  "runtime.host_memory_max": {
    type: "size",
    default: hostMemoryMax(totalmem()),
    defaultText: "half of the machine's memory, at least 256MB, at most 1GB or, where that is more, an eighth of it",
    min: 128 * 1024 ** 2,
    max: 1024 ** 4,
    description: "Memory that a host process may take with all that is in it; above it is killed and replaced.",
  },
  "runtime.host_cgroups": {
    type: "string",
    default: "auto",
    choices: ["auto", "on", "off"],
    description:
      "Whether each host process gets a control group (version 2) in which the kernel keeps it to runtime.host_memory_max. `auto` where the gateway is alone " +
      "in a group that was surely delegated to it, `on` also as root and with others in the group, which are moved; hosts are watched in any case.",
  },
  "runtime.pending_max": {
    type: "int",
    default: 8_192,
    min: 1,
    max: 1_000_000,
    unit: "messages",
    description: "Messages held in memory for one function; what comes above it waits in the journal.",
  },
  "fetch.requests_max": {
    type: "int",
    default: 64,
    min: 1,
    max: 10_000,
    unit: "requests",
    description: "Fetches of all functions under way at once; further ones wait.",
  },
  "fetch.function_requests_max": {
    type: "int",
    default: 16,
    min: 1,
    max: 10_000,
    unit: "requests",
    description: "The same for one function.",
  },
  "fetch.bytes_max": {
    type: "size",
    default: 64 * 1024 ** 2,
    min: 1024 ** 2,
    max: 1024 ** 4,
    description: "Memory for the answers of fetches under way, each counted with `limits.fetch` of its function; further ones wait.",
  },
  "secrets.key_file": {
    type: "string",
    default: "",
    defaultText: "`secrets.key` in the data folder",
    description: "File with the key of the secrets; made by the first `millrace secrets set`, for its owner only.",
  },
  "journal.batch_max": {
    type: "int",
    default: 1_024,
    min: 1,
    max: 65_536,
    unit: "messages",
    description: "Messages that one synced write takes at most.",
  },
  "journal.durability": {
    type: "string",
    default: "fsync",
    choices: ["fsync", "interval", "os"],
    description:
      "When a message is safe from a power cut: `fsync` before its acknowledgement, `interval` at most journal.sync_interval later, `os` when " +
      "the operating system gets to it. A killed process loses nothing in any of them.",
  },
  "journal.sync_interval": {
    type: "duration",
    default: 100,
    min: 1,
    max: 60_000,
    description: "How long after its acknowledgement a message may be lost with the power when journal.durability is `interval`.",
  },
  "journal.compression": {
    type: "string",
    default: "none",
    choices: ["none", "zstd"],
    description: "How batches of messages of 1 KB and more are compressed on disk: `zstd` writes less to flash and takes processor time.",
  },
  "journal.retention_age": {
    type: "duration",
    default: 3_600_000,
    min: 0,
    max: 365 * 86_400_000,
    description: "How long messages that every function is done with are kept for replay.",
  },
  "journal.retention_bytes": {
    type: "size",
    default: 256 * 1024 ** 2,
    min: 0,
    max: 1024 ** 4,
    description: "How much of such messages is kept at most.",
  },
  "journal.bytes_max": {
    type: "size",
    default: 1024 ** 3,
    min: 4 * 1024 ** 2,
    max: 1024 ** 4,
    description:
      "Messages in the journal. At this size those that are kept for replay go first; then new ones wait without an acknowledgement until the " +
      "functions have caught up or dropped what their `overflow` allows.",
  },
  "journal.free_space_min": {
    type: "size",
    default: 64 * 1024 ** 2,
    min: 0,
    max: 1024 ** 4,
    description:
      "Free space on the disk below which new messages wait without an acknowledgement; functions go on, and what is kept for replay is deleted.",
  },
  "dead_letters.bytes_max": {
    type: "size",
    default: 64 * 1024 ** 2,
    min: 64 * 1024,
    max: 1024 ** 4,
    description: "Dead letters of all functions. At this size a function waits, or drops letters, as its `overflow` says.",
  },
  "outbox.bytes_max": {
    type: "size",
    default: 1024 ** 3,
    min: 1024 ** 2,
    max: 1024 ** 4,
    description: "Events that wait for the cloud, in all; above it their `overflow` of the manifest applies.",
  },
  "outbox.lane_bytes_max": {
    type: "size",
    default: 512 * 1024 ** 2,
    min: 1024 ** 2,
    max: 1024 ** 4,
    description: "The same for the events of one priority.",
  },
  "outbox.backlog_share": {
    type: "int",
    default: 20,
    min: 0,
    max: 100,
    unit: "percent",
    description: "Batches for events that waited when the link came up, while there are new ones of the same priority.",
  },
  "outbox.rate_max": {
    type: "size",
    default: 0,
    min: 0,
    max: 1024 ** 4,
    description: "Bytes of events each second on the link, for metered links; `0B` for as many as it takes.",
  },
  "outbox.compression": {
    type: "string",
    default: "zstd",
    choices: ["zstd", "none"],
    description: "How batches of events travel; small ones are never compressed.",
  },
  "logs.store": {
    type: "string",
    default: "disk",
    choices: ["disk", "memory"],
    description:
      "Where logs of functions are kept. `memory` spares the flash: the newest 10,000 records of at most 8MB are there until the gateway stops.",
  },
  "logs.bytes_max": {
    type: "size",
    default: 64 * 1024 ** 2,
    min: 4 * 1024 ** 2,
    max: 16 * 1024 ** 3,
    description: "Logs of functions on disk, uncompressed. At this size the oldest eighth is deleted.",
  },
  "traces.rate_max": {
    type: "int",
    default: 100,
    min: 0,
    max: 10_000,
    unit: "records/s",
    description:
      "What `millrace trace` shows in full: tries that failed, and as many again of messages whose `traceparent` is sampled and of what recorded " +
      "messages led to. What is above it is counted in `drops` as `trace-overflow`.",
  },
  "traces.sample_max": {
    type: "int",
    default: 10,
    min: 0,
    max: 10_000,
    unit: "records/s",
    description: "The same for all other messages, a sample of them. With 0 here and for `traces.rate_max` nothing is recorded.",
  },
  "traces.bytes_max": {
    type: "size",
    default: 16 * 1024 ** 2,
    min: 64 * 1024,
    max: 16 * 1024 ** 3,
    description: "Such records on disk. At this size those of the oldest messages are deleted, an eighth of it at once.",
  },
  "log.level": {
    type: "string",
    default: "info",
    choices: LOG_LEVELS,
    description: "Least severe level that the process logs on standard error.",
  },
} as const satisfies ConfigTable;

export type GatewayConfig = ConfigOf<typeof GATEWAY_TABLE>;

/** The settings of one of `mqtt.listeners`. */
export type ListenerConfig = GatewayConfig["mqtt"]["listeners"][string];

/** A host name made into a gateway id: what an id cannot contain becomes a dash. */
export function gatewayIdOf(host: string): string {
  const id = host
    .replaceAll(/[^A-Za-z0-9_.-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 64);
  return GATEWAY_ID.test(id) ? id : "gateway";
}

function notEmpty(text: string): string | undefined {
  return text.trim() === "" ? "it is empty" : undefined;
}

function linkProblem(text: string): string | undefined {
  if (text === "") return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const good = url !== undefined && ["mqtt:", "mqtts:"].includes(url.protocol) && url.hostname !== "";
  return good ? undefined : `"${text}" is not an address such as mqtt://control.example.com:8884`;
}

/** Bytes for one host of a machine with so many: hosts are several, and functions that work all at once take 5 to 7 MB each (docs/guide/sizing.md). */
function hostMemoryMax(machine: number): number {
  const most = Math.max(1024 ** 3, machine / 8);
  return Math.floor(Math.min(most, Math.max(256 * 1024 ** 2, machine / 2)) / 1024 ** 2) * 1024 ** 2;
}
