import { MillraceError } from "../core/errors.ts";

/** How long what nobody waits for may stay out of a sync, so that many deliveries share one. */
const LATER_MS = 100;

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

  /** Resolves when everything that was written before is secured. @throws MillraceError JOURNAL_CLOSED */
  async now(): Promise<void> {
    if (this.#secured === this.#written) return;
    if (this.#closed) throw new MillraceError("JOURNAL_CLOSED", "the sessions are closed");
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      this.#running = this.#run();
      return this.#running;
    });
    await this.#next;
  }

  /** Calls `done` when everything that was written before is secured, at once if it is; never when it cannot be. */
  later(done: () => void): void {
    if (this.#secured === this.#written) return done();
    if (this.#closed) return;
    this.#later.push(done);
    this.#timer ??= setTimeout(() => void this.#flush(), LATER_MS);
  }

  /** Does now what was to be done later, and nothing afterwards. */
  async close(): Promise<void> {
    await this.#flush();
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.allSettled([this.#running, this.#next]);
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
