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
  readonly levels: readonly string[];
  readonly subscribed: Subscribed;
}

const KNOWN_TOPICS_MAX = 1_000;

/**
 * What a client is to get of each topic. A message that several of its subscriptions match reaches it once, so all of them have to be looked at
 * together. `changes` is a number that grows with each change of anybody's subscriptions.
 */
export class Grants {
  readonly #subscriptions: () => Readonly<Record<string, Subscribed>>;
  readonly #changes: () => number;
  #seen = -1;
  #filters: readonly Filter[] = [];
  readonly #foreign = new Map<string, Grant | undefined>();
  readonly #own = new Map<string, Grant | undefined>();

  constructor(subscriptions: () => Readonly<Record<string, Subscribed>>, changes: () => number) {
    this.#subscriptions = subscriptions;
    this.#changes = changes;
  }

  /** Undefined when it gets nothing. `isOwn` says that the client has published it, which it may not want to get back [MQTT-3.8.3-3]. */
  of(topic: string, isOwn: boolean): Grant | undefined {
    this.#refresh();
    const known = isOwn ? this.#own : this.#foreign;
    if (known.has(topic)) return known.get(topic);
    const levels = topic.split("/");
    const matching = this.#filters.filter((filter) => matches(filter.levels, levels) && !(isOwn && filter.subscribed.nl === true));
    const grant = together(matching.map(({ subscribed }) => subscribed));
    if (known.size >= KNOWN_TOPICS_MAX) known.clear();
    known.set(topic, grant);
    return grant;
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
    this.#filters = Object.entries(this.#subscriptions()).map(([text, subscribed]) => ({ levels: text.split("/"), subscribed }));
    this.#foreign.clear();
    this.#own.clear();
  }
}

function together(all: readonly Subscribed[]): Grant | undefined {
  if (all.length === 0) return undefined;
  const found = all.flatMap(({ si }) => (typeof si === "number" ? [si] : []));
  const identifiers = found.length > 1 ? found : found[0];
  return { qos: Math.max(...all.map(({ qos = 0 }) => qos)), retained: all.some(({ rap }) => rap === true), identifiers };
}

/** MQTT 5, 4.7.1 and 4.7.2. */
function matches(filter: readonly string[], topic: readonly string[]): boolean {
  const [first] = filter;
  if ((first === "+" || first === "#") && topic[0]?.startsWith("$") === true) return false;
  for (const [index, level] of filter.entries()) {
    if (level === "#") return true;
    if (index >= topic.length || (level !== "+" && level !== topic[index])) return false;
  }
  return filter.length === topic.length;
}
