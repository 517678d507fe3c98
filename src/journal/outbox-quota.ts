import { LANES, pressureOf, PRIORITY_MAX, priorityOf } from "../core/outbox-lanes.ts";
import type { OutboxUsage } from "./outbox-usage.ts";

export interface OutboxLimits {
  readonly bytesMax: number;
  /** Of all events with one priority. */
  readonly laneBytesMax: number;
}

/** A full outbox has room again when it is this far below its quota, so that nobody is stopped and let go for each event. */
const RELEASE = 0.9;
/** What may be above the quota in a lane that drops its oldest events, until those who emit into it have to wait. */
const OWED_BYTES_MAX = 16 * 1024 * 1024;

/** Where the outbox is full. Decides from the sizes alone; what follows from it is the outbox's business. */
export class OutboxQuota {
  readonly #limits: OutboxLimits;
  readonly #usage: OutboxUsage;
  /** Bytes that came into a full lane and have to go again at its other end. */
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

  isFull(priority: number): boolean {
    return this.#usage.bytes >= this.#limits.bytesMax || this.#usage.bytesOfPriority(priority) >= this.#limits.laneBytesMax;
  }

  owe(lane: number, bytes: number): void {
    this.#owed[lane] = this.owed(lane) + bytes;
  }

  owed(lane: number): number {
    return this.#owed[lane] ?? 0;
  }

  /** Takes back what was owed when it was paid, or when there is room again. */
  pay(lane: number, bytes: number): void {
    this.#owed[lane] = this.isFull(priorityOf(lane)) ? Math.max(0, this.owed(lane) - bytes) : 0;
  }

  owing(): number[] {
    return Array.from(this.#owed.keys()).filter((lane) => this.owed(lane) > 0);
  }

  /** To be called after the sizes changed; whether the pressure did. */
  refresh(): boolean {
    const { bytesMax, laneBytesMax } = this.#limits;
    if (this.#pressure === 0 && this.#usage.bytes < Math.min(bytesMax, laneBytesMax)) return false;
    let pressure = 0;
    for (let priority = 0; priority <= PRIORITY_MAX; priority++) {
      const was = (this.#pressure & pressureOf({ priority, overflow: "block" })) !== 0;
      const below = this.#usage.bytes < bytesMax * RELEASE && this.#usage.bytesOfPriority(priority) < laneBytesMax * RELEASE;
      if (this.isFull(priority) || (was && !below)) pressure |= pressureOf({ priority, overflow: "block" });
    }
    for (const lane of this.owing()) {
      if (this.owed(lane) > OWED_BYTES_MAX) pressure |= pressureOf({ priority: priorityOf(lane), overflow: "drop-oldest" });
    }
    const changed = pressure !== this.#pressure;
    this.#pressure = pressure;
    return changed;
  }
}
