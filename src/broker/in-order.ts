/** Lets what runs side by side end in the order in which it was begun. */
export class InOrder {
  #last: Promise<unknown> = Promise.resolve();

  /** Settles like `own`, and not before everything that was given earlier has settled. */
  after(own: Promise<unknown>): Promise<void> {
    const done = Promise.all([own, this.#last]).then(() => undefined);
    this.#last = done.catch(() => undefined); // Each caller has its own error.
    return done;
  }
}
