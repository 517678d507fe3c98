import { TopicMemory } from "../core/topic-memory.ts";

/** What the protocol engine keeps of a subscription of a connected client (MQTT 5, 3.8.3.1). */
export interface Subscribed {
  readonly qos?: number;
  /** Retain As Published. */
  readonly rap?: boolean | null;
  /** No Local. */
  readonly nl?: boolean | null;
  /** Subscription Identifier. */
  readonly si?: number | null;
}

/** What the subscriptions of a client that match a topic come to, together. */
export interface Grant {
  /** The highest of theirs [MQTT-3.3.4-2]. */
  readonly qos: number;
  /** Whether one of them has the retain flag as it was published [MQTT-3.3.1-13]. */
  readonly retained: boolean;
  /** Of all of them that have one [MQTT-3.3.4-4]; undefined when none has. */
  readonly identifiers: number | readonly number[] | undefined;
}

interface Filter {
  readonly text: string;
  readonly subscribed: Subscribed;
  /** What comes of it when it alone matches. */
  readonly grant: Grant;
}

/** Of more filters it is remembered what they come to for a topic; few are looked at for each message. */
const FEW_FILTERS = 4;

const HASH = 35;
const PLUS = 43;

/** Of one client. */
const KNOWN_TOPICS_MAX = 500;

interface Known {
  /** Undefined when it gets nothing. */
  readonly grant: Grant | undefined;
}

/**
 * What a client is to get of each topic. A message that several of its subscriptions match reaches it once, so all of them have to be looked at
 * together. `changes` is a number that grows with each change of anybody's subscriptions.
 */
export class Grants {
  readonly #subscriptions: () => Readonly<Record<string, Subscribed>>;
  readonly #changes: () => number;
  #seen = -1;
  #filters: readonly Filter[] = [];
  #foreign: TopicMemory<Known> | undefined;
  #own: TopicMemory<Known> | undefined;

  constructor(subscriptions: () => Readonly<Record<string, Subscribed>>, changes: () => number) {
    this.#subscriptions = subscriptions;
    this.#changes = changes;
  }

  /** Undefined when it gets nothing. `isOwn` says that the client has published it, which it may not want to get back [MQTT-3.8.3-3]. */
  of(topic: string, isOwn: boolean): Grant | undefined {
    this.#refresh();
    if (this.#filters.length <= FEW_FILTERS) return this.#find(topic, isOwn);
    const known = isOwn ? (this.#own ??= new TopicMemory(KNOWN_TOPICS_MAX)) : (this.#foreign ??= new TopicMemory(KNOWN_TOPICS_MAX));
    const before = known.get(topic);
    if (before !== undefined) return before.grant;
    const grant = this.#find(topic, isOwn);
    known.set(topic, { grant });
    return grant;
  }

  #find(topic: string, isOwn: boolean): Grant | undefined {
    let only: Filter | undefined;
    let several: Subscribed[] | undefined;
    for (const filter of this.#filters) {
      if ((isOwn && filter.subscribed.nl === true) || !matches(filter.text, topic)) continue;
      if (only === undefined) only = filter;
      else (several ??= [only.subscribed]).push(filter.subscribed);
    }
    return several === undefined ? only?.grant : together(several);
  }

  /** Of one subscription, by its key: that of a group counts by itself. */
  ofKey(key: string): Grant | undefined {
    const subscribed = this.#subscriptions()[key];
    return subscribed === undefined ? undefined : together([subscribed]);
  }

  #refresh(): void {
    const changes = this.#changes();
    if (changes === this.#seen) return;
    this.#seen = changes;
    this.#filters = Object.entries(this.#subscriptions()).map(([text, subscribed]) => ({
      text,
      subscribed,
      grant: together([subscribed]),
    }));
    this.#foreign = undefined;
    this.#own = undefined;
  }
}

function together(all: readonly Subscribed[]): Grant {
  const found = all.flatMap(({ si }) => (typeof si === "number" ? [si] : []));
  const identifiers = found.length > 1 ? found : found[0];
  return { qos: Math.max(...all.map(({ qos = 0 }) => qos)), retained: all.some(({ rap }) => rap === true), identifiers };
}

/** MQTT 5, 4.7.1 and 4.7.2. Level by level, without taking the texts apart: this is asked for every message. */
function matches(filter: string, topic: string): boolean {
  if ((filter.startsWith("+") || filter.startsWith("#")) && topic.startsWith("$")) return false;
  let at = 0;
  for (let from = 0; ;) {
    const code = filter.charCodeAt(from);
    if (code === HASH) return true;
    const end = endOfLevel(filter, from);
    const topicEnd = endOfLevel(topic, at);
    const isSame = topicEnd - at === end - from && topic.startsWith(filter.slice(from, end), at);
    if (code !== PLUS && !isSame) return false;
    if (end === filter.length) return topicEnd === topic.length;
    // What is left of the filter may be "#", which stands for the level above it, too.
    if (topicEnd === topic.length) return filter.length === end + 2 && filter.charCodeAt(end + 1) === HASH;
    from = end + 1;
    at = topicEnd + 1;
  }
}

function endOfLevel(text: string, from: number): number {
  const end = text.indexOf("/", from);
  return end < 0 ? text.length : end;
}
