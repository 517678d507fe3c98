import { decode, encode } from "cbor-x";
import type { Drops } from "../core/drops.ts";
import type { Overflow } from "../core/manifest.ts";
import type { DeadLetter } from "../core/stats.ts";
import type { Database, Op } from "./database.ts";
import type { Freed } from "./freed.ts";
import { deadLetterKey, nameKey, prefixRange } from "./keys.ts";
import type { Writer } from "./writer.ts";

const PAGE = 256;
const FIRST = Buffer.from("d");
const USAGE = nameKey("m", "dead-letters");

export interface DeadLettersParts {
  readonly database: Database;
  readonly writer: Writer;
  readonly drops: Drops;
  /** Is told what was deleted. */
  readonly freed: Freed;
  readonly bytesMax: number;
  /** They were full and are not any more. */
  readonly free: () => void;
}

interface Usage {
  readonly bytes: number;
  readonly count: number;
}

/**
 * Messages that were given up. Their number and bytes are written in the same batch as they are, so a crash cannot make the account wrong.
 * At the quota a function decides by its `overflow`: `block` still has its letter written, but is to wait before it produces another;
 * `drop-oldest` makes room among its own letters; the others lose the new one. What is dropped is counted.
 */
export class DeadLetters {
  readonly #parts: DeadLettersParts;
  #bytes: number;
  #count: number;
  /** Deletions come one after another, so that nothing is subtracted twice. */
  #work: Promise<unknown> = Promise.resolve();
  readonly #shrinking = new Set<string>();

  constructor(parts: DeadLettersParts, usage: Usage) {
    this.#parts = parts;
    this.#bytes = usage.bytes;
    this.#count = usage.count;
  }

  static readonly key = USAGE;

  static async account(database: Database): Promise<Usage | undefined> {
    const account = await database.get(USAGE);
    return account === undefined ? undefined : { bytes: Number(account.readBigUInt64BE(0)), count: Number(account.readBigUInt64BE(8)) };
  }

  static async counted(database: Database): Promise<Usage> {
    let [bytes, count] = [0, 0];
    for await (const [key, value] of database.iterator(prefixRange("d"))) {
      bytes += key.length + value.length;
      count++;
    }
    return { bytes, count };
  }

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#bytes >= this.#parts.bytesMax;
  }

  /** The writes that add letters of one function. They have to be submitted in this turn, so that accounts reach the disk in their order. */
  stage(letters: readonly DeadLetter[], overflow: Overflow): Op[] {
    const ops: Op[] = [];
    for (const letter of letters) {
      if (this.full && (overflow === "drop-newest" || overflow === "keep-latest")) {
        this.#parts.drops.count("dead-letter-overflow", letter.function, 1);
        continue;
      }
      const [key, value] = [deadLetterKey(letter.function, letter.seq), encode(letter)];
      ops.push({ key, value });
      this.#bytes += key.length + value.length;
      this.#count++;
      if (this.full && overflow === "drop-oldest") this.#makeRoom(letter.function);
    }
    return ops.length === 0 ? ops : [...ops, this.#account()];
  }

  /** The newest first. */
  async list(functionName: string | undefined, limit: number): Promise<readonly DeadLetter[]> {
    const values = await this.#parts.database.values({ ...rangeOf(functionName), limit, reverse: true }).all();
    return values.map((value) => decode(value) as DeadLetter);
  }

  async get(functionName: string, seq: number): Promise<DeadLetter | undefined> {
    const value = await this.#parts.database.get(deadLetterKey(functionName, seq));
    return value === undefined ? undefined : (decode(value) as DeadLetter);
  }

  /** Deletes those of one function or all; resolves with how many there were, once that is on disk. */
  clear(functionName: string | undefined): Promise<number> {
    return this.#exclusive(() => this.#remove(functionName, () => true));
  }

  #makeRoom(functionName: string): void {
    if (this.#shrinking.has(functionName)) return;
    this.#shrinking.add(functionName);
    this.#exclusive(async () => {
      this.#shrinking.delete(functionName);
      const count = await this.#remove(functionName, () => this.full);
      this.#parts.drops.count("dead-letter-overflow", functionName, count);
    }).catch(() => undefined); // A write that failed has ended the journal; it says so itself.
  }

  /** Deletes letters from the oldest on while `wanted` says so. */
  async #remove(functionName: string | undefined, wanted: () => boolean): Promise<number> {
    // Letters that are counted may still be on their way to the disk, where they are looked for.
    await this.#parts.writer.settled();
    const wasFull = this.full;
    let removed = 0;
    while (wanted()) {
      const entries = await this.#parts.database.iterator({ ...rangeOf(functionName), limit: PAGE }).all();
      const ops: Op[] = [];
      for (const [key, value] of entries) {
        if (!wanted()) break;
        ops.push({ key });
        this.#bytes -= key.length + value.length;
        this.#parts.freed.add(FIRST, key, key.length + value.length);
      }
      if (ops.length === 0) break;
      this.#count -= ops.length;
      removed += ops.length;
      await this.#write([...ops, this.#account()]);
    }
    if (wasFull && !this.full) this.#parts.free();
    return removed;
  }

  #write(ops: readonly Op[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: Error): void => (error ? reject(error) : resolve());
      this.#parts.writer.submit({ point: "dead-letters", ops, entries: [], publishes: [], sync: true, done });
    });
  }

  #account(): Op {
    const value = Buffer.allocUnsafe(16);
    value.writeBigUInt64BE(BigInt(this.#bytes), 0);
    value.writeBigUInt64BE(BigInt(this.#count), 8);
    return { key: USAGE, value };
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#work.then(work);
    this.#work = result.catch(() => undefined); // The caller gets the error; the next deletion meets its own.
    return result;
  }
}

function rangeOf(functionName: string | undefined): ReturnType<typeof prefixRange> {
  return prefixRange(functionName === undefined ? "d" : `d${functionName}\0`);
}
