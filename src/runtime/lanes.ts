import type { Manifest } from "../core/manifest.ts";
import type { Item } from "./item.ts";
import { KeySpread } from "./key-spread.ts";
import { Lane } from "./lane.ts";
import type { LaneOwner } from "./lane-owner.ts";

/** A lane that is going to need longer than this for what queues up is behind, unless its function says otherwise. */
export const BEHIND_MS = 20;
/** So long after a split it is to be seen first what came of it. */
const SETTLE_MS = 100;
/** Nobody is asked more often than that whether less would be enough. */
const WINDOW_MS_MIN = 50;

export interface LanesOwner extends LaneOwner {
  /** A debugger may be looking: isolates are to be there also when there is nothing to do. */
  readonly inspecting: { readonly current: unknown };
  /** A lane that is going to need longer than this, in milliseconds, for what queues up is split. */
  readonly behindMs: number;
}

/**
 * The lanes of a function. As many as are to be kept warm share its keys, at least one; one that falls behind is split, up to `concurrency` lanes, and
 * takes the keys back when there was little to do for `idle`. A key stays where it is as long as anything of it is under way or waits for something, and the
 * isolate that gets it forgets what it knew, so that the messages of a key are handled in order and with the state that the one before has left.
 */
export class Lanes {
  readonly #owner: LanesOwner;
  readonly #lanes: readonly Lane[];
  readonly #spread: KeySpread;
  readonly #windowMs: number;
  /** When each of them was split or made by a split, as `performance.now` has it. */
  readonly #splitAt: number[];
  #merging: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(owner: LanesOwner, { concurrency, warm, idleMs }: Pick<Manifest, "concurrency" | "warm" | "idleMs">) {
    this.#owner = owner;
    this.#spread = new KeySpread(Math.max(1, warm), concurrency);
    this.#windowMs = Math.max(WINDOW_MS_MIN, idleMs);
    this.#splitAt = Array.from({ length: concurrency }, () => -Infinity);
    const isKept = (lane: number): boolean => lane < warm || (this.#isInspected && this.#spread.has(lane));
    this.#lanes = Array.from(
      { length: concurrency },
      (_, lane) => new Lane(owner, { isKept: () => isKept(lane), wentOn: () => this.#grow() }),
    );
  }

  /** Makes the isolates that are to be there before the first message. @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED */
  async warm(count: number): Promise<void> {
    await Promise.all(this.#lanes.slice(0, Math.max(1, count)).map((lane) => lane.warm()));
  }

  /** Makes those that are to be there when there is nothing to do, as soon as that succeeds. */
  recover(): void {
    this.#grow();
    for (const lane of this.#lanes) lane.recover();
  }

  /** Isolates that there are. */
  get instances(): number {
    return this.#lanes.filter((lane) => lane.heapBytes !== undefined).length;
  }
  get heapBytes(): number {
    return this.#lanes.reduce((sum, lane) => sum + (lane.heapBytes ?? 0), 0);
  }
  /** When the oldest message arrived that is here, in milliseconds since the epoch; undefined when there is none. */
  get oldest(): number | undefined {
    const oldest = Math.min(...this.#lanes.map((lane) => lane.oldest));
    return oldest === Infinity ? undefined : oldest;
  }

  /** `pump` follows. */
  offer(item: Item): void {
    this.#lanes[this.#spread.of(item.key)]?.offer(item);
  }

  pump(): void {
    for (const lane of this.#lanes) lane.pump();
    this.#grow();
  }

  lettersFree(): void {
    for (const lane of this.#lanes) lane.lettersFree();
  }

  resume(mark: string): void {
    for (const lane of this.#lanes) lane.resume(mark);
  }

  purge(isStale: (item: Item) => boolean): readonly Item[] {
    return this.#lanes.flatMap((lane) => lane.purge(isStale));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#merging);
    await Promise.all(this.#lanes.map((lane) => lane.stop()));
  }

  #grow(): void {
    if (this.#lanes.length === 1 || this.#stopped) return;
    for (const [index, lane] of this.#lanes.entries()) {
      if (!this.#spread.maySplit(index)) continue;
      if (this.#isInspected || this.#isBehind(index, lane)) lane.rest(() => this.#split(index, lane));
    }
  }

  /** Whoever looks finds all isolates that there may be, each with its keys. */
  get #isInspected(): boolean {
    return this.#owner.inspecting.current !== undefined;
  }

  #isBehind(index: number, lane: Lane): boolean {
    if (lane.behindMs < this.#owner.behindMs || performance.now() - (this.#splitAt[index] ?? 0) < SETTLE_MS) return false;
    // Of a single key, however much it has, there is nothing to give away.
    return lane.queue.hasNext((key) => this.#spread.wouldLeave(key, index));
  }

  /** Nothing of the lane is under way. */
  #split(index: number, lane: Lane): void {
    this.#splitAt[index] = performance.now();
    // Whoever is under suspicion is for this lane to find out.
    if (this.#stopped || lane.queue.hasSuspects) return;
    const items = lane.queue.takeAll();
    const others = this.#spread.split(index, lane.waitingKeys());
    for (const other of others) {
      this.#splitAt[other] = performance.now();
      this.#lanes[other]?.succeed(lane);
    }
    for (const item of items) this.offer(item);
    for (const other of others) this.#lanes[other]?.pump();
    this.#lookLater();
    if (this.#isInspected) this.#grow();
  }

  #lookLater(): void {
    if (this.#stopped || this.#spread.isWhole) return;
    this.#merging ??= setTimeout(() => {
      this.#merging = undefined;
      if (!this.#isInspected) this.#shrink();
      this.#lookLater();
    }, this.#windowMs).unref();
  }

  /** Gives keys back to lanes that would have had enough time for them, as long as nothing of these keys is left where they were. */
  #shrink(): void {
    const busyMs = this.#lanes.map((lane) => lane.takeBusyMs());
    for (const merge of this.#spread.merges()) {
      const { lane: index, others } = merge;
      const together = [index, ...others].reduce((sum, each) => sum + (busyMs[each] ?? 0), 0);
      // What is under way may take long, and what comes back would have to wait for it.
      if (together > this.#windowMs / 2 || this.#lanes[index]?.isAtRest !== true) continue;
      if (others.some((other) => this.#lanes[other]?.keys().size !== 0)) continue;
      this.#spread.merge(merge);
      busyMs[index] = together;
      for (const other of others) {
        const from = this.#lanes[other];
        if (from !== undefined) this.#lanes[index]?.succeed(from);
        from?.retire();
      }
    }
    this.#spread.unpin((lane, key) => this.#lanes[lane]?.keys().has(key) === true);
  }
}
