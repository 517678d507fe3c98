/** What the engine keeps of any packet beside its payload, and what a small payload is taken for. */
export const PACKET_BYTES = 1_024;

/**
 * Room in memory for what clients have sent and the broker is not done with, for all clients together. Whoever finds none waits to be told,
 * in the order in which they asked.
 */
export class Room {
  readonly #bytesMax: number;
  readonly #waiting = new Set<() => void>();
  #bytes = 0;
  #telling = false;
  /** How often a client was not read any further for want of room. */
  waits = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#bytesMax;
  }

  take(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Those that wait are told one after the other, as long as there is room. What one of them gives back at once is not told within that. */
  giveBack(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#waiting.size === 0 || this.#telling) return;
    this.#telling = true;
    for (const goOn of this.#waiting) {
      if (this.isFull) break;
      this.#waiting.delete(goOn);
      goOn();
    }
    this.#telling = false;
  }

  /** Calls `goOn` once when there is room. */
  wait(goOn: () => void): void {
    if (this.#waiting.has(goOn)) return;
    this.#waiting.add(goOn);
    this.waits++;
  }

  leave(goOn: () => void): void {
    this.#waiting.delete(goOn);
  }
}
