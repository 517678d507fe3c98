type Done = () => void;

interface Entry<T> {
  readonly packet: T;
  readonly bytes: number;
  readonly done: Done;
}

/** What may wait for a client before those who publish have to wait for it, too. */
const WAITING_MAX = 1_000;
const WAITING_BYTES_MAX = 512 * 1024;

function bytesOf(payload: unknown): number {
  return Buffer.isBuffer(payload) ? payload.length : 0;
}

/** Packets that wait for a client, in order. Each has somebody who has to hear, once, that nobody need wait for it any more. */
export class Backlog<T extends { readonly payload: unknown }> {
  #entries: Entry<T>[] = [];
  /** How many of the first ones nobody waits for, and their bytes. */
  #eased = 0;
  #easedBytes = 0;

  get first(): T | undefined {
    return this.#entries[0]?.packet;
  }

  get length(): number {
    return this.#entries.length;
  }

  push(packet: T, done: Done): void {
    this.#entries.push({ packet, bytes: bytesOf(packet.payload), done });
  }

  /**
   * Takes packets out, from the first one on, as long as `write` answers that it has taken one. Then those are told who waited for them, or for others
   * that are left and within what may wait here.
   */
  drain(write: (packet: T) => boolean): void {
    const entries = this.#entries;
    const told = this.#eased;
    let count = 0;
    for (const entry of entries) {
      if (!write(entry.packet)) break;
      count++;
      if (count <= told) this.#easedBytes -= entry.bytes;
    }
    this.#entries = entries.slice(count);
    this.#eased = Math.max(0, told - count);
    // What they waited for may bring more for this client.
    for (const { done } of entries.slice(told, count)) done();
    this.ease();
  }

  /** Whether somebody waits for it. */
  get isWaitedFor(): boolean {
    return this.#eased < this.#entries.length;
  }

  /** Takes out those that have been here longest and that `mayGo`, until nobody waits who has brought such a packet. Answers with how many. */
  shed(mayGo: (packet: T) => boolean): number {
    this.ease();
    let count = 0;
    while (this.#entries.some(({ packet }, index) => index >= this.#eased && mayGo(packet))) {
      const at = this.#entries.findIndex(({ packet }) => mayGo(packet));
      const [entry] = this.#entries.splice(at, 1);
      if (entry === undefined) break;
      count++;
      if (at < this.#eased) {
        this.#eased--;
        this.#easedBytes -= entry.bytes;
      } else entry.done();
      this.ease();
    }
    return count;
  }

  /** Tells those who wait for what may wait here. */
  ease(): void {
    for (;;) {
      const next = this.#entries[this.#eased];
      if (next === undefined || this.#eased >= WAITING_MAX || this.#easedBytes + next.bytes > WAITING_BYTES_MAX) return;
      this.#eased++;
      this.#easedBytes += next.bytes;
      next.done();
    }
  }
}
