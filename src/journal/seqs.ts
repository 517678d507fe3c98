import type { Op } from "./database.ts";
import { nameKey } from "./keys.ts";

/** How far ahead of what is handed out the mark on disk is kept. */
const AHEAD = 1_000_000;
/** The mark is moved when this many seqs are left below it, so that nothing ever waits for it. */
const LEFT = AHEAD / 2;

const KEY = nameKey("m", "seq");

/**
 * Hands out seqs, none of them twice. Where every message is synced before anything comes of it, the last block says where to go on. Where
 * messages may be lost with the power, or are never written, what came of them may already be known outside under their seqs: then a mark on
 * disk, written with a sync, is above every seq that was handed out, and the next start goes on from there.
 */
export class Seqs {
  #next: number;
  /** On disk or in the batch that is built next; 0 = there is none. */
  #mark = 0;

  constructor(next: number) {
    this.#next = next;
  }

  /** The seq that comes next. */
  get next(): number {
    return this.#next;
  }

  get marked(): boolean {
    return this.#mark > 0;
  }

  take(): number {
    return this.#next++;
  }

  get isLow(): boolean {
    return this.#mark - this.#next <= LEFT;
  }

  /** To be written, synced, before or with whatever comes of the seqs that are handed out now; undefined while the mark is high enough. */
  raise(): Op | undefined {
    if (!this.isLow) return undefined;
    this.#mark = this.#next + AHEAD;
    return markOf(this.#mark);
  }

  /** The mark as it stands; for a write that has to write something. */
  get mark(): Op {
    return markOf(this.#mark);
  }

  /** For a clean end: the next start goes on without a gap. */
  exact(): Op {
    return markOf(this.#next);
  }

  /** Beyond everything that may have been handed out when the last `next` is not known any more. */
  static beyond(next: number): Op {
    return markOf(next + AHEAD);
  }

  static read(value: Buffer | undefined): number {
    return value === undefined ? 0 : Number(value.readBigUInt64BE());
  }

  static readonly key = KEY;
}

function markOf(seq: number): Op {
  const value = Buffer.allocUnsafe(8);
  value.writeBigUInt64BE(BigInt(seq));
  return { key: KEY, value };
}
