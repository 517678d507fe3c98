/** Tells whoever waits that something has come in. Costs nothing while nobody waits. */
export class Arrivals {
  readonly #waiting = new Set<() => void>();

  announce(): void {
    if (this.#waiting.size === 0) return;
    for (const wake of this.#waiting) wake();
  }

  /** Resolves with the next announcement; rejects with the signal's reason. */
  async next(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    this.#waiting.add(resolve);
    signal.addEventListener("abort", abort, { once: true });
    try {
      await promise;
    } finally {
      this.#waiting.delete(resolve);
      signal.removeEventListener("abort", abort);
    }
  }
}
