import { parseTopicFilter, type TopicFilter, topicProblem } from "./topic.ts";

/**
 * Topics of messages that no client has published: ticks of schedules and whatever else the gateway itself puts into the journal. The broker
 * refuses what a client publishes to a topic that starts with `$`, and functions cannot publish there, so nobody else can make one.
 */
export const RESERVED = "$millrace/";

/** Why no message in a journal has this topic, or undefined when one can. */
export function messageTopicProblem(topic: string): string | undefined {
  return topicProblem(topic.startsWith(RESERVED) ? topic.slice(1) : topic);
}

/** Text as one level of a reserved topic, or as a part of one without wildcards. */
export function encodeLevel(text: string): string {
  // oxlint-disable-next-line no-control-regex -- a topic has no NUL, and the others would spoil every list that shows it.
  return text.replaceAll(/[%/+#*\u0000-\u001f\u007f]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}

/** The text that `encodeLevel` made a level of. */
export function decodeLevel(level: string): string {
  return level.replaceAll(/%([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}

/** A text in which a `*` at the end stands for any rest, as a level of a trigger's filter. */
export function encodePattern(pattern: string): string {
  return pattern.endsWith("*") ? `${encodeLevel(pattern.slice(0, -1))}*` : encodeLevel(pattern);
}

/** How the topics of changes of state begin. */
export const STATE_CHANGES = `${RESERVED}state/`;
/** The level of such a topic that is the key. */
const STATE_KEY_LEVEL = 3;

/** The level of the topic of a request that is its method; in a filter there may be several, with commas. */
const METHODS_LEVEL = 3;

/** What a trigger listens to: a topic filter, in which a level of a reserved topic may end with `*` for any rest. */
export interface TriggerFilter extends TopicFilter {
  /** Whether a topic that the levels match is really meant; all are without it. */
  accepts?(topic: string): boolean;
  /** The key of a message with this topic, whatever the function's key is otherwise. */
  keyOf?(topic: string): string;
}

/**
 * A filter of MQTT, with one more kind of wildcard when it is a reserved one.
 * @throws MillraceError TOPIC_FILTER_INVALID
 */
export function parseTriggerFilter(source: string): TriggerFilter {
  const filter = parseTopicFilter(source);
  const starred = filter.levels.flatMap((level, index) => (level.endsWith("*") ? [{ index, start: level.slice(0, -1) }] : []));
  if (!source.startsWith(RESERVED)) return filter;
  const methods = filter.levels[1] === "http" ? filter.levels[METHODS_LEVEL]?.split(",") : undefined;
  if (methods !== undefined && methods.length > 1) {
    const open = filter.levels.map((level, index) => (index === METHODS_LEVEL ? "+" : level));
    return { ...filter, levels: open, accepts: (topic) => methods.includes(topic.split("/")[METHODS_LEVEL] ?? "") };
  }
  const keyed = source.startsWith(STATE_CHANGES) ? { keyOf: stateKeyOf } : {};
  if (starred.length === 0) return { ...filter, ...keyed };
  const levels = filter.levels.map((level) => (level.endsWith("*") ? "+" : level));
  return {
    ...filter,
    ...keyed,
    levels,
    accepts(topic) {
      const given = topic.split("/");
      return starred.every(({ index, start }) => given[index]?.startsWith(start) === true);
    },
  };
}

function stateKeyOf(topic: string): string {
  return decodeLevel(topic.split("/")[STATE_KEY_LEVEL] ?? "");
}
