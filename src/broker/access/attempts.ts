import type { Clock } from "../../core/clock.ts";

/** Failures in a row that are free, from one address and of one name. */
const FREE = 5;
const FIRST_MS = 1_000;
/** A name is not shut for longer: somebody else could shut it. */
const NAME_MS_MAX = 30_000;
const ADDRESS_MS_MAX = 300_000;
/** Failures are forgotten after that long without another. */
const FORGET_MS = 900_000;
const ENTRIES_MAX = 20_000;
const NAME_MAX = 256;

interface Failures {
  count: number;
  /** In the clock's `elapsed`. */
  until: number;
  last: number;
}

interface Key {
  readonly key: string;
  readonly maxMs: number;
  /** Counts only the first failure of each name. */
  readonly firstOnly: boolean;
}

/** Who tries to come in. */
export interface Attempt {
  /** Undefined on a Unix socket. */
  readonly address: string | undefined;
  /** The name it gives, true or not. */
  readonly name: string | undefined;
}

/**
 * Makes those who fail to say who they are wait: after five failures in a row a second, and twice as long after each further one. Counted are tries of a
 * name from an address, tries of a name from anywhere, and the names that have failed from an address, so that one device with a wrong password does not
 * keep out the others behind its address. For a name that came in from an address before only its own tries from there count: somebody elsewhere who
 * tries its name does not keep it out.
 */
export class Attempts {
  readonly #clock: Pick<Clock, "elapsed">;
  readonly #failures = new Map<string, Failures>();
  /** Address and name of those who have come in. */
  readonly #known = new Set<string>();

  constructor(clock: Pick<Clock, "elapsed">) {
    this.#clock = clock;
  }

  /** Milliseconds until another try is looked at; 0 when this one may be. */
  waitMs(attempt: Attempt): number {
    const now = this.#clock.elapsed();
    const { pair, others } = this.#keys(attempt);
    return Math.max(0, ...[pair, ...others].map(({ key }) => (this.#failures.get(key)?.until ?? 0) - now));
  }

  failed(attempt: Attempt): void {
    const { pair, others } = this.#keys(attempt);
    const isFirst = this.#count(pair) === 1;
    for (const other of others) if (isFirst || !other.firstOnly) this.#count(other);
  }

  succeeded(attempt: Attempt): void {
    const { pair, others } = this.#keys(attempt);
    // Not those of the address: whoever has one right password could try others for ever.
    for (const { key, firstOnly } of [pair, ...others]) if (!firstOnly) this.#failures.delete(key);
    this.#known.delete(pair.key);
    makeRoom(this.#known, ENTRIES_MAX);
    this.#known.add(pair.key);
  }

  /** How many there are in a row. */
  #count({ key, maxMs }: Key): number {
    const now = this.#clock.elapsed();
    const before = this.#failures.get(key);
    this.#failures.delete(key); // It becomes the newest.
    const count = before === undefined || now - before.last > FORGET_MS ? 1 : before.count + 1;
    const waitMs = count < FREE ? 0 : Math.min(maxMs, FIRST_MS * 2 ** Math.min(count - FREE, 20));
    makeRoom(this.#failures, ENTRIES_MAX);
    this.#failures.set(key, { count, until: now + waitMs, last: now });
    return count;
  }

  #keys({ address, name = "" }: Attempt): { readonly pair: Key; readonly others: readonly Key[] } {
    const network = address === undefined ? "" : networkOf(address);
    const short = name.slice(0, NAME_MAX);
    const pair = { key: `pair ${network} ${short}`, maxMs: ADDRESS_MS_MAX, firstOnly: false };
    if (this.#known.has(pair.key)) return { pair, others: [] };
    const ofAddress = { key: `address ${network}`, maxMs: ADDRESS_MS_MAX, firstOnly: true };
    const ofName = { key: `name ${short}`, maxMs: NAME_MS_MAX, firstOnly: false };
    return { pair, others: [...(address === undefined ? [] : [ofAddress]), ...(name === "" ? [] : [ofName])] };
  }
}

/** One subscriber has at least 64 bits of IPv6 addresses. */
function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(":").length;
  return [...groups, ...Array.from({ length: Math.max(0, missing) }, () => "0"), ...(tail?.split(":") ?? [])].slice(0, 4).join(":");
}

/** The oldest goes. */
function makeRoom(entries: Map<string, unknown> | Set<string>, max: number): void {
  if (entries.size < max) return;
  const [oldest] = entries.keys();
  if (oldest !== undefined) entries.delete(oldest);
}
