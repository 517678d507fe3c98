import type { Clock } from "../../core/clock.ts";

/** Runs so much work at once, lets so much wait, and that for so long. */
export class Turns {
  readonly #bounds: { readonly atOnce: number; readonly waitingMax: number; readonly waitMs: number };
  readonly #clock: Pick<Clock, "elapsed">;
  readonly #waiting: { readonly since: number; go(taken: boolean): void }[] = [];
  #running = 0;

  constructor(bounds: { readonly atOnce: number; readonly waitingMax: number; readonly waitMs: number }, clock: Pick<Clock, "elapsed">) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  /** Undefined when too much waits already, or when its turn came too late for anybody to wait for the result; then it did not run. */
  async run<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (!(await this.#turn())) return undefined;
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  #turn(): Promise<boolean> {
    if (this.#running < this.#bounds.atOnce) {
      this.#running++;
      return Promise.resolve(true);
    }
    if (this.#waiting.length >= this.#bounds.waitingMax) return Promise.resolve(false);
    return new Promise((go) => this.#waiting.push({ since: this.#clock.elapsed(), go }));
  }

  #next(): void {
    for (;;) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#running--;
        return;
      }
      const late = this.#clock.elapsed() - next.since > this.#bounds.waitMs;
      next.go(!late);
      if (!late) return;
    }
  }
}
