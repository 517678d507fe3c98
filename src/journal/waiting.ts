/** Those who wait for a number to be passed. */
export class Waiting {
  readonly #waiting = new Set<() => void>();
  #reached = 0;

  reached(number: number): void {
    this.#reached = Math.max(this.#reached, number);
    for (const wake of this.#waiting) wake();
  }

  /** Resolves once a number above `after` is reached; rejects with the signal's reason. */
  async forMore(after: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#reached > after) return;
    await new Promise<void>((resolve, reject) => {
      const finish = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", abort);
      };
      const wake = (): void => {
        if (this.#reached <= after) return;
        finish();
        resolve();
      };
      const abort = (): void => {
        finish();
        reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", abort, { once: true });
    });
  }
}
