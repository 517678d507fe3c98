import type { Logger } from "../../core/log.ts";

const WINDOW_MS = 10_000;
const LINES_MAX = 5;

/** Warnings that strangers can cause: at most five in ten seconds; the next one says how many were left out. */
export class LimitedLog {
  readonly #logger: Logger;
  readonly #now: () => number;
  #since = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #unreported = 0;

  constructor(logger: Logger, now: () => number = () => performance.now()) {
    this.#logger = logger;
    this.#now = now;
  }

  warn(about: Readonly<Record<string, unknown>>, text: string): void {
    const now = this.#now();
    if (now - this.#since >= WINDOW_MS) {
      this.#since = now;
      this.#lines = 0;
    }
    if (this.#lines >= LINES_MAX) {
      this.#unreported++;
      return;
    }
    this.#lines++;
    this.#logger.warn(this.#unreported === 0 ? about : { ...about, unreported: this.#unreported }, text);
    this.#unreported = 0;
  }
}
