import type { Database, LevelOp, Range, WritePoint } from "./database.ts";

/** Memory of LevelDB at which its log is changed: its buffer of writes, and at most 8 MB of blocks that it has read. */
const CHANGE_BYTES = 16 * 1024 * 1024;
/** Behind every key that there is. Compacting from it to itself begins a new log and resolves when all of the old one is in a table. */
const BEHIND = Buffer.from("~");

/**
 * Keeps a promise that LevelDB makes within one log file only: that a synced write secures every write before it. When its buffer is full it
 * goes on in a new log and does not sync the old one (db_impl.cc, `MakeRoomForWrite`), so until the buffer is in a table of its own, a power cut
 * could take unsynced effects at the end of the old log and leave later ones, with their cursor, in the new one. Here the log is changed before
 * LevelDB would: from a synced write on until the old log is not needed any more, every write is synced.
 */
export class SequentialDatabase implements Database {
  readonly #level: Database;
  /** Settles when the log has been changed; until then every write is synced. */
  #changing: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(level: Database) {
    this.#level = level;
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#level.get(key);
  }

  iterator(range: Range): ReturnType<Database["iterator"]> {
    return this.#level.iterator(range);
  }

  keys(range: Range): ReturnType<Database["keys"]> {
    return this.#level.keys(range);
  }

  values(range: Range): ReturnType<Database["values"]> {
    return this.#level.values(range);
  }

  batch(ops: LevelOp[], options: Parameters<Database["batch"]>[1]): Promise<void> {
    // With this batch: a large one may fill the buffer by itself, and then it is the next write that goes to a new log.
    const due = this.#changing === undefined && this.#memory() + bytesOf(ops) >= CHANGE_BYTES;
    const secured = due || this.#changing !== undefined;
    this.#last = this.#level.batch(ops, secured && !options.sync ? { ...options, sync: true } : options);
    // LevelDB writes nothing after an error, so whoever writes next is told of one.
    if (due) this.#change(BEHIND, BEHIND).catch(() => undefined);
    return this.#last;
  }

  /** A deletion that is lost is made again, so it needs no care. */
  clear(range: Range & { readonly point: WritePoint }): Promise<void> {
    return this.#level.clear(range);
  }

  /** That too begins with another log. */
  async compactRange(start: Buffer, end: Buffer): Promise<void> {
    while (this.#changing !== undefined) await this.#changing;
    await this.#change(start, end);
  }

  approximateSize(start: Buffer, end: Buffer): Promise<number> {
    return this.#level.approximateSize(start, end);
  }

  getProperty(property: string): string {
    return this.#level.getProperty(property);
  }

  async close(): Promise<void> {
    await this.#changing;
    await this.#level.close();
  }

  #memory(): number {
    return Number(this.#level.getProperty("leveldb.approximate-memory-usage"));
  }

  #change(start: Buffer, end: Buffer): Promise<void> {
    const changed = this.#secure().then(() => this.#level.compactRange(start, end));
    const settled = changed.catch(() => undefined); // The caller has the error.
    this.#changing = settled.finally(() => (this.#changing = undefined));
    return changed;
  }

  /** Everything that was written so far is synced. */
  async #secure(): Promise<void> {
    await this.#last;
    await this.#level.batch([{ type: "del", key: BEHIND }], { sync: true, points: new Set(["trim"]) });
  }
}

function bytesOf(ops: readonly LevelOp[]): number {
  let bytes = 0;
  for (const op of ops) bytes += op.key.length + (op.type === "put" ? op.value.length : 0);
  return bytes;
}
