/**
 * Lets one at a time try a message that may take its host process down, so that it is known whose message it was when the host dies.
 * Messages that are not under suspicion go on beside it.
 */
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
    else queueMicrotask(next); // Not at once: everybody has to hear of the death of a host first.
  }
}
