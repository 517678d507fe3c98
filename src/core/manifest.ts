import { z } from "zod";
import { parseTopicFilter, topicProblem, TopicTrie } from "./topic.ts";

/** A manifest with every default filled in, durations in milliseconds and sizes in bytes: what a bundle carries and the runtime obeys. */
export const manifestSchema = z.strictObject({
  name: z.string(),
  api: z.literal(1),
  description: z.string(),
  triggers: z.array(z.strictObject({ mqtt: z.string() })).min(1),
  /** Name of a wildcard that every trigger has; undefined means the topic. */
  key: z.string().optional(),
  concurrency: z.int().min(1).max(64),
  limits: z.strictObject({
    cpuMs: z.int().positive(),
    wallMs: z.int().positive(),
    memoryBytes: z.int().positive(),
    outputBytes: z.int().positive(),
    stateValueBytes: z.int().positive(),
  }),
  retry: z.strictObject({ attempts: z.int().min(1), minMs: z.int().min(0), maxMs: z.int().min(0), maxAgeMs: z.int().positive() }),
  permissions: z.strictObject({ publish: z.array(z.string()), emit: z.array(z.string()) }),
  env: z.record(z.string(), z.string()),
});

export type Manifest = Readonly<z.infer<typeof manifestSchema>>;

/** Answers that a function's permissions remember. */
const KNOWN_TOPICS_MAX = 1_000;

/** What a function may let out, ready to be asked for each effect. */
export interface Permissions {
  mayPublish(topic: string): boolean;
  mayEmit(type: string): boolean;
}

/**
 * `publish` holds topic filters; `emit` holds event types, where a `*` at the end stands for any rest.
 * @throws MillraceError TOPIC_FILTER_INVALID
 */
export function compilePermissions(permissions: Manifest["permissions"]): Permissions {
  const topics = new TopicTrie<true>();
  for (const filter of permissions.publish) topics.add(parseTopicFilter(filter), true);
  const exact = new Set(permissions.emit.filter((pattern) => !pattern.endsWith("*")));
  const prefixes = permissions.emit.filter((pattern) => pattern.endsWith("*")).map((pattern) => pattern.slice(0, -1));
  const known = new Map<string, boolean>();
  return {
    mayPublish(topic) {
      let allowed = known.get(topic);
      if (allowed === undefined) {
        allowed = topics.match(topic).size > 0 && topicProblem(topic) === undefined;
        if (known.size >= KNOWN_TOPICS_MAX) known.clear();
        known.set(topic, allowed);
      }
      return allowed;
    },
    mayEmit: (type) => exact.has(type) || prefixes.some((prefix) => type.startsWith(prefix)),
  };
}
