import type { ConfigTable } from "./config-table.ts";

/** What the broker keeps on disk for its clients. Part of the table of the gateway. */
export const STORED_TABLE = {
  "mqtt.sessions_max": {
    type: "int",
    default: 10_000,
    min: 1,
    max: 1_000_000,
    unit: "sessions",
    description:
      "Sessions that are kept while their clients are away; above it the one ends whose client has been away longest, as if it had expired. " +
      "Counted as `sessions`.",
  },
  "mqtt.session_age_max": {
    type: "duration",
    default: 90 * 86_400_000,
    min: 1_000,
    max: 100 * 365 * 86_400_000,
    description:
      "How long a session is kept while its client is away. Clients of version 5 that ask for more are told this; before version 5 it is the only end of a " +
      "session that is not clean.",
  },
  "mqtt.queue_messages_max": {
    type: "int",
    default: 100_000,
    min: 1,
    max: 10_000_000,
    unit: "messages",
    description:
      "Messages that wait for one session while its client is away or slow; above it the one that has waited longest is dropped. " +
      "Counted as `queue-messages`. What was sent and is not acknowledged does not count here, and is never dropped.",
  },
  "mqtt.queue_bytes_max": {
    type: "size",
    default: 256 * 1024 ** 2,
    min: 1024,
    max: 1024 ** 4,
    description: "The same in bytes, with topics, properties and some 300 bytes for each message; counted as `queue-bytes`.",
  },
  "mqtt.queues_bytes_max": {
    type: "size",
    default: 512 * 1024 ** 2,
    min: 1024,
    max: 1024 ** 4,
    description:
      "The same for all sessions together; above it what has waited longest is dropped of the session that has most waiting, a sixty-fourth of this at once. " +
      "Counted as `queues-bytes`.",
  },
  "mqtt.retained_max": {
    type: "int",
    default: 100_000,
    min: 0,
    max: 10_000_000,
    unit: "messages",
    description:
      "Retained messages, one for each topic. Above it one with a new topic is delivered and not kept, and counted as `retained-messages`.",
  },
  "mqtt.retained_bytes_max": {
    type: "size",
    default: 256 * 1024 ** 2,
    min: 0,
    max: 1024 ** 4,
    description:
      "The same in bytes, with topics, properties and some 300 bytes for each message; counted as `retained-bytes`. " +
      "What was retained before for the topic of a message that has no room is deleted.",
  },
} as const satisfies ConfigTable;
