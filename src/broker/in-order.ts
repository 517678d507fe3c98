/** Lets what runs side by side under one name end in the order in which it was begun. */
export class InOrder {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Settles like `own`, and not before everything that was given earlier under the name has settled. */
  after<T>(name: string, own: Promise<T>): Promise<T> {
    own.catch(() => undefined); // It may fail before its turn; the caller has the error then.
    const done = Promise.resolve(this.#last.get(name)).then(() => own);
    const settled: Promise<void> = done.then(
      () => this.#ended(name, settled),
      () => this.#ended(name, settled), // Each caller has its own error.
    );
    this.#last.set(name, settled);
    return done;
  }

  #ended(name: string, settled: Promise<unknown>): void {
    if (this.#last.get(name) === settled) this.#last.delete(name);
  }
}
