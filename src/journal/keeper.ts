import { statfs } from "node:fs/promises";
import { type Clock, systemClock } from "../core/clock.ts";
import { once } from "../core/lifecycle.ts";
import { Compaction } from "./compaction.ts";
import { type Database, describeWriteFailure } from "./database.ts";
import { type Freed, overgrown, type Stock } from "./freed.ts";
import { numberKey } from "./keys.ts";
import { consumedSegments, expired, floorForBytes } from "./retention.ts";
import type { Segments } from "./segments.ts";
import type { Writer } from "./writer.ts";

const LOOK_INTERVAL_MS = 1_000;
/** How often the journal is looked at while it is over its quota. */
const RELIEF_INTERVAL_MS = 100;
/** Part of the quota below which the journal has to come before it is not over it any more. */
const RELIEVED = 0.9;
/** How much more than the minimum has to be free before messages are taken again, so that the gate does not flap. */
const SPACE_MARGIN = 1.1;
/** LevelDB gives space back when it rewrites a range; that costs writes of its own, so it is not asked for less than this. */
const COMPACT_BYTES = 32 * 1024 * 1024;
/** The same while the disk is nearly full. */
const COMPACT_BYTES_URGENT = 1024 * 1024;

/** The journal has reached its quota, or is back below 90 % of it. `floor`: messages below this seq would have to go for that. */
export type Pressure = { readonly over: true; readonly floor: number } | { readonly over: false };

export interface KeeperOptions {
  readonly retentionAgeMs: number;
  readonly retentionBytes: number;
  readonly bytesMax: number;
  readonly freeSpaceMin: number;
  readonly location: string;
}

export interface KeeperParts {
  readonly database: Database;
  readonly writer: Writer;
  readonly segments: Segments;
  /** What others delete. */
  readonly freed: Freed;
  /** What is kept beside state, of which LevelDB rewrites by itself what is replaced. */
  readonly stocks: () => readonly Stock[];
  /** A deletion failed: nothing can be written any more. */
  readonly failed: (cause: ReturnType<typeof describeWriteFailure>) => void;
}

/** Whom the keeper asks and tells. */
export interface Consumers {
  /** Every function is done with the messages below this seq. */
  consumed(): number;
  /** Until `over` is false again, messages from clients wait. Called again when the floor moves. */
  pressure(pressure: Pressure): void;
  /** The disk is nearly full, so messages from clients wait; or it is not any more. */
  lowSpace?(low: boolean): void;
}

/**
 * Keeps the journal within its bounds: deletes consumed messages when they are too old or too many, and holds back new ones at the quota and
 * on a disk that is nearly full.
 */
export class Keeper {
  readonly stop: () => Promise<void>;
  readonly #parts: KeeperParts;
  readonly #options: KeeperOptions;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #compaction: Compaction;
  #consumers: Consumers | undefined;
  /** Whether messages wait because the disk is nearly full. */
  #low = false;
  /** The highest floor that is known. */
  #consumed = 0;
  #work: Promise<void> = Promise.resolve();
  #relieving = false;
  #deletedBytes = 0;
  #deletedTo = 0;

  constructor(parts: KeeperParts, options: KeeperOptions, clock: Clock = systemClock) {
    this.#parts = parts;
    this.#options = options;
    this.#clock = clock;
    this.#compaction = new Compaction(parts.database, this.#stopping.signal);
    this.stop = once(async () => {
      this.#stopping.abort();
      await this.#work;
      await this.#compaction.ended();
    });
  }

  /** From here on, looks after the journal by itself. Resolves when it has looked for the first time. */
  async start(consumers: Consumers): Promise<void> {
    this.#consumers = consumers;
    await this.#run(() => this.#look(consumers));
    void this.#run(() => this.#giveBackEarlier());
    void this.#run(async () => {
      for (;;) {
        await this.#clock.sleep(LOOK_INTERVAL_MS, this.#stopping.signal);
        await this.#look(consumers);
      }
    });
  }

  async #look(consumers: Consumers): Promise<void> {
    const { bavail, bsize } = await statfs(this.#options.location);
    const min = this.#options.freeSpaceMin;
    const low = bavail * bsize < (this.#low ? min * SPACE_MARGIN : min);
    if (low !== this.#low) consumers.lowSpace?.(low);
    this.#low = low;
    this.#parts.writer.hold("space", low);
    await this.trim(consumers.consumed());
    this.#giveBack();
  }

  /** Deletes what need not be kept, given that everything below `consumed` is done with. */
  async trim(consumed: number): Promise<void> {
    this.#consumed = Math.max(this.#consumed, consumed);
    const { retentionAgeMs, retentionBytes } = this.#options;
    // Room to go on is worth more than what is kept for replay.
    await this.#exclusive(() => this.#delete(this.#clock.now() - retentionAgeMs, this.#low ? 0 : retentionBytes));
  }

  /** To be called when a block has been added. */
  grown(): void {
    if (this.#relieving || this.#parts.segments.bytes <= this.#options.bytesMax) return;
    this.#relieving = true;
    this.#parts.writer.hold("quota", true);
    void this.#run(() => this.#relieve());
  }

  /** What is kept only for replay goes first. What then is too much has to be handled or dropped by the functions. */
  async #relieve(): Promise<void> {
    const { segments, writer } = this.#parts;
    const goal = this.#options.bytesMax * RELIEVED;
    let told: number | undefined;
    for (;;) {
      this.#consumed = Math.max(this.#consumed, this.#consumers?.consumed() ?? 0);
      const waiting = segments.end - (segments.list[consumedSegments(segments.list, this.#consumed)]?.bytes ?? segments.end);
      await this.#exclusive(() => this.#delete(0, Math.max(0, goal - waiting)));
      // The last segment is not deleted. When it is large enough to be the quota, the next block begins another, and it can go then.
      if (segments.bytes <= goal || segments.allBelow(this.#consumed)) break;
      const floor = floorForBytes(segments.list, segments.end, goal);
      if (floor !== told && this.#consumers !== undefined) {
        this.#consumers.pressure({ over: true, floor });
        told = floor;
      }
      await this.#clock.sleep(RELIEF_INTERVAL_MS, this.#stopping.signal);
    }
    this.#relieving = false;
    writer.hold("quota", false);
    if (told !== undefined) this.#consumers?.pressure({ over: false });
  }

  async #delete(notAfter: number, bytes: number): Promise<void> {
    const { database, segments, writer } = this.#parts;
    const count = expired(segments.list, { consumed: this.#consumed, notAfter, bytes });
    const [first] = segments.list;
    const keep = segments.list[count];
    if (count === 0 || first === undefined || keep === undefined) return;
    // The floor was read from memory. What the messages below it brought about must be on disk before they are gone.
    await writer.settled();
    await database.clear({ gte: numberKey("j", 0), lt: numberKey("j", keep.first), point: "trim" });
    // After the blocks: a crash between the two leaves entries that are deleted next time, not blocks that nobody knows of.
    await database.clear({ gte: numberKey("i", 0), lt: numberKey("i", keep.first), point: "trim" });
    segments.forget(count);
    this.#deletedBytes += keep.bytes - first.bytes;
    this.#deletedTo = keep.first;
    this.#giveBack();
  }

  get #compactBytes(): number {
    return this.#low ? COMPACT_BYTES_URGENT : COMPACT_BYTES;
  }

  /** Begins to give back what was deleted when that is enough; nobody waits for it, least of all those who wait for room. */
  #giveBack(): void {
    if (this.#compaction.busy) return;
    const ranges = this.#parts.freed.take(this.#compactBytes);
    if (this.#deletedBytes >= this.#compactBytes) {
      this.#deletedBytes = 0;
      ranges.push({ from: numberKey("j", 0), to: numberKey("j", this.#deletedTo) });
    }
    if (ranges.length > 0) void this.#run(() => this.#rewrite(ranges));
  }

  async #rewrite(ranges: readonly { from: Buffer; to: Buffer }[]): Promise<void> {
    // The deletions may still be on their way.
    await this.#parts.writer.settled();
    await Promise.all(ranges.map((range) => this.#compaction.rewrite(range)));
  }

  /** What was deleted before the start is not counted anywhere. */
  async #giveBackEarlier(): Promise<void> {
    const { database, stocks } = this.#parts;
    const ranges = await overgrown(database, stocks(), COMPACT_BYTES);
    await Promise.all(ranges.map((range) => this.#compaction.rewrite(range)));
  }

  /** Deletions come one after another. */
  #exclusive(work: () => Promise<void>): Promise<void> {
    const result = this.#work.then(() => (this.#stopping.signal.aborted ? undefined : work()));
    this.#work = result.catch(() => undefined); // The caller gets the error; the next deletion meets its own.
    return result;
  }

  async #run(loop: () => Promise<void>): Promise<void> {
    try {
      await loop();
    } catch (cause) {
      if (!this.#stopping.signal.aborted) this.#parts.failed(describeWriteFailure(cause));
    }
  }
}
