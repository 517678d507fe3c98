/** The longest that a timer of Node waits. */
const MS_MAX = 2 ** 31 - 1;

/**
 * What wakes an isolate for its timers: one for all of them. While it is held it does not ring, because the isolate is computing and whoever
 * asked it for something at once would have to wait for the timer's code.
 */
export class Alarm {
  /** Gets the milliseconds since the alarm was set. */
  ring: ((elapsedMs: number) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #setAt = 0;
  #held = false;
  #due = false;

  /** In the place of what was set before. */
  set(ms: number): void {
    this.stop();
    this.#setAt = performance.now();
    if (ms < 1) this.#immediate = setImmediate(() => this.#fire());
    else this.#timer = setTimeout(() => this.#fire(), Math.min(ms, MS_MAX));
  }

  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    if (this.#due) this.#fire();
  }

  #fire(): void {
    this.#due = this.#held;
    if (!this.#held) this.ring?.(performance.now() - this.#setAt);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#due = false;
  }
}
