/** Lets what runs side by side end in the order in which it was begun. */
export class InOrder {
  #last: Promise<unknown> = Promise.resolve();

  /** Settles like `own`, and not before everything that was given earlier has settled. */
  after<T>(own: Promise<T>): Promise<T> {
    own.catch(() => undefined); // It may fail before its turn; the caller has the error then.
    const done = this.#last.then(() => own);
    this.#last = done.catch(() => undefined); // Each caller has its own error.
    return done;
  }
}
