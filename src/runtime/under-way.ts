import type { Manifest } from "../core/manifest.ts";
import type { Item } from "./item.ts";

/** Two batches under way keep an isolate busy while the answer to the first is on its way back. */
const BATCHES_MAX = 2;
const BATCH_ITEMS_MAX = 256;
const PATIENCE_MAX = 8;
/** More of them keep the gateway for longer than others should have to wait. */
export const BATCH_EFFECTS_MAX = 1_024;
/** What is expected of messages of which nothing is known: as much as never makes a batch smaller. */
const EFFECTS_AT_FIRST = 4;

export interface Batch {
  readonly id: number;
  readonly items: readonly Item[];
  /** Those with which their key goes on: the isolate has no reason to hold them back. */
  readonly resumed: readonly Item[];
  readonly sentAt: number;
}

/** The batches that the isolate of a lane has and has not answered, oldest first: it answers them in that order. */
export class UnderWay {
  #batches: Batch[] = [];
  #nextId = 1;
  /** For which an item computes. */
  #msPerItem = 0.05;
  /** Until it is answered, from when the isolate had nothing else to do. */
  #wallMsPerItem = 0.05;
  /** Publishes, events and stored values. */
  #effectsPerItem = EFFECTS_AT_FIRST;
  #answeredAt = 0;
  #busyMs = 0;
  /** By how much batches get more time, after some that had no processor. */
  #patience = 1;

  /** Messages take as long as they did there. */
  expectAs(other: UnderWay): void {
    this.#msPerItem = other.#msPerItem;
    this.#wallMsPerItem = other.#wallMsPerItem;
    this.#effectsPerItem = other.#effectsPerItem;
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0;
  }
  get isFull(): boolean {
    return this.#batches.length >= BATCHES_MAX;
  }

  /** Everything, in order. */
  all(): readonly Item[] {
    return this.#batches.flatMap((batch) => batch.items);
  }

  has(key: string): boolean {
    return this.#batches.some((batch) => batch.items.some((item) => item.key === key));
  }

  /**
   * How many items make a batch that stays well within the limit of one item, also by the clock on the wall, by which it is stopped, takes about
   * `freeMs` of the host at most, and has not too many effects for the gateway to take in one go.
   */
  fitting(cpuMs: number, freeMs: number): number {
    const within = Math.min(Math.min(cpuMs / 2, freeMs) / this.#msPerItem, cpuMs / this.#wallMsPerItem);
    const fitting = Math.min(within, BATCH_EFFECTS_MAX / this.#effectsPerItem);
    return Math.min(BATCH_ITEMS_MAX, Math.max(1, Math.floor(fitting)));
  }

  /** For how many milliseconds something was under way since this was asked last, as far as it was answered. */
  takeBusyMs(): number {
    const busyMs = this.#busyMs;
    this.#busyMs = 0;
    return busyMs;
  }

  /** Until so many items are answered, from when the isolate has nothing else to do. */
  expectedWallMs(items: number): number {
    return items * this.#wallMsPerItem;
  }

  /**
   * What a batch may take. It is stopped by the clock on the wall; later after one that had no processor in that time, because what computes without end has
   * to be told from that.
   */
  limits({ cpuMs, wallMs }: Manifest["limits"], items: number): { timeoutMs: number; wallMs: number; cpuMs: number; expectedMs: number } {
    const patience = this.#patience;
    return { timeoutMs: 2 * cpuMs * patience, wallMs: wallMs * patience, cpuMs, expectedMs: this.expectedMs(items) };
  }

  /** For how long so many items are going to compute. */
  expectedMs(items: number): number {
    return Math.min(BATCH_ITEMS_MAX, items) * this.#msPerItem;
  }

  begin(items: readonly Item[]): Batch {
    const resumed = items.filter(({ resume }) => resume);
    const sentAt = performance.now();
    for (const item of items) item.sentAt = sentAt;
    const batch = { id: this.#nextId++, items, resumed, sentAt };
    this.#batches.push(batch);
    return batch;
  }

  /** The batch that an answer is for; undefined when it was given up with its isolate. */
  answered(id: number): Batch | undefined {
    const batch = this.#batches[0];
    return batch?.id === id ? batch : undefined;
  }

  /** Learns from `count` items how long one takes; they have computed for `usedMs`, as their host has it. Answers with how long they took. */
  learn(batch: Batch, count: number, usedMs: number, isStarved = false): number {
    this.#patience = isStarved ? Math.min(PATIENCE_MAX, 2 * this.#patience) : 1;
    const now = performance.now();
    const passedMs = now - Math.max(batch.sentAt, this.#answeredAt);
    this.#answeredAt = now;
    this.#busyMs += passedMs;
    this.#wallMsPerItem = average(this.#wallMsPerItem, passedMs / Math.max(1, count));
    this.#msPerItem = average(this.#msPerItem, Math.min(usedMs, passedMs) / Math.max(1, count));
    return passedMs;
  }

  /** Learns from `count` items how many effects one has. More is believed at once: those behind may want as much. */
  weigh(count: number, effects: number): void {
    const seen = effects / Math.max(1, count);
    this.#effectsPerItem = Math.max(1, seen, this.#effectsPerItem / 2);
  }

  /** Of the oldest batch only `rest` is under way still. */
  leave(rest: readonly Item[]): void {
    const [batch, ...others] = this.#batches;
    if (batch !== undefined) this.#batches = rest.length === 0 ? others : [{ ...batch, items: rest }, ...others];
  }

  /** Of the oldest batch these are under way after all; their isolate does not answer any more. */
  putBack(items: readonly Item[]): void {
    if (items.length > 0) this.#batches.unshift({ id: 0, items, resumed: [], sentAt: 0 });
  }

  /** Everything, in order; nothing is under way any more. */
  takeAll(): Item[] {
    return this.#batches.splice(0).flatMap((batch) => batch.items);
  }
}

function average(before: number, now: number): number {
  return Math.max(0.005, before * 0.8 + now * 0.2);
}
