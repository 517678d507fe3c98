/** Why functions may begin nothing new: all of them until the gateway has put them in place, some because of who gets what they publish. */
export class Holds {
  #restoring = true;
  readonly #slow = new Set<string>();

  isHeld(name: string): boolean {
    return this.#restoring || this.#slow.has(name);
  }

  /** Whether subscribers are too far behind with what this function publishes. */
  waitsForSubscribers(name: string): boolean {
    return this.#slow.has(name);
  }

  restored(): void {
    this.#restoring = false;
  }

  /** Subscribers are too far behind with what the function publishes, or not any more. */
  slow(name: string, on: boolean): void {
    if (on) this.#slow.add(name);
    else this.#slow.delete(name);
  }
}
