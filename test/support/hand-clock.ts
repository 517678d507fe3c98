import type { Clock } from "../../src/core/clock.ts";

interface Sleeper {
  readonly until: number;
  wake(): void;
}

/** A clock that goes on when a test says so. */
export class HandClock implements Clock {
  #now: number;
  #elapsed = 0;
  #sleepers: Sleeper[] = [];

  constructor(now: number) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  elapsed(): number {
    return this.#elapsed;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = (): void => reject(signal?.reason as Error);
    if (signal?.aborted === true) abort();
    signal?.addEventListener("abort", abort, { once: true });
    this.#sleepers.push({ until: this.#elapsed + ms, wake: resolve });
    return promise;
  }

  /** Time passes. */
  advance(ms: number): void {
    this.#now += ms;
    this.#elapsed += ms;
    const due = this.#sleepers.filter(({ until }) => until <= this.#elapsed);
    this.#sleepers = this.#sleepers.filter(({ until }) => until > this.#elapsed);
    for (const sleeper of due) sleeper.wake();
  }

  /** Somebody sets it, which nobody who sleeps notices. */
  set(now: number): void {
    this.#now = now;
  }
}
