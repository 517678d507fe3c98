import type { OutboxEvent } from "../../../src/core/event.ts";
import type { WritePoint } from "../../../src/journal/database.ts";
import type { RecordedWrite } from "./recorder.ts";

/** A message as its sender numbers it. */
export interface Sent {
  readonly name: string;
  readonly key: string;
  /** QoS 2 when there is one. */
  readonly packetId?: number;
  /** A bad one is never handled, a flaky one not the first time, a volatile one may be lost. */
  readonly kind: "plain" | "bad" | "flaky" | "volatile";
  /** No acknowledgement ever reaches its sender, who therefore sends it again. */
  readonly deaf?: boolean;
}

/** Whatever the world outside of the gateway can tell, and when each write began and was done. Writes count from 1. */
export type Moment =
  | { readonly kind: "started" | "ended"; readonly write: number }
  | { readonly kind: "sent" | "acknowledged" | "released"; readonly message: Sent }
  | { readonly kind: "stored"; readonly events: readonly OutboxEvent[] }
  | { readonly kind: "delivered"; readonly text: string }
  | { readonly kind: "clock"; readonly now: number }
  | { readonly kind: "desired"; readonly name: string; readonly version: number };

export class Moments {
  readonly all: Moment[] = [];

  note(moment: Moment): void {
    this.all.push(moment);
  }
}

/** What is known outside of the gateway: it survives whatever happens to it. */
export class Outside {
  readonly sent: Sent[] = [];
  readonly acknowledged = new Set<string>();
  readonly released = new Set<string>();
  /** The cloud keeps the first event of each id. */
  readonly cloud = new Map<string, OutboxEvent>();
  readonly delivered: string[] = [];
  /** What clocks show, in milliseconds since the epoch. */
  now = 1_000_000_000_000;
  /** Version 0 is for a function that shall not run. */
  readonly desired = new Map<string, number>();

  /** The times of which the cloud knows that `ticking` was woken for them, in their order. */
  get ticked(): readonly number[] {
    const ticks = [...this.cloud.values()].filter(({ type }) => type === "ticked");
    return ticks.map(({ data }) => Number(data)).toSorted((a, b) => a - b);
  }

  constructor(moments: readonly Moment[]) {
    for (const moment of moments) this.apply(moment);
  }

  apply(moment: Moment): void {
    if (moment.kind === "sent") this.sent.push(moment.message);
    else if (moment.kind === "acknowledged") this.acknowledged.add(moment.message.name);
    else if (moment.kind === "released") this.released.add(moment.message.name);
    else if (moment.kind === "clock") this.now = moment.now;
    else if (moment.kind === "delivered") this.delivered.push(moment.text);
    else if (moment.kind === "desired") this.desired.set(moment.name, moment.version);
    else if (moment.kind === "stored") {
      for (const event of moment.events) if (!this.cloud.has(event.id)) this.cloud.set(event.id, event);
    }
  }
}

/** A crash: the first `survived` writes are on disk, and the world outside has seen the first `moments` moments. */
export interface Crash {
  readonly what: string;
  /** Points of the last write that survives; none for a crash before everything. */
  readonly points: readonly WritePoint[];
  readonly survived: number;
  readonly moments: number;
}

/**
 * Every crash that can leave another disk, at the moments that differ most in what the world outside has been promised:
 *
 *   a kill in the middle of a write that got to the disk: nobody was told anything about it yet;
 *   a power cut as late as possible: nothing behind this write survives, although all of it was handed to the disk, up to the end of the next
 *   synced write, which would have taken everything before it along. The world has been told at least what a kill right after the write finds.
 */
export function crashes(writes: readonly RecordedWrite[], moments: readonly Moment[]): Crash[] {
  const at = (kind: "started" | "ended", write: number): number => {
    const found = moments.findIndex((moment) => moment.kind === kind && moment.write === write);
    return found === -1 ? moments.length : found;
  };
  const all: Crash[] = [];
  for (let survived = 0; survived <= writes.length; survived++) {
    if (writes[survived - 1]?.inner === true) continue;
    const synced = writes.findIndex(({ sync }, index) => sync && index >= survived);
    const latest = synced === -1 ? moments.length : at("ended", synced + 1);
    const points = writes[survived - 1]?.points ?? [];
    const about = `${survived}/${writes.length} ${points.join("+") || "nothing"}`;
    if (survived > 0) all.push({ what: `kill in write ${about}`, points, survived, moments: at("started", survived) + 1 });
    all.push({ what: `crash after write ${about}`, points, survived, moments: latest });
  }
  return all;
}
