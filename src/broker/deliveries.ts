/** What deliveries need of the broker. */
interface Outlet {
  deliver(records: readonly Uint8Array[], done: () => void): void;
  secured(done: () => void): void;
}

/** Records on their way to subscribers at which functions have to wait, and at which they go on. */
const RECORDS_HIGH = 8_192;
const RECORDS_LOW = 2_048;

/**
 * Counts what functions publish and subscribers have not taken yet. When it is too much, `hold(true)` stops the functions that make it until
 * `hold(false)`: their messages wait in the journal, not in memory.
 */
export class Deliveries {
  readonly #outlet: Outlet;
  readonly #hold: (on: boolean) => void;
  #records = 0;
  #holding = false;

  constructor(outlet: Outlet, hold: (on: boolean) => void) {
    this.#outlet = outlet;
    this.#hold = hold;
  }

  /** `done` is called when the sessions of all subscribers have the records on disk, and not at all when they cannot have them. */
  deliver(records: readonly Uint8Array[], done: () => void): void {
    this.#records += records.length;
    if (this.#records > RECORDS_HIGH) this.#set(true);
    this.#outlet.deliver(records, () => {
      this.#records -= records.length;
      if (this.#records < RECORDS_LOW) this.#set(false);
      this.#outlet.secured(done);
    });
  }

  #set(holding: boolean): void {
    if (this.#holding === holding) return;
    this.#holding = holding;
    this.#hold(holding);
  }
}
