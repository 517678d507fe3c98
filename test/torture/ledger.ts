/**
 * Where the messages of a key go: `in` wakes functions, `rare` wakes one that has dropped its isolates meanwhile, `plain` wakes none and goes
 * from client to client, `light` wakes one whose trigger is not durable.
 */
export type Way = "in" | "rare" | "plain" | "light";

/** Deliveries that are told of with one that came too late, and how many of these are told of. */
const LATEST_MAX = 12;
const STORIES_MAX = 3;

/** What one subscriber has got of the messages of a key. */
export class Received {
  /** Deliveries by number. */
  readonly times = new Map<number, number>();
  /** Numbers that came for the first time after a higher one. */
  readonly disordered: number[] = [];
  /** How the first of those came, and what came just before. */
  readonly stories: string[] = [];
  readonly #latest: string[] = [];
  #highest = 0;

  /** `how` says by which connection, with which packet id, and whether as a repetition. */
  add(n: number, how: string): void {
    const before = this.times.get(n) ?? 0;
    this.times.set(n, before + 1);
    this.#latest.push(`${n} ${how}`);
    if (this.#latest.length > LATEST_MAX) this.#latest.shift();
    if (before === 0 && n < this.#highest) {
      this.disordered.push(n);
      if (this.stories.length < STORIES_MAX) this.stories.push(this.#latest.join(", "));
    }
    this.#highest = Math.max(this.#highest, n);
  }
}

/** What the outside world knows of the messages of one key. Numbers start at 1 and are used once. */
export class KeyLedger {
  readonly key: string;
  readonly way: Way;
  readonly qos: 0 | 1 | 2;
  sent = 0;
  readonly acknowledged = new Set<number>();
  readonly #received = new Map<string, Received>();

  constructor(key: string, way: Way, qos: 0 | 1 | 2) {
    this.key = key;
    this.way = way;
    this.qos = qos;
  }

  get topic(): string {
    return `${this.way}/${this.key}`;
  }

  next(): number {
    return ++this.sent;
  }

  /** Of a local subscriber, by its name: the message itself when it wakes no function, else what the first function passes on. */
  received(observer: string): Received {
    const found = this.#received.get(observer) ?? new Received();
    this.#received.set(observer, found);
    return found;
  }
}

export class Ledger {
  readonly keys: readonly KeyLedger[];
  readonly #byName: ReadonlyMap<string, KeyLedger>;

  constructor(keys: readonly KeyLedger[]) {
    this.keys = keys;
    this.#byName = new Map(keys.map((one) => [one.key, one]));
  }

  of(way: Way): readonly KeyLedger[] {
    return this.keys.filter((one) => one.way === way);
  }

  deliver(observer: string, key: string, n: number, how = ""): void {
    const found = this.#byName.get(key);
    if (found === undefined) throw new Error(`a delivery for the key "${key}", which nobody publishes to`);
    found.received(observer).add(n, how);
  }

  sent(...ways: readonly Way[]): number {
    return ways.flatMap((way) => this.of(way)).reduce((sum, { sent }) => sum + sent, 0);
  }

  acknowledged(...ways: readonly Way[]): number {
    return ways.flatMap((way) => this.of(way)).reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
  }
}
