/**
 * Which clients may have something in the database: those that have nothing need no look when they come or go, and most have nothing. Whoever
 * writes marks the client before it begins and again when it is done; whoever has taken everything away says so with the mark it began with, so that
 * what was written meanwhile goes on to count.
 */
export class SessionTraces {
  readonly #marks = new Map<string, number>();
  #last = 0;

  mark(client: string): void {
    this.#marks.set(client, ++this.#last);
  }

  /** Undefined when there is nothing. */
  markOf(client: string): number | undefined {
    return this.#marks.get(client);
  }

  forget(client: string, mark: number): void {
    if (this.#marks.get(client) === mark) this.#marks.delete(client);
  }
}
