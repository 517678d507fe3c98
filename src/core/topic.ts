import { MillraceError } from "./errors.ts";

export const TOPIC_BYTES_MAX = 65_535;
export const TOPIC_LEVELS_MAX = 100;

/** An MQTT topic filter (MQTT 5, section 4.7), in which a single-level wildcard may carry a name: `sensors/+site/+device/temp`. */
export interface TopicFilter {
  readonly source: string;
  /** The filter as MQTT knows it, without names. */
  readonly mqtt: string;
  readonly levels: readonly string[];
  /** Name → index of the level it stands for. */
  readonly names: ReadonlyMap<string, number>;
}

const NAMED = /^\+([A-Za-z_][A-Za-z0-9_]*)$/;

/** @throws MillraceError TOPIC_FILTER_INVALID naming the level at fault. */
export function parseTopicFilter(source: string): TopicFilter {
  const levels = checkText(source).split("/");
  const names = new Map<string, number>();
  const plain = levels.map((level, index) => {
    const name = NAMED.exec(level)?.[1];
    if (name !== undefined) {
      if (names.has(name)) throw invalid(source, `two wildcards are named "${name}"`);
      names.set(name, index);
      return "+";
    }
    if (level === "#" && index !== levels.length - 1) throw invalid(source, `"#" in level ${index + 1} is not the last level`);
    if (level.length > 1 && /[+#]/.test(level)) {
      throw invalid(source, `level ${index + 1} "${level}" mixes a wildcard with other text; "+" and "+name" stand alone, "#" too`);
    }
    return level;
  });
  return { source, mqtt: plain.join("/"), levels: plain, names };
}

function checkText(source: string): string {
  if (source.length === 0) throw invalid(source, "it is empty");
  if (source.includes("\0")) throw invalid(source, "it contains a NUL character");
  if (Buffer.byteLength(source) > TOPIC_BYTES_MAX) throw invalid(source.slice(0, 40), `it is longer than ${TOPIC_BYTES_MAX} bytes`);
  const count = source.split("/").length;
  if (count > TOPIC_LEVELS_MAX) throw invalid(source.slice(0, 40), `it has ${count} levels, at most ${TOPIC_LEVELS_MAX} are allowed`);
  return source;
}

function invalid(source: string, reason: string): MillraceError {
  return new MillraceError("TOPIC_FILTER_INVALID", `topic filter "${source}": ${reason}`);
}

/** Why `topic` cannot be published to, or undefined when it can. */
export function topicProblem(topic: string): string | undefined {
  if (topic.length === 0) return "it is empty";
  if (/[+#\0]/.test(topic)) return "a wildcard or NUL character is not allowed in the topic of a message";
  if (topic.startsWith("$")) return 'topics that start with "$" belong to the broker';
  if (Buffer.byteLength(topic) > TOPIC_BYTES_MAX) return `it is longer than ${TOPIC_BYTES_MAX} bytes`;
  if (topic.split("/").length > TOPIC_LEVELS_MAX) return `it has more than ${TOPIC_LEVELS_MAX} levels`;
  return undefined;
}

/** Whether `filter` matches every topic that `other` matches. */
export function coversFilter({ levels }: Pick<TopicFilter, "levels">, other: Pick<TopicFilter, "levels">): boolean {
  for (const [index, level] of levels.entries()) {
    // It stands for the level above it too (MQTT 5, 4.7.1.2).
    if (level === "#") return other.levels.length >= index;
    const its = other.levels[index];
    if (its === undefined || its === "#" || (level !== "+" && level !== its)) return false;
  }
  return levels.length === other.levels.length;
}

/** What the named wildcards of `filter` stand for in `topic`, which must match it. */
export function topicParams(filter: TopicFilter, topic: string): Record<string, string> {
  const params: Record<string, string> = {};
  if (filter.names.size === 0) return params;
  const levels = topic.split("/");
  for (const [name, index] of filter.names) params[name] = levels[index] ?? "";
  return params;
}

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  readonly here: Set<T>;
  readonly below: Set<T>;
}

/**
 * Finds the values whose filters match a topic, in time that depends on the topic's levels and not on the number of filters.
 * A filter that starts with a wildcard does not match topics that start with `$` (MQTT 5, 4.7.2).
 */
export class TopicTrie<T> {
  readonly #root: Node<T> = node();

  add(filter: Pick<TopicFilter, "levels">, value: T): void {
    let at = this.#root;
    for (const level of filter.levels) {
      if (level === "#") {
        at.below.add(value);
        return;
      }
      let next = at.children.get(level);
      if (next === undefined) at.children.set(level, (next = node()));
      at = next;
    }
    at.here.add(value);
  }

  /** Forgets one value; branches that lead nowhere any more go with it. */
  remove(filter: Pick<TopicFilter, "levels">, value: T): void {
    removeFrom(this.#root, filter.levels, 0, value);
  }

  match(topic: string): Set<T> {
    const found = new Set<T>();
    collect(this.#root, topic.split("/"), 0, found);
    return found;
  }
}

function node<T>(): Node<T> {
  return { children: new Map(), here: new Set(), below: new Set() };
}

function collect<T>(at: Node<T>, levels: readonly string[], index: number, found: Set<T>): void {
  const reserved = index === 0 && (levels[0] ?? "").startsWith("$");
  if (!reserved) for (const value of at.below) found.add(value);
  const level = levels[index];
  if (level === undefined) {
    for (const value of at.here) found.add(value);
    return;
  }
  const exact = at.children.get(level);
  if (exact !== undefined) collect(exact, levels, index + 1, found);
  const any = reserved ? undefined : at.children.get("+");
  if (any !== undefined) collect(any, levels, index + 1, found);
}

/** Whether the node is empty after that. */
function removeFrom<T>(at: Node<T>, levels: readonly string[], index: number, value: T): boolean {
  const level = levels[index];
  if (level === undefined) at.here.delete(value);
  else if (level === "#") at.below.delete(value);
  else {
    const next = at.children.get(level);
    if (next !== undefined && removeFrom(next, levels, index + 1, value)) at.children.delete(level);
  }
  return at.children.size === 0 && at.here.size === 0 && at.below.size === 0;
}
