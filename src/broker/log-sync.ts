import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../core/errors.ts";

/** How long what nobody waits for may stay out of a sync, so that many deliveries share one. */
const LATER_MS = 100;

/** Brings what a database has written so far to disk. */
export type SyncFolder = (location: string) => Promise<void>;

/**
 * Syncs the log files of a LevelDB from outside. A synced write of LevelDB itself secures only what is in the same log: when its buffer is full it
 * goes on in a new one and does not sync the old one (db_impl.cc, `MakeRoomForWrite`). What is in no log any more is in a table, and those
 * it syncs.
 */
export async function syncLogs(location: string): Promise<void> {
  for (const name of await readdir(location)) {
    if (name.endsWith(".log")) await syncFile(join(location, name));
  }
}

async function syncFile(path: string): Promise<void> {
  try {
    await using file = await open(path);
    await file.datasync();
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error; // All of it has gone into a table since.
  }
}

/** Secures writes from a power cut, for as many as possible at once. */
export class LogSync {
  readonly #sync: () => Promise<void>;
  #written = 0;
  #secured = 0;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;
  #later: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  /** Something was written that has to survive. */
  written(): void {
    this.#written++;
  }

  /** Resolves when everything that was written before is secured. */
  now(): Promise<void> {
    if (this.#secured === this.#written) return Promise.resolve();
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      this.#running = this.#run();
      return this.#running;
    });
    return this.#next;
  }

  /** Calls `done` when everything that was written before is secured, at once if it is; never when it cannot be. */
  later(done: () => void): void {
    if (this.#secured === this.#written) return done();
    if (this.#closed) return;
    this.#later.push(done);
    this.#timer ??= setTimeout(() => void this.#flush(), LATER_MS);
  }

  /** Does now what was to be done later. */
  async close(): Promise<void> {
    await this.#flush();
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const later = this.#later.splice(0);
    try {
      await this.now();
    } catch {
      return; // Whoever gave the sync has the error.
    }
    for (const done of later) done();
  }

  async #run(): Promise<void> {
    const written = this.#written;
    await this.#sync();
    this.#secured = written;
  }
}
