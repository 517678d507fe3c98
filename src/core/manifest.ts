import { z } from "zod";
import { parseTopicFilter, topicProblem, TopicTrie } from "./topic.ts";
import { TopicMemory } from "./topic-memory.ts";
import { triggerSpecSchema } from "./triggers.ts";

/** What may happen when there is no room: to messages of a function in the journal, to events in the outbox. */
export const OVERFLOWS = ["block", "drop-oldest", "drop-newest", "keep-latest"] as const;
export type Overflow = (typeof OVERFLOWS)[number];

export const ISOLATIONS = ["shared", "process"] as const;

export const ORDERS = ["strict", "relaxed"] as const;

/** `data.` and a path of names into a JSON payload, or `property:` and the name of an MQTT 5 user property. */
export const IDEMPOTENCY_KEY = /^(data(\.[^.\s]+)+|property:.+)$/;

/** What a timer of Node waits at most; with more it would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * A manifest with every default filled in, durations in milliseconds and sizes in bytes: what a bundle carries and the runtime obeys. Keys with
 * a default here are younger than the first bundles, which do not have them.
 */
export const manifestSchema = z.strictObject({
  name: z.string(),
  api: z.literal(1),
  description: z.string(),
  triggers: z.array(triggerSpecSchema).min(1),
  /** Name of a wildcard that every trigger has which may have one, or a path into the payload such as `data.id`; undefined means the topic. */
  key: z.string().optional(),
  /** Whether a message that waits for its retry holds back those behind it with the same key. */
  order: z.enum(ORDERS).default("strict"),
  idempotency: z
    .strictObject({ key: z.string().regex(IDEMPOTENCY_KEY), windowMs: z.int().positive(), entries: z.int().positive() })
    .optional(),
  /** How many messages a call of `batch` gets at most, and how long the first of them waits for the others. */
  batch: z.strictObject({ size: z.int().min(1).max(256), windowMs: z.int().min(0).max(60_000) }).optional(),
  overflow: z.enum(OVERFLOWS).default("block"),
  /** How events wait for the cloud, by type; the first rule that matches. */
  outbox: z
    .array(
      z.strictObject({
        types: z.array(z.string()).min(1),
        priority: z.int().min(0).max(9),
        ttlMs: z.int().positive().optional(),
        overflow: z.enum(OVERFLOWS),
      }),
    )
    .default([]),
  /** Of what it keeps: above 1 when what that looks like has changed, and `migrate` of the function brings older state along. */
  state: z.strictObject({ version: z.int().min(1) }).optional(),
  concurrency: z.int().min(1).max(64),
  /** Isolates that are kept when there is nothing to do. */
  warm: z.int().min(0).max(64).default(0),
  /** The others are dropped when there has been nothing to do for that long. */
  idleMs: z.int().positive().max(TIMER_MS_MAX).default(60_000),
  /** `process`: in a host process with nothing else. */
  isolation: z.enum(ISOLATIONS).default("shared"),
  limits: z.strictObject({
    cpuMs: z
      .int()
      .positive()
      .max(Math.floor(TIMER_MS_MAX / 2)), // A batch may have twice as much.
    wallMs: z.int().positive().max(TIMER_MS_MAX),
    memoryBytes: z.int().positive(),
    /** `init` of an isolate; well below what a host may take for a whole start. */
    initMs: z.int().positive().max(5_000).default(2_000),
    outputBytes: z.int().positive(),
    /** One value in the state. */
    stateValueBytes: z.int().positive(),
    /** Everything that the function keeps. */
    stateBytes: z
      .int()
      .positive()
      .default(64 * 2 ** 20),
    /** One body of a fetch, sent or received. */
    fetchBytes: z
      .int()
      .positive()
      .default(2 ** 20),
  }),
  retry: z.strictObject({
    attempts: z.int().min(1),
    minMs: z.int().min(0).max(TIMER_MS_MAX),
    maxMs: z.int().min(0).max(TIMER_MS_MAX),
    maxAgeMs: z.int().positive(),
  }),
  /** What a message that is given up brings about, beside its dead letter: a message to a topic, an event of a type. */
  onFailure: z.strictObject({ publish: z.string().optional(), emit: z.string().optional() }).optional(),
  permissions: z.strictObject({
    publish: z.array(z.string()),
    emit: z.array(z.string()),
    /** Origins that it may fetch from, see core/http-permission.ts. */
    http: z.array(z.string()).default([]),
    /** Names of secrets that it may read. */
    secrets: z.array(z.string()).default([]),
  }),
  env: z.record(z.string(), z.string()),
});

export type Manifest = Readonly<z.infer<typeof manifestSchema>>;

/** What a function may let out, ready to be asked for each effect. */
export interface Permissions {
  mayPublish(topic: string): boolean;
  mayEmit(type: string): boolean;
}

/**
 * `publish` holds topic filters; `emit` holds event types, where a `*` at the end stands for any rest.
 * @throws MillraceError TOPIC_FILTER_INVALID
 */
export function compilePermissions(permissions: Pick<Manifest["permissions"], "publish" | "emit">): Permissions {
  const topics = new TopicTrie<true>();
  for (const filter of permissions.publish) topics.add(parseTopicFilter(filter), true);
  const exact = new Set(permissions.emit.filter((pattern) => !pattern.endsWith("*")));
  const prefixes = permissions.emit.filter((pattern) => pattern.endsWith("*")).map((pattern) => pattern.slice(0, -1));
  const known = new TopicMemory<boolean>();
  return {
    mayPublish(topic) {
      let allowed = known.get(topic);
      if (allowed === undefined) {
        allowed = topics.match(topic).size > 0 && topicProblem(topic) === undefined;
        known.set(topic, allowed);
      }
      return allowed;
    },
    mayEmit: (type) => exact.has(type) || prefixes.some((prefix) => type.startsWith(prefix)),
  };
}
