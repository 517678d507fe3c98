import { laneOfRule, LANES, overflowOf, OVERFLOWS_PER_PRIORITY, pressureOf, PRIORITY_MAX, priorityOf } from "../core/outbox-lanes.ts";
import type { OutboxRule } from "../core/outbox-rules.ts";
import type { OutboxUsage } from "./outbox-usage.ts";

export interface OutboxLimits {
  readonly bytesMax: number;
  /** Of all events with one priority. */
  readonly laneBytesMax: number;
}

/** A full outbox has room again when it is this far below its quota, so that nobody is stopped and let go for each event. */
const RELEASE = 0.9;
/** What may be above the quota in lanes that drop events which they have, until those who emit have to wait. */
const OWED_BYTES_MAX = 16 * 1024 * 1024;

/** Every bit of `pressureOf` for those who wait for room. */
const BLOCKED = pressureOf({ priority: PRIORITY_MAX + 1, overflow: "block" }) - 1;

/**
 * Where the outbox is full. Decides from the sizes alone; what follows from it is the outbox's business. What may be dropped makes room for what
 * may not: it does not count where somebody would have to wait, and owes the bytes that come in.
 */
export class OutboxQuota {
  readonly #limits: OutboxLimits;
  readonly #usage: OutboxUsage;
  /** Bytes that came in where it was full, and have to go at the other end of this lane. */
  readonly #owed = new Float64Array(LANES);
  #pressure = 0;

  constructor(limits: OutboxLimits, usage: OutboxUsage) {
    this.#limits = limits;
    this.#usage = usage;
  }

  /** As `pressureOf` describes it. */
  get pressure(): number {
    return this.#pressure;
  }

  /** For events that are dropped before they are stored, it is full for as long as anyone waits: what becomes free is not for them. */
  isFull({ priority, overflow }: OutboxRule): boolean {
    const part = overflow === "drop-newest" && (this.#pressure & BLOCKED) !== 0 ? RELEASE : 1;
    return this.#usage.bytes >= this.#limits.bytesMax * part || this.#isPriorityFull(priority, part);
  }

  #isPriorityFull(priority: number, part = 1): boolean {
    return this.#usage.bytesOfPriority(priority) >= this.#limits.laneBytesMax * part;
  }

  /** An event with this rule came in where it was full. If there is anything that may be dropped for it, it will be. */
  owe(rule: OutboxRule, bytes: number): void {
    const lane = this.#debtor(rule);
    if (lane !== undefined) this.#owed[lane] = this.owed(lane) + bytes;
  }

  #debtor(rule: OutboxRule): number | undefined {
    if (rule.overflow === "drop-oldest") return laneOfRule(rule);
    if (rule.overflow !== "block") return undefined;
    const first = (PRIORITY_MAX - rule.priority) * OVERFLOWS_PER_PRIORITY;
    const own = this.#isPriorityFull(rule.priority) ? this.#droppable(first, first + OVERFLOWS_PER_PRIORITY) : undefined;
    return own ?? this.#droppable(0, LANES);
  }

  /** The least urgent lane between these that can drop more than it owes already. */
  #droppable(from: number, to: number): number | undefined {
    for (let lane = to - 1; lane >= from; lane--) if (isDroppable(lane) && this.#usage.bytesOf(lane) > this.owed(lane)) return lane;
    return undefined;
  }

  owed(lane: number): number {
    return this.#owed[lane] ?? 0;
  }

  /** Takes back what was owed when it was paid, or when there is room again. */
  pay(lane: number, bytes: number): void {
    this.#owed[lane] = this.isFull({ priority: priorityOf(lane), overflow: overflowOf(lane) }) ? Math.max(0, this.owed(lane) - bytes) : 0;
  }

  owing(): number[] {
    return Array.from(this.#owed.keys()).filter((lane) => this.owed(lane) > 0);
  }

  /** To be called after the sizes changed; whether the pressure did. */
  refresh(): boolean {
    const { bytesMax, laneBytesMax } = this.#limits;
    if (this.#pressure === 0 && this.#usage.bytes < Math.min(bytesMax, laneBytesMax)) return false;
    const all = this.#kept(0, LANES);
    const owed = this.#owed.reduce((sum, bytes) => sum + bytes, 0);
    let pressure = 0;
    for (let priority = 0; priority <= PRIORITY_MAX; priority++) {
      const bit = pressureOf({ priority, overflow: "block" });
      const first = (PRIORITY_MAX - priority) * OVERFLOWS_PER_PRIORITY;
      const own = this.#kept(first, first + OVERFLOWS_PER_PRIORITY);
      const part = (this.#pressure & bit) === 0 ? 1 : RELEASE;
      if (all >= bytesMax * part || own >= laneBytesMax * part || owed > OWED_BYTES_MAX) pressure |= bit;
    }
    for (const lane of this.owing()) {
      if (this.owed(lane) > OWED_BYTES_MAX) pressure |= pressureOf({ priority: priorityOf(lane), overflow: "drop-oldest" });
    }
    const changed = pressure !== this.#pressure;
    this.#pressure = pressure;
    return changed;
  }

  /** Bytes in these lanes that may not be dropped. */
  #kept(from: number, to: number): number {
    let sum = 0;
    for (let lane = from; lane < to; lane++) if (!isDroppable(lane)) sum += this.#usage.bytesOf(lane);
    return sum;
  }
}

/** Whether events that are stored may be dropped. */
function isDroppable(lane: number): boolean {
  const overflow = overflowOf(lane);
  return overflow === "drop-oldest" || overflow === "keep-latest";
}
