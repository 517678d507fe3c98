/**
 * Making an isolate keeps the host's thread busy for milliseconds. However many are wanted at once, what comes in is read after each of them:
 * batches of others, and whether the host still reacts.
 */
export class Makings {
  readonly #waiting: (() => void)[] = [];
  #isBusy = false;

  /** Undefined when it can be made at once. */
  turn(): Promise<void> | undefined {
    if (this.#isBusy) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#isBusy = true;
    setImmediate(() => this.#next());
    return undefined;
  }

  #next(): void {
    const go = this.#waiting.shift();
    this.#isBusy = go !== undefined;
    if (go === undefined) return;
    go();
    setImmediate(() => this.#next());
  }
}
