import { Turns } from "./turns.ts";

/**
 * Part of the limit above which an exact account is kept exact, value by value. Below it an overwritten value is simply counted again, until
 * everything has to be read to correct that; with half of the limit in between, this never reads much more than was written.
 */
const NEAR = 0.5;

export interface StateWrite {
  readonly key: string;
  readonly name: string;
  readonly value?: Buffer | undefined;
}

export interface StateSource {
  /** Resolves when everything that was settled is on disk. */
  settled(): Promise<unknown>;
  bytes(): Promise<number>;
  sizes(values: readonly StateWrite[]): Promise<readonly number[]>;
}

/**
 * Bounds everything that a function keeps. The account is an upper bound in memory, because the size of a value that is overwritten is not known
 * there; it is corrected from the journal when the bound passes the limit. Writes are refused only by an exact account: near the limit batches
 * come one after another, each with its own look at the journal, because what one of them takes decides what fits into the next.
 */
export class StateBudget {
  readonly #limit: number;
  readonly #source: StateSource;
  readonly #turns = new Turns();
  /** Whose turn it is, from before its look until it is settled. */
  #batch: object | undefined;
  /** How many batches have the turn or wait for it. */
  #near = 0;
  /** Not known before the first write. */
  #bytes = Infinity;
  #exact = false;
  /** Sizes of stored values that the batch at hand overwrites. */
  readonly #sizes = new Map<string, number>();

  constructor(limit: number, source: StateSource) {
    this.#limit = limit;
    this.#source = source;
  }

  /**
   * To be called before a batch is settled, with all of its writes; when it answers with a promise, that has to be waited for, and `settled` has
   * to follow. `batch` is any object that stands for the batch.
   */
  prepare(batch: object, writes: readonly StateWrite[]): Promise<void> | undefined {
    if (writes.length === 0 || (this.#near === 0 && this.#fits(writes))) return undefined;
    return this.#prepare(batch, writes);
  }

  async #prepare(batch: object, writes: readonly StateWrite[]): Promise<void> {
    this.#near++;
    await this.#turn();
    this.#batch = batch;
    try {
      if (!this.#fits(writes)) await this.#look(writes);
    } catch (error) {
      this.settled(batch);
      throw error;
    }
  }

  #fits(writes: readonly StateWrite[]): boolean {
    let bytes = this.#bytes;
    for (const write of writes) bytes += sizeOf(write);
    return bytes <= this.#limit * (this.#exact ? NEAR : 1);
  }

  async #look(writes: readonly StateWrite[]): Promise<void> {
    await this.#source.settled();
    if (!this.#exact) this.#bytes = await this.#source.bytes();
    const sizes = await this.#source.sizes(writes);
    this.#exact = true;
    writes.forEach((write, index) => this.#sizes.set(`${write.key}\0${write.name}`, sizes[index] ?? 0));
  }

  /** Takes a step that deletes what is stored, while no batch looks at that, and takes the bytes that it answers with off the account. */
  async free<T extends { readonly bytes: number }>(step: () => Promise<T>): Promise<T> {
    await this.#turn();
    try {
      const freed = await step();
      this.#bytes -= freed.bytes;
      return freed;
    } finally {
      this.#turns.release();
    }
  }

  #turn(): Promise<void> {
    return new Promise<void>((resolve) => {
      if (this.#turns.take(resolve)) resolve();
    });
  }

  /** Whether the writes of one message fit; if so, they count. */
  take(writes: readonly StateWrite[]): boolean {
    let bytes = this.#bytes;
    let known = true;
    const sizes = new Map<string, number>();
    for (const write of writes) {
      const id = `${write.key}\0${write.name}`;
      const before = sizes.get(id) ?? this.#sizes.get(id);
      known &&= before !== undefined;
      bytes += sizeOf(write) - (before ?? 0);
      sizes.set(id, sizeOf(write));
    }
    // What takes nothing more is let through: a function over a limit that was lowered can still make room.
    if (bytes > this.#limit && bytes > this.#bytes) return false;
    this.#bytes = bytes;
    this.#exact &&= known;
    if (known) for (const [id, size] of sizes) this.#sizes.set(id, size);
    return true;
  }

  /** The batch is settled, and everything that was taken for it is on its way to the disk. */
  settled(batch: object): void {
    if (batch !== this.#batch) return;
    this.#sizes.clear();
    this.#batch = undefined;
    this.#near--;
    this.#turns.release();
  }
}

function sizeOf({ key, name, value }: StateWrite): number {
  return value === undefined ? 0 : Buffer.byteLength(key) + Buffer.byteLength(name) + value.length;
}
