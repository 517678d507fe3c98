import { decode, Encoder } from "cbor-x";
import type { OutboxEvent } from "../core/event.ts";
import type { Database, Op } from "./database.ts";
import { numberKey, numberOf } from "./keys.ts";

const encoder = new Encoder({ useRecords: false });

/** The events that the cloud has not confirmed yet, in the order in which they were committed. */
export class Outbox {
  readonly #database: Database;
  /** Position of the oldest event, of the next one to be staged, and of the newest on disk. */
  #first: number;
  #next: number;
  #written: number;
  readonly #waiting = new Set<() => void>();

  private constructor(database: Database, first: number, next: number) {
    this.#database = database;
    this.#first = first;
    this.#next = next;
    this.#written = next - 1;
  }

  static async open(database: Database): Promise<Outbox> {
    const all = { gte: numberKey("o", 0), lt: Buffer.from("p") };
    const [last] = await database.keys({ ...all, reverse: true, limit: 1 }).all();
    const [first] = await database.keys({ ...all, limit: 1 }).all();
    return new Outbox(database, first === undefined ? 1 : numberOf(first), last === undefined ? 1 : numberOf(last) + 1);
  }

  get pending(): number {
    return this.#written - this.#first + 1;
  }

  /** The writes that add `events`; `added` has to follow when they are on disk. */
  stage(events: readonly OutboxEvent[]): Op[] {
    return events.map((event) => ({ key: numberKey("o", this.#next++), value: encoder.encode(event) }));
  }

  added(count: number): void {
    if (count === 0) return;
    this.#written += count;
    for (const wake of this.#waiting) wake();
  }

  /** Up to `max` events with positions above `after`, ascending. */
  async read(after: number, max: number): Promise<readonly { position: number; event: OutboxEvent }[]> {
    const entries = await this.#database.iterator({ gt: numberKey("o", after), lt: Buffer.from("p"), limit: max }).all();
    return entries.map(([key, value]) => ({ position: numberOf(key), event: decode(value) as OutboxEvent }));
  }

  /** Forgets every event up to and including this position. */
  async remove(upTo: number): Promise<void> {
    // Not from zero: what was deleted before is still in the way of an iterator.
    await this.#database.clear({ gte: numberKey("o", this.#first), lte: numberKey("o", upTo), point: "upload" });
    this.#first = Math.max(this.#first, upTo + 1);
  }

  /** Resolves once there is an event above `after`; rejects with the signal's reason. */
  async waitForMore(after: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#written > after) return;
    await new Promise<void>((resolve, reject) => {
      const finish = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", abort);
      };
      const wake = (): void => {
        if (this.#written <= after) return;
        finish();
        resolve();
      };
      const abort = (): void => {
        finish();
        reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", abort, { once: true });
    });
  }
}
