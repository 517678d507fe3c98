/** Lets one at a time do something, in the order in which they asked. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #taken = false;

  /** True when it is the caller's turn at once; otherwise `go` is called when it is. Either has to be followed by `release`. */
  take(go: () => void): boolean {
    if (this.#taken) {
      this.#waiting.push(go);
      return false;
    }
    this.#taken = true;
    return true;
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken = false;
    else queueMicrotask(next); // Not at once: whoever releases is in the middle of something that concerns the others too, such as the death of a host.
  }
}
