/** What functions have handled and the journal has not written, at which they wait. */
const UNITS_MAX = 8_192;
/** So many bytes weigh as much as a message. */
const UNIT_BYTES = 4_096;

/**
 * Counts what functions have handled and published and what is not on disk. All of it stands in one line with what clients send: a function that makes
 * more than the journal can write would let everybody wait for longer and longer.
 */
export class Unwritten {
  readonly #opened: () => void;
  #units = 0;
  #wasFull = false;

  /** `opened` is called when there is room again. */
  constructor(opened: () => void) {
    this.#opened = opened;
  }

  get isOpen(): boolean {
    return this.#units < UNITS_MAX;
  }

  /** Returns what to call, once, when it is written or cannot be any more. */
  add(messages: number, bytes: number): () => void {
    const units = messages + Math.floor(bytes / UNIT_BYTES);
    this.#units += units;
    this.#wasFull ||= !this.isOpen;
    return () => {
      this.#units -= units;
      if (!this.#wasFull || !this.isOpen) return;
      this.#wasFull = false;
      this.#opened();
    };
  }
}
