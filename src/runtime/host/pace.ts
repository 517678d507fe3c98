const QUICK_MS = 1;
const SLOW_MS = 5;
const TRUST_AFTER = 32;
const TRUST_AFTER_MAX = 1_000_000;

/**
 * Whether an instance may run on the host's own thread. A batch handed to the thread pool costs two more changes of thread, which is most of the
 * latency of a small one; on the host's thread it keeps the other instances of the host waiting. So only an instance whose batches have
 * all been quick for a while runs there, and one that was slow has to prove itself ten times as long the next time.
 */
export class Pace {
  #proof = 0;
  #needed = TRUST_AFTER;

  get quick(): boolean {
    return this.#proof >= this.#needed;
  }

  /** Call with the milliseconds that a batch computed. */
  took(ms: number): void {
    if (ms < QUICK_MS) {
      this.#proof++;
    } else if (ms > SLOW_MS) {
      if (this.quick) this.#needed = Math.min(this.#needed * 10, TRUST_AFTER_MAX);
      this.#proof = 0;
    }
  }
}
