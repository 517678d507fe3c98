/** What deliveries need of the broker. */
interface Outlet {
  deliver(records: readonly Uint8Array[], done: () => void): void;
  secured(done: () => void): void;
}

/** What may be on its way to subscribers from all functions together: so many records, or as many times 4 KiB. */
const UNITS_MAX = 16_384;
const UNIT_BYTES = 4_096;
/** The part of what is free that one function may take before it waits. */
const SHARE = 1 / 4;
/** The part of that share at which it goes on. */
const LOW = 1 / 4;

/** What subscribers have not taken yet of what a function has published. */
interface Account {
  units: number;
  held: boolean;
}

/**
 * Counts what each function publishes and subscribers have not taken yet. One of which too much is on its way has to wait, `hold(name, true)`, until
 * `hold(name, false)`: its messages stay in the journal, not in memory. How much is too much goes by what is still free: a function whose subscribers
 * take nothing gets a fifth of the room, and leaves enough of it to the others however many such functions there are.
 */
export class Deliveries {
  readonly #outlet: Outlet;
  readonly #hold: (name: string, on: boolean) => void;
  readonly #accounts = new Map<string, Account>();
  readonly #held = new Set<string>();
  #units = 0;

  constructor(outlet: Outlet, hold: (name: string, on: boolean) => void) {
    this.#outlet = outlet;
    this.#hold = hold;
  }

  /**
   * Hands on what the function `name` has published. `done` is called when the sessions of all subscribers have the records on disk, and not at all
   * when they cannot have them.
   */
  deliver(name: string, records: readonly Uint8Array[], done: () => void): void {
    const units = unitsOf(records);
    this.#add(name, units);
    this.#outlet.deliver(records, () => {
      this.#add(name, -units);
      this.#outlet.secured(done);
    });
  }

  #add(name: string, units: number): void {
    const account = this.#accounts.get(name) ?? { units: 0, held: false };
    this.#units += units;
    account.units += units;
    if (account.units === 0) this.#accounts.delete(name);
    else this.#accounts.set(name, account);
    const share = Math.max(0, UNITS_MAX - this.#units) * SHARE;
    if (units > 0) {
      if (account.units <= share || account.held) return;
      account.held = true;
      this.#held.add(name);
      this.#hold(name, true);
      return;
    }
    // There is more room for everybody who waits.
    for (const other of this.#held) this.#release(other, other === name ? account : this.#accounts.get(other), share);
  }

  /** A function of which nothing is on its way goes on in any case. */
  #release(name: string, account: Account | undefined, share: number): void {
    if (account !== undefined && account.units > share * LOW) return;
    if (account !== undefined) account.held = false;
    this.#held.delete(name);
    this.#hold(name, false);
  }
}

function unitsOf(records: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const record of records) bytes += record.length;
  return Math.max(records.length, Math.ceil(bytes / UNIT_BYTES));
}
