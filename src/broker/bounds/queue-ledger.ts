/** Ended messages that the order may still name before it is made anew. */
const SLACK = 64;

/**
 * What is in the queue of one session: numbers and bytes, in memory, so that nothing has to be read to know which message is the oldest. What was
 * sent and is not acknowledged is counted apart: it is bounded by what a client may have without an acknowledgement, and is never dropped.
 */
export class QueueLedger {
  /** Bytes by number. */
  readonly #waiting = new Map<number, number>();
  readonly #sent = new Map<number, number>();
  /** Numbers as they came, also of some that do not wait any more. */
  #order: number[] = [];
  /** Where in it the oldest is. */
  #first = 0;
  /** The highest number that was dropped. */
  #droppedTo = 0;
  #waitingBytes = 0;
  #sentBytes = 0;

  get waiting(): number {
    return this.#waiting.size;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get messages(): number {
    return this.#waiting.size + this.#sent.size;
  }

  get bytes(): number {
    return this.#waitingBytes + this.#sentBytes;
  }

  add(number: number, bytes: number): void {
    this.remove(number);
    this.#waiting.set(number, bytes);
    this.#waitingBytes += bytes;
    if (this.#order.length > 2 * this.#waiting.size + SLACK) {
      this.#order = [...this.#waiting.keys()];
      this.#first = 0;
    } else this.#order.push(number);
  }

  /** It has a packet id now. `bytes` when what is kept of it has changed. */
  send(number: number, bytes?: number): void {
    const known = this.#waiting.get(number) ?? this.#sent.get(number);
    if (known === undefined) return;
    this.remove(number);
    this.#sent.set(number, bytes ?? known);
    this.#sentBytes += bytes ?? known;
  }

  remove(number: number): void {
    const waiting = this.#waiting.get(number);
    if (waiting !== undefined) {
      this.#waiting.delete(number);
      this.#waitingBytes -= waiting;
      return;
    }
    this.#sentBytes -= this.#sent.get(number) ?? 0;
    this.#sent.delete(number);
  }

  /** Removes the message, and remembers that it is not to be sent. */
  drop(number: number): void {
    this.remove(number);
    this.#droppedTo = Math.max(this.#droppedTo, number);
  }

  /** The one that has waited longest. */
  oldest(): number | undefined {
    for (; this.#first < this.#order.length; this.#first++) {
      const number = this.#order[this.#first];
      if (number !== undefined && this.#waiting.has(number)) return number;
    }
    return undefined;
  }

  /** Whether it was dropped, or is done with. Only what is older than something that was dropped can have been. */
  isGone(number: number): boolean {
    return number <= this.#droppedTo && !this.#waiting.has(number) && !this.#sent.has(number);
  }
}
