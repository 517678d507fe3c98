import {
  type Database,
  type LevelOp,
  openDatabase,
  type OpenDatabase,
  type Range,
  type WritePoint,
} from "../../../src/journal/database.ts";
import type { Moments } from "./moments.ts";

/** One write as the database was told it. */
export interface RecordedWrite {
  readonly ops: readonly LevelOp[];
  readonly sync: boolean;
  readonly points: readonly WritePoint[];
  /** One of many keys of a deleted range, neither the first nor the last: a crash after it leaves nothing new. */
  readonly inner?: boolean;
}

/**
 * A real LevelDB that keeps a record of what is written to it and notes when each write starts and ends. Its writes are what a crash may
 * leave: LevelDB's log is sequential, so what survives is always a prefix of them.
 */
export class RecordedDatabase implements Database {
  readonly #database: Database;
  readonly #writes: RecordedWrite[];
  readonly #moments: Moments;

  private constructor(database: Database, writes: RecordedWrite[], moments: Moments) {
    this.#database = database;
    this.#writes = writes;
    this.#moments = moments;
  }

  static opener(writes: RecordedWrite[], moments: Moments): OpenDatabase {
    return async (location) => new RecordedDatabase(await openDatabase(location), writes, moments);
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#database.get(key);
  }

  iterator(range: Range): ReturnType<Database["iterator"]> {
    return this.#database.iterator(range);
  }

  keys(range: Range): ReturnType<Database["keys"]> {
    return this.#database.keys(range);
  }

  values(range: Range): ReturnType<Database["values"]> {
    return this.#database.values(range);
  }

  async batch(ops: LevelOp[], options: Parameters<Database["batch"]>[1]): Promise<void> {
    // A batch of nothing is no write: LevelDB is not called for it either.
    const write = ops.length === 0 ? undefined : this.#start({ ops, sync: options.sync, points: [...options.points] });
    await this.#database.batch(ops, options);
    if (write !== undefined) this.#moments.note({ kind: "ended", write });
  }

  async clear(range: Range & { readonly point: WritePoint }): Promise<void> {
    // A range is deleted piece by piece, and a crash may leave any first part of it: here each key is a write.
    const keys = await this.#database.keys(range).all();
    const writes = keys.map((key, index) => {
      const inner = index > 0 && index < keys.length - 1;
      return this.#start({ ops: [{ type: "del", key }], sync: false, points: [range.point], inner });
    });
    await this.#database.clear(range);
    for (const write of writes) this.#moments.note({ kind: "ended", write });
  }

  approximateSize(start: Buffer, end: Buffer): Promise<number> {
    return this.#database.approximateSize(start, end);
  }

  compactRange(start: Buffer, end: Buffer): Promise<void> {
    return this.#database.compactRange(start, end);
  }

  getProperty(property: string): string {
    return this.#database.getProperty(property);
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  #start(write: RecordedWrite): number {
    const number = this.#writes.push(write);
    this.#moments.note({ kind: "started", write: number });
    return number;
  }
}

/** A database in which exactly these writes have survived. */
export async function rebuild(location: string, writes: readonly RecordedWrite[]): Promise<void> {
  const database = await openDatabase(location);
  await database.batch(
    writes.flatMap(({ ops }) => ops),
    { sync: false, points: new Set() },
  );
  await database.close();
}
