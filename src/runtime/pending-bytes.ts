/**
 * The bytes of messages that all functions together hold in memory. Nobody may hold more than what is left for the others: one function gets half of it,
 * two get a third each, and there is always something left for one that comes new.
 */
export class PendingBytes {
  readonly #waiting = new Set<() => void>();
  readonly #max: number;
  #left: number;

  constructor(max: number) {
    this.#max = max;
    this.#left = max;
  }

  /** Whether somebody who holds `own` bytes holds enough. `again` is called, once, when most of it is free. */
  isEnough(own: number, again: () => void): boolean {
    // A message that is larger than what is left has to be handled, too.
    if (own === 0 || own < this.#left) return false;
    this.#waiting.add(again);
    return true;
  }

  /** Negative when messages are done with. */
  add(bytes: number): void {
    this.#left -= bytes;
    if (this.#waiting.size === 0 || this.#left < this.#max / 2) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    // Not at once: who frees them is in the middle of settling.
    queueMicrotask(() => {
      for (const again of waiting) again();
    });
  }
}
