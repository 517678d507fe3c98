/** What one request takes of the room for all. */
interface Wanted {
  readonly owner: object;
  readonly bytes: number;
}

interface Waiter extends Wanted {
  readonly signal: AbortSignal;
  enter(): void;
}

export interface SlotLimits {
  /** Requests under way at once, of all functions and of one. */
  readonly requestsMax: number;
  readonly functionRequestsMax: number;
  /** Memory for what they may answer; a single request may always have what it needs. */
  readonly bytesMax: number;
}

/** Room for requests. Whoever finds none waits, first come first served; one whose function has its share lets others pass. */
export class Slots {
  readonly #limits: SlotLimits;
  readonly #waiting: Waiter[] = [];
  readonly #taken = new Map<object, number>();
  #requests = 0;
  #bytes = 0;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves with what gives the room back, once. Rejects with the signal's reason when aborted. */
  async take(wanted: Wanted, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#waiting.length > 0 || !this.#fits(wanted)) await this.#turn(wanted, signal);
    else this.#enter(wanted);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      this.#leave(wanted);
    };
  }

  #turn(wanted: Wanted, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal.reason as Error);
        this.#serve(); // It may have stood before one that fits.
      };
      const enter = (): void => {
        signal.removeEventListener("abort", leave);
        this.#enter(wanted);
        resolve();
      };
      const waiter: Waiter = { ...wanted, signal, enter };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.push(waiter);
      this.#serve();
    });
  }

  #serve(): void {
    for (let at = 0; at < this.#waiting.length && this.#requests < this.#limits.requestsMax;) {
      const waiter = this.#waiting[at];
      if (waiter === undefined) return;
      if (this.#hasShare(waiter.owner)) at++;
      else if (this.#fits(waiter)) this.#waiting.splice(at, 1)[0]?.enter();
      else return; // It is the next to whom the memory belongs.
    }
  }

  #hasShare(owner: object): boolean {
    return (this.#taken.get(owner) ?? 0) >= this.#limits.functionRequestsMax;
  }

  #fits({ owner, bytes }: Wanted): boolean {
    if (this.#hasShare(owner) || this.#requests >= this.#limits.requestsMax) return false;
    return this.#requests === 0 || this.#bytes + bytes <= this.#limits.bytesMax;
  }

  #enter({ owner, bytes }: Wanted): void {
    this.#taken.set(owner, (this.#taken.get(owner) ?? 0) + 1);
    this.#requests++;
    this.#bytes += bytes;
  }

  #leave({ owner, bytes }: Wanted): void {
    const left = (this.#taken.get(owner) ?? 1) - 1;
    if (left === 0) this.#taken.delete(owner);
    else this.#taken.set(owner, left);
    this.#requests--;
    this.#bytes -= bytes;
    this.#serve();
  }
}
