/** A topic filter as one of several in their order: the first one that matches a topic decides. */
export interface Entry {
  readonly levels: readonly string[];
  readonly allow: boolean;
}

/** A topic that is not allowed, and the entry that says so; undefined when none matches. */
export interface Gap<E extends Entry> {
  readonly topic: string;
  readonly entry: E | undefined;
}

/** States that a look at one filter may go through; one that needs more counts as not covered. */
const STEPS_MAX = 20_000;

/** The first entry that matches the topic (MQTT 5, 4.7). */
export function firstMatch<E extends Entry>(entries: readonly E[], topic: string): E | undefined {
  const levels = topic.split("/");
  return entries.find((entry) => matches(entry.levels, levels));
}

function matches(filter: readonly string[], topic: readonly string[]): boolean {
  const [first = ""] = topic;
  for (const [index, level] of filter.entries()) {
    if (index === 0 && (level === "#" || level === "+") && first.startsWith("$")) return false;
    if (level === "#") return true;
    const other = topic[index];
    if (other === undefined || (level !== "+" && level !== other)) return false;
  }
  return filter.length === topic.length;
}

/**
 * A topic that the filter matches and the entries do not allow; undefined when they allow every one of them. Goes level by level with all entries that
 * may still match, and with one name for all those that no entry has.
 */
export function gapOf<E extends Entry>(filter: string, entries: readonly E[]): Gap<E> | undefined {
  const walk = new Walk<E>(filter.split("/"));
  const live = entries.map((entry) => ({ entry, rest: false }));
  return walk.from([], live);
}

interface Live<E> {
  readonly entry: E;
  /** It has met its `#` and matches whatever follows. */
  readonly rest: boolean;
}

class Walk<E extends Entry> {
  readonly #filter: readonly string[];
  readonly #hash: boolean;
  #steps = 0;

  constructor(filter: readonly string[]) {
    this.#hash = filter.at(-1) === "#";
    this.#filter = this.#hash ? filter.slice(0, -1) : filter;
  }

  /** `live` matches the levels so far. */
  from(prefix: readonly string[], live: readonly Live<E>[]): Gap<E> | undefined {
    const [first] = live;
    if (first?.rest === true && first.entry.allow) return undefined;
    // There is no topic without a character.
    if (prefix.length === 1 && prefix[0] === "" && this.#filter.length === 1 && !this.#hash) return undefined;
    if (++this.#steps > STEPS_MAX || !live.some(({ entry }) => entry.allow)) return this.#witness(prefix, live);
    return this.#ending(prefix, live) ?? this.#going(prefix, live);
  }

  /** Of the topic that ends here, if the filter has it. */
  #ending(prefix: readonly string[], live: readonly Live<E>[]): Gap<E> | undefined {
    const ends = prefix.length === this.#filter.length || (this.#hash && prefix.length > this.#filter.length);
    const isTopic = prefix.length > 1 || (prefix.length === 1 && prefix[0] !== "");
    if (!ends || !isTopic) return undefined;
    const entry = live.find((one) => one.rest || endsAt(one.entry.levels, prefix.length))?.entry;
    return entry?.allow === true ? undefined : { topic: prefix.join("/"), entry };
  }

  #going(prefix: readonly string[], live: readonly Live<E>[]): Gap<E> | undefined {
    const at = prefix.length;
    if (at >= this.#filter.length && !this.#hash) return undefined;
    const asked = this.#filter[at] ?? "+";
    for (const level of asked === "+" ? namesAt(at, live) : [asked]) {
      const gap = this.from([...prefix, level], advance(live, at, level));
      if (gap !== undefined) return gap;
    }
    return undefined;
  }

  /** Any topic from here on will do. */
  #witness(prefix: readonly string[], live: readonly Live<E>[]): Gap<E> {
    const topic = [...prefix];
    let left = live;
    const isShort = (): boolean => topic.length < this.#filter.length || topic.length === 0 || (topic.length === 1 && topic[0] === "");
    while (isShort()) {
      const asked = this.#filter[topic.length] ?? "+";
      const level = asked === "+" ? freshName(topic.length, left) : asked;
      left = advance(left, topic.length, level);
      topic.push(level);
    }
    return { topic: topic.join("/"), entry: left.find((one) => one.rest || endsAt(one.entry.levels, topic.length))?.entry };
  }
}

function endsAt(levels: readonly string[], length: number): boolean {
  return levels.length === length || (levels.length === length + 1 && levels[length] === "#");
}

/** What still matches behind one more level. Behind an entry that matches everything no other one counts. */
function advance<E extends Entry>(live: readonly Live<E>[], at: number, level: string): Live<E>[] {
  const next: Live<E>[] = [];
  for (const one of live) {
    const asked = one.rest ? "#" : one.entry.levels[at];
    if (asked === undefined || (at === 0 && level.startsWith("$") && (asked === "#" || asked === "+"))) continue;
    if (asked === "#") {
      next.push({ entry: one.entry, rest: true });
      break;
    }
    if (asked === "+" || asked === level) next.push(one);
  }
  return next;
}

/** The names that entries have for this level, and one that none has. What starts with `$` no wildcard matches in the first (MQTT 5, 4.7.2). */
function namesAt<E extends Entry>(at: number, live: readonly Live<E>[]): Iterable<string> {
  const names = new Set<string>([freshName(at, live)]);
  for (const { entry, rest } of live) {
    const level = rest ? undefined : entry.levels[at];
    if (level !== undefined && level !== "+" && level !== "#" && !(at === 0 && level.startsWith("$"))) names.add(level);
  }
  return names;
}

function freshName<E extends Entry>(at: number, live: readonly Live<E>[]): string {
  for (let number = 0; ; number++) {
    const name = number === 0 ? "x" : `x${number}`;
    if (!live.some(({ entry, rest }) => !rest && entry.levels[at] === name)) return name;
  }
}
