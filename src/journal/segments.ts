import type { JournaledMessage } from "../core/message.ts";
import { type Block, decodeBlock } from "./block.ts";
import type { Database, Op } from "./database.ts";
import { numberKey, numberOf, prefixRange } from "./keys.ts";
import { type Segment, segmentOfTime } from "./retention.ts";

export interface SegmentLimits {
  /** A new segment begins with the block after this many bytes. */
  readonly bytes: number;
  /** Or with the block that comes so much later than the first of the segment. */
  readonly ms: number;
}

const VALUE_BYTES = 8 + 6 + 6;

/**
 * A sparse index of the journal: where in it which time and which byte is. A segment is a stretch of blocks; its entry is written in the same
 * batch as its first block, so the two never disagree. What is not in an entry, the end of the last segment, is counted when the journal opens.
 */
export class Segments {
  readonly #limits: SegmentLimits;
  #list: Segment[];
  /** Of everything that was ever appended. */
  #bytes = 0;
  #latest = 0;
  /** A seq above that of every message in a block. */
  #after = 0;

  private constructor(list: Segment[], limits: SegmentLimits) {
    this.#list = list;
    this.#limits = limits;
  }

  static async open(database: Database, limits: SegmentLimits): Promise<Segments> {
    const entries = await database.iterator(prefixRange("i")).all();
    const segments = new Segments(
      entries.map(([key, value]) => decodeSegment(numberOf(key), value)),
      limits,
    );
    await segments.#countLast(database);
    await segments.#countUnlisted(database);
    return segments;
  }

  get list(): readonly Segment[] {
    return this.#list;
  }

  /** Of everything that was ever appended, in the terms of `Segment.bytes`. */
  get end(): number {
    return this.#bytes;
  }

  /** Bytes of the blocks that are there. */
  get bytes(): number {
    return this.#bytes - (this.#list[0]?.bytes ?? this.#bytes);
  }

  /** Whether functions that are done with everything below `consumed` are done with every block. */
  allBelow(consumed: number): boolean {
    return consumed >= this.#after;
  }

  /** The highest time of any message that was appended. */
  get latest(): number {
    return this.#latest;
  }

  /** Counts a block in. When it begins a segment, returns what has to be written with it. */
  add(block: Block, messages: readonly JournaledMessage[]): Op | undefined {
    const last = this.#list.at(-1);
    const time = messages[0]?.time ?? 0;
    const full = last === undefined || this.#bytes - last.bytes >= this.#limits.bytes || Math.abs(time - last.time) >= this.#limits.ms;
    const segment = full ? { first: block.first, bytes: this.#bytes, latest: this.#latest, time } : undefined;
    if (segment !== undefined) this.#list.push(segment);
    this.#bytes += block.value.length;
    for (const message of messages) if (message.time > this.#latest) this.#latest = message.time;
    this.#after = (messages.findLast((message) => message.volatile !== true)?.seq ?? block.first) + 1;
    return segment === undefined ? undefined : { key: numberKey("i", segment.first), value: encodeSegment(segment) };
  }

  /** The first `count` segments are deleted. */
  forget(count: number): void {
    this.#list = this.#list.slice(count);
  }

  /** A seq at or before the first message that arrived at `timeMs` or later; undefined when none has. */
  seqAt(timeMs: number): number | undefined {
    return segmentOfTime(this.#list, this.#latest, timeMs)?.first;
  }

  async #countLast(database: Database): Promise<void> {
    const last = this.#list.at(-1);
    if (last === undefined) return;
    this.#bytes = last.bytes;
    this.#latest = last.latest;
    for await (const [key, value] of database.iterator({ gte: numberKey("j", last.first), lt: Buffer.from("k") })) {
      this.#bytes += value.length;
      for (const { seq, time } of decodeBlock(numberOf(key), value)) {
        this.#latest = Math.max(this.#latest, time);
        this.#after = seq + 1;
      }
    }
  }

  /** Blocks before the first entry: of a journal that was written without an index, or has lost it. They are counted again at each start. */
  async #countUnlisted(database: Database): Promise<void> {
    const known = this.#list[0];
    const unlisted = new Segments([], this.#limits);
    const range = { gte: numberKey("j", 0), lt: known === undefined ? Buffer.from("k") : numberKey("j", known.first) };
    for await (const [key, value] of database.iterator(range)) {
      const first = numberOf(key);
      unlisted.add({ first, value }, decodeBlock(first, value));
    }
    if (unlisted.#list.length === 0) return;
    const shift = (known?.bytes ?? unlisted.#bytes) - unlisted.#bytes;
    this.#list.unshift(...unlisted.#list.map((segment) => ({ ...segment, bytes: segment.bytes + shift })));
    if (known === undefined) this.#bytes = unlisted.#bytes;
    this.#after = Math.max(this.#after, unlisted.#after);
    this.#latest = Math.max(this.#latest, unlisted.#latest);
  }
}

/** u64 bytes · u48 latest · u48 time. */
function encodeSegment({ bytes, latest, time }: Segment): Buffer {
  const value = Buffer.allocUnsafe(VALUE_BYTES);
  value.writeBigUInt64BE(BigInt(bytes));
  value.writeUIntBE(latest, 8, 6);
  value.writeUIntBE(time, 14, 6);
  return value;
}

function decodeSegment(first: number, value: Buffer): Segment {
  return { first, bytes: Number(value.readBigUInt64BE()), latest: value.readUIntBE(8, 6), time: value.readUIntBE(14, 6) };
}
