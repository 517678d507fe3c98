import type { Item } from "./item.ts";
import type { LaneQueue } from "./lane-queue.ts";
import type { UnderWay } from "./under-way.ts";
import type { Waiting } from "./waiting.ts";

interface LinesParts {
  readonly strict: boolean;
  readonly queue: LaneQueue;
  readonly waiting: Waiting;
  readonly underWay: Pick<UnderWay, "has">;
  /** The key does not wait any more. */
  goOn(key: string): void;
}

/** How keys of a lane wait for a message that is tried again, and go on in their order. */
export class KeyLines {
  readonly #parts: LinesParts;
  /** Keys whose retry is due and waits for messages of the key that are still under way. */
  readonly #due = new Set<string>();

  constructor(parts: LinesParts) {
    this.#parts = parts;
  }

  get due(): ReadonlySet<string> {
    return this.#due;
  }

  /** `goOn` lets these go on. */
  release(keys: Iterable<string>): void {
    for (const key of keys) this.#due.add(key);
  }

  /** Holds an item back for `ms`, and what comes behind it. */
  hold(item: Item, ms: number): void {
    this.#due.delete(item.key);
    this.#parts.waiting.hold(item, ms);
    this.holdBehind(item.key);
  }

  /** What was queued behind one that waits must not overtake it. */
  holdBehind(key: string): void {
    const { waiting, queue } = this.#parts;
    if (waiting.stops(key) && queue.has(key)) queue.extract((other) => other.key === key && waiting.join(other));
  }

  /** Where nothing else wakes the key, it goes on as soon as all of its messages that are under way have come back. */
  line(item: Item): void {
    const { waiting } = this.#parts;
    const isFirst = !waiting.hasLine(item.key);
    if (!waiting.line(item)) this.#due.add(item.key);
    if (isFirst) this.holdBehind(item.key);
  }

  /** Back to the head of the queue, in order; into the line of their key where there is one. */
  requeue(items: readonly Item[]): void {
    const free: Item[] = [];
    for (const item of items) {
      if (this.#parts.waiting.hasLine(item.key)) this.line(item);
      else free.push(item);
    }
    this.#parts.queue.unshift(free);
  }

  /** The retry of the item is due. */
  retry(item: Item): void {
    if (this.#parts.strict) {
      this.#due.add(item.key);
      this.#wake(item.key);
    } else {
      this.#parts.queue.unshift([item]);
    }
  }

  /** Lets go on what can. */
  goOn(): void {
    for (const key of this.#due) this.#wake(key);
  }

  /** Lets a key go on with its retry. Messages of the key that are under way come back deferred, and have to take their place in line first. */
  #wake(key: string): void {
    const { underWay, waiting, queue } = this.#parts;
    if (underWay.has(key)) return;
    this.#due.delete(key);
    const items = waiting.wake(key);
    const [first] = items;
    // The isolate may hold the key back.
    if (first !== undefined) first.resume = true;
    else this.#parts.goOn(key);
    queue.unshift(items);
  }
}
