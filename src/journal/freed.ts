import type { Database } from "./database.ts";

interface Deleted {
  readonly bytes: number;
  readonly to: Buffer;
}

/** What was deleted here and there and still takes space on disk: LevelDB gives it back when somebody rewrites the range. */
export class Freed {
  /** By where a range begins. */
  readonly #ranges = new Map<Buffer, Deleted>();

  /** `from` is the same object for every deletion in a range; `key` is what was deleted behind it. */
  add(from: Buffer, key: Buffer, bytes: number): void {
    const before = this.#ranges.get(from);
    const to = before === undefined || Buffer.compare(before.to, key) < 0 ? key : before.to;
    this.#ranges.set(from, { bytes: (before?.bytes ?? 0) + bytes, to });
  }

  /** The ranges in which at least so many bytes were deleted. They count from zero again. */
  take(bytesMin: number): { from: Buffer; to: Buffer }[] {
    const found = [...this.#ranges].filter(([, { bytes }]) => bytes >= bytesMin);
    return found.map(([from, { to }]) => {
      this.#ranges.delete(from);
      return { from, to };
    });
  }
}

/** What is kept in a range of keys. */
export interface Stock {
  readonly from: Buffer;
  readonly to: Buffer;
  readonly bytes: number;
}

/**
 * The ranges that take at least `bytesMin` more on disk than what is in them, because of what earlier processes deleted there. LevelDB compresses,
 * so a range with much in it may have more deleted bytes than are seen; its size on disk is bounded all the same.
 */
export async function overgrown(database: Database, stocks: readonly Stock[], bytesMin: number): Promise<readonly Stock[]> {
  const found: Stock[] = [];
  for (const stock of stocks) if ((await database.approximateSize(stock.from, stock.to)) - stock.bytes >= bytesMin) found.push(stock);
  return found;
}
