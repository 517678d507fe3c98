import { type Item, oldestOf } from "./item.ts";

/** Messages of one key that are kept in memory behind one that waits; what comes after them is set aside. */
const BEHIND_MAX = 8;

interface Held {
  readonly items: Item[];
  timer: NodeJS.Timeout | undefined;
  /** From this seq on the messages of the key are not in memory. */
  asideFrom: number;
}

interface Stalled {
  /** With strict order: the keys that wait. */
  readonly keys: Set<string>;
  /** With relaxed order: the items that wait. */
  readonly items: Set<Item>;
}

interface WaitingOwner {
  /** The retry of the key, or of this item where order does not matter, is due. */
  due(item: Item): void;
  /** Takes an item out of memory, to be read again later; false when that is not possible. */
  setAside(item: Item): boolean;
}

/**
 * The items of a lane that wait for their retry. With strict order those behind them with the same key wait too. With relaxed order they do
 * not, until as many items of the key wait as may be in memory: a key that always fails must not take the room of the others.
 */
export class Waiting {
  readonly #strict: boolean;
  readonly #owner: WaitingOwner;
  readonly #keys = new Map<string, Held>();
  readonly #timers = new Map<Item, NodeJS.Timeout>();
  /** What is stalled, by the mark of the idempotency key that it waits for. */
  readonly #stalled = new Map<string, Stalled>();

  constructor(strict: boolean, owner: WaitingOwner) {
    this.#strict = strict;
    this.#owner = owner;
  }

  /** When the oldest of what waits arrived, in milliseconds since the epoch; Infinity when nothing does. */
  get oldest(): number {
    let oldest = Infinity;
    for (const { items } of this.#keys.values()) oldest = Math.min(oldest, oldestOf(items));
    for (const { items } of this.#stalled.values()) oldest = Math.min(oldest, oldestOf(items));
    return oldest;
  }

  /** Of everything that waits. */
  keys(): Set<string> {
    const keys = new Set(this.#keys.keys());
    for (const { items } of this.#stalled.values()) for (const { key } of items) keys.add(key);
    return keys;
  }

  /** Holds an item back for `ms`. */
  hold(item: Item, ms: number): void {
    const timer = setTimeout(() => {
      if (!this.#strict) this.#leave(item);
      this.#owner.due(item);
    }, ms);
    const held = this.#keys.get(item.key) ?? { items: [], timer: undefined, asideFrom: Infinity };
    this.#keys.set(item.key, held);
    insertBySeq(held.items, item);
    if (this.#strict) {
      clearTimeout(held.timer);
      held.timer = timer;
    } else {
      this.#timers.set(item, timer);
    }
  }

  /** Whether further items of the key have to wait. */
  stops(key: string): boolean {
    const held = this.#keys.get(key);
    return held !== undefined && (this.#strict || held.items.length >= BEHIND_MAX);
  }

  /** Whether so little of the key waits that what was set aside may come back. */
  isEased(key: string): boolean {
    const held = this.#keys.get(key);
    return held === undefined || (!this.#strict && held.items.length < BEHIND_MAX / 2);
  }

  /** Takes a new item of a key that has to wait; false when it may be handled. */
  join(item: Item): boolean {
    const held = this.#keys.get(item.key);
    if (held === undefined || !this.stops(item.key)) return false;
    // With relaxed order later ones may be done before one that was tried, or asked about for its idempotency key: what is set aside is read again
    // with everything behind it, so it has to be new.
    const isNew = item.attempt === 1 && (item.starved ?? 0) === 0 && item.mark === undefined;
    if (!this.#strict) return isNew && this.#owner.setAside(item);
    this.#keep(held, item);
    return true;
  }

  /** Holds an item back until `unstall` with its mark. */
  stall(item: Item): void {
    const mark = item.mark ?? "";
    const stalled = this.#stalled.get(mark) ?? { keys: new Set(), items: new Set() };
    this.#stalled.set(mark, stalled);
    if (this.#strict) {
      stalled.keys.add(item.key);
      this.line(item);
    } else {
      stalled.items.add(item);
    }
  }

  /**
   * What waits for this mark: keys to be woken, and single items, which wait no more. A key that has a retry to wait for is woken by that.
   * Undefined when there is nothing.
   */
  unstall(mark: string): { readonly keys: readonly string[]; readonly items: readonly Item[] } | undefined {
    const stalled = this.#stalled.get(mark);
    if (stalled === undefined) return undefined;
    this.#stalled.delete(mark);
    const keys = [...stalled.keys].filter((key) => this.#keys.get(key)?.timer === undefined);
    return { keys, items: [...stalled.items] };
  }

  /** The retry of items like these is due now. */
  hurry(wanted: (item: Item) => boolean): void {
    const due = [...this.#timers.keys()].filter((item) => wanted(item));
    for (const item of due) {
      this.#cancel(item);
      this.#leave(item);
    }
    for (const { items, timer } of this.#keys.values()) {
      const [first] = items;
      // What is behind the first waits for that one.
      if (!this.#strict || timer === undefined || first === undefined || !wanted(first)) continue;
      clearTimeout(timer);
      due.push(first);
    }
    for (const item of due) this.#owner.due(item);
  }

  /** Whether everything else of the key has to line up. */
  hasLine(key: string): boolean {
    return this.#strict && this.#keys.has(key);
  }

  /** Puts an item into its place in the line of its key. False when there is no retry that wakes the key. */
  line(item: Item): boolean {
    const held = this.#keys.get(item.key) ?? { items: [], timer: undefined, asideFrom: Infinity };
    this.#keys.set(item.key, held);
    this.#keep(held, item);
    return held.timer !== undefined;
  }

  /** What is too much goes from the end, so that what is in memory is always older than what is set aside. */
  #keep(held: Held, item: Item): void {
    insertBySeq(held.items, item);
    while (held.items.length > BEHIND_MAX + 1 || (held.items.at(-1)?.message.seq ?? 0) >= held.asideFrom) {
      const last = held.items.at(-1);
      if (last === undefined || !this.#owner.setAside(last)) return;
      held.items.pop();
      held.asideFrom = Math.min(held.asideFrom, last.message.seq);
    }
  }

  /** Everything that waits under a key, in order; it waits no more. */
  wake(key: string): readonly Item[] {
    const held = this.#keys.get(key);
    this.#keys.delete(key);
    clearTimeout(held?.timer);
    return held?.items ?? [];
  }

  /** Takes out items that are stale, and names the keys whose first one was among them: what is left of those goes on. */
  purge(isStale: (item: Item) => boolean): { readonly items: readonly Item[]; readonly keys: readonly string[] } {
    const items: Item[] = [];
    const keys: string[] = [];
    for (const stalled of this.#stalled.values()) {
      for (const item of stalled.items) if (isStale(item) && stalled.items.delete(item)) items.push(item);
    }
    for (const [key, held] of this.#keys) {
      const stale = held.items.filter((item) => isStale(item));
      if (stale.length === 0) continue;
      items.push(...stale);
      const first = held.items[0];
      held.items.splice(0, Infinity, ...held.items.filter((item) => !isStale(item)));
      for (const item of stale) this.#cancel(item);
      const [next] = held.items;
      if (this.#strict && first !== next) keys.push(key);
      if (!this.#strict && next === undefined) this.#keys.delete(key);
    }
    return { items, keys };
  }

  #cancel(item: Item): void {
    clearTimeout(this.#timers.get(item));
    this.#timers.delete(item);
  }

  clear(): void {
    for (const { timer } of this.#keys.values()) clearTimeout(timer);
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#keys.clear();
    this.#timers.clear();
    this.#stalled.clear();
  }

  #leave(item: Item): void {
    this.#timers.delete(item);
    const held = this.#keys.get(item.key);
    if (held === undefined) return;
    held.items.splice(held.items.indexOf(item), 1);
    if (held.items.length === 0) this.#keys.delete(item.key);
  }
}

function insertBySeq(items: Item[], item: Item): void {
  const at = items.findIndex((other) => other.message.seq > item.message.seq);
  items.splice(at === -1 ? items.length : at, 0, item);
}
