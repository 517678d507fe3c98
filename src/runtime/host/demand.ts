const HALF_LIFE_MS = 10_000;

/** How many isolates are worth keeping ready beside one: as many as were asked for lately, a request counting half after 10 seconds. */
export class Demand {
  #level = 0;
  #at = 0;

  /** One was asked for. `now` in milliseconds, never less than before. */
  took(now: number): void {
    this.#level = this.#levelAt(now) + 1;
    this.#at = now;
  }

  lately(now: number): number {
    return Math.round(this.#levelAt(now));
  }

  #levelAt(now: number): number {
    return this.#level * 0.5 ** ((now - this.#at) / HALF_LIFE_MS);
  }
}
