/** Permits at a steady rate: as many as one second gives may be saved up. */
export class Tokens {
  readonly #perSecond: number;
  #left: number;
  #at: number;

  /** `at`: milliseconds, as later given to `refill`. */
  constructor(perSecond: number, at: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
    this.#at = at;
  }

  refill(at: number): void {
    this.#left = Math.min(this.#perSecond, this.#left + ((at - this.#at) * this.#perSecond) / 1_000);
    this.#at = at;
  }

  /** False when there is none. */
  take(): boolean {
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
