import type { Database } from "./database.ts";

/** What one call rewrites, about: some seconds on a slow card. Nothing can stop one that has begun, and closing waits for it. */
const PIECE_BYTES = 16 * 1024 * 1024;
/** Of keys that are looked at to find where a piece ends. */
const KEY_BYTES = 16;
const HALVINGS_MAX = KEY_BYTES * 8;

interface Stretch {
  readonly from: Buffer;
  readonly to: Buffer;
}

/**
 * Has LevelDB rewrite ranges in which much was deleted, so that they give their space back. That can take minutes on a slow disk, so it runs
 * beside everything else, piece by piece, and ends between two of them when it is to stop.
 */
export class Compaction {
  readonly #database: Database;
  readonly #signal: AbortSignal;
  #last: Promise<void> = Promise.resolve();
  #ranges = 0;

  constructor(database: Database, signal: AbortSignal) {
    this.#database = database;
    this.#signal = signal;
  }

  /** What is given now would have to wait. */
  get busy(): boolean {
    return this.#ranges > 0;
  }

  /** Resolves when the range is rewritten, or not to be any more. */
  rewrite(range: Stretch): Promise<void> {
    this.#ranges++;
    const done = this.#last.then(() => this.#rewrite(range)).finally(() => this.#ranges--);
    this.#last = done.catch(() => undefined); // The caller gets the error.
    return done;
  }

  /** Resolves when nothing is being rewritten. To be called when the signal has been aborted. */
  async ended(): Promise<void> {
    await this.#last;
  }

  async #rewrite({ from, to }: Stretch): Promise<void> {
    if (this.#signal.aborted) return;
    const bytes = await this.#database.approximateSize(from, to);
    // So many pieces at most: what LevelDB says of sizes need not add up.
    let left = Math.ceil(bytes / PIECE_BYTES) * 2;
    let at = from;
    while (!this.#signal.aborted && Buffer.compare(at, to) < 0) {
      const end = left-- > 1 ? await this.#endOfPiece(at, to) : to;
      await this.#database.compactRange(at, end);
      at = end;
    }
  }

  async #endOfPiece(from: Buffer, to: Buffer): Promise<Buffer> {
    if ((await this.#database.approximateSize(from, to)) <= PIECE_BYTES) return to;
    let [low, high] = [from, to];
    for (let halvings = 0; halvings < HALVINGS_MAX; halvings++) {
      const middle = between(low, high);
      if (middle === undefined) break;
      const bytes = await this.#database.approximateSize(from, middle);
      if (bytes > PIECE_BYTES) {
        high = middle;
      } else {
        low = middle;
        if (bytes > PIECE_BYTES / 2) break;
      }
    }
    // Without a key that makes it small enough it is a little too large.
    return low === from ? high : low;
  }
}

/** A key in the middle of two; undefined when there is none of this length. */
function between(low: Buffer, high: Buffer): Buffer | undefined {
  const [from, to] = [numberOfKey(low), numberOfKey(high)];
  const middle = (from + to) / 2n;
  if (middle <= from) return undefined;
  return Buffer.from(middle.toString(16).padStart(KEY_BYTES * 2, "0"), "hex");
}

function numberOfKey(key: Buffer): bigint {
  const bytes = Buffer.alloc(KEY_BYTES);
  key.copy(bytes);
  return BigInt(`0x${bytes.toString("hex")}`);
}
