import type { SessionDatabase } from "./session-database.ts";

export type SessionWrite =
  | { readonly type: "put"; readonly key: string; readonly value: Buffer }
  | { readonly type: "del"; readonly key: string };

/**
 * Writes to the queues of sessions, in the order in which they are given: what comes while a batch is being written is the next one. So a
 * reader finds of any two either both, none, or the earlier one. Nothing is synced here.
 */
export class SessionWrites {
  readonly #database: SessionDatabase;
  #collected: SessionWrite[] = [];
  #next: Promise<void> | undefined;
  /** Settles, and never rejects, when the batch is done that is being written. */
  #running: Promise<void> = Promise.resolve();

  constructor(database: SessionDatabase) {
    this.#database = database;
  }

  /**
   * Resolves when they are written. Whoever does not wait need not listen for a rejection: the database tells of a disk that refuses a write, and
   * what comes after it was closed is not to be written.
   */
  write(...writes: readonly SessionWrite[]): Promise<void> {
    return this.writeAll(writes);
  }

  /** The same for any number of them. */
  writeAll(writes: readonly SessionWrite[]): Promise<void> {
    for (const write of writes) this.#collected.push(write);
    if (this.#next === undefined) {
      this.#next = this.#running.then(() => this.#run());
      this.#next.catch(() => undefined);
    }
    return this.#next;
  }

  /** Settles when everything that was given so far is written, or is known not to be. */
  async flushed(): Promise<void> {
    await (this.#next ?? this.#running).catch(() => undefined); // Whoever gave it has the error.
  }

  #run(): Promise<void> {
    const writes = this.#collected;
    this.#collected = [];
    this.#next = undefined;
    const written = this.#database.batch(writes);
    this.#running = written.catch(() => undefined);
    return written;
  }
}
