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

interface Failures {
  count: number;
  /** In the clock's `elapsed`. */
  until: number;
  last: number;
}

/** Who tries to come in. */
export interface Attempt {
  /** Undefined on a Unix socket. */
  readonly address: string | undefined;
  /** The name it gives, true or not. */
  readonly name: string | undefined;
}

/**
 * Makes those who fail to say who they are wait: after five failures in a row a second, and twice as long after each further one, by address and by name.
 * A name that came in from an address before is counted for itself there, so neither another device behind the same address nor somebody elsewhere who
 * tries its name keeps it out.
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
    return Math.max(0, ...this.#keys(attempt).map(({ key }) => (this.#failures.get(key)?.until ?? 0) - now));
  }

  failed(attempt: Attempt): void {
    const now = this.#clock.elapsed();
    for (const { key, maxMs } of this.#keys(attempt)) {
      const before = this.#failures.get(key);
      this.#failures.delete(key); // It becomes the newest.
      const count = before === undefined || now - before.last > FORGET_MS ? 1 : before.count + 1;
      const waitMs = count < FREE ? 0 : Math.min(maxMs, FIRST_MS * 2 ** Math.min(count - FREE, 20));
      makeRoom(this.#failures, ENTRIES_MAX);
      this.#failures.set(key, { count, until: now + waitMs, last: now });
    }
  }

  succeeded(attempt: Attempt): void {
    for (const { key } of this.#keys(attempt)) this.#failures.delete(key);
    const pair = pairOf(attempt);
    this.#known.delete(pair);
    makeRoom(this.#known, ENTRIES_MAX);
    this.#known.add(pair);
  }

  #keys(attempt: Attempt): { readonly key: string; readonly maxMs: number }[] {
    const { address, name } = attempt;
    const pair = pairOf(attempt);
    if (this.#known.has(pair)) return [{ key: `pair ${pair}`, maxMs: ADDRESS_MS_MAX }];
    return [
      ...(address === undefined ? [] : [{ key: `address ${networkOf(address)}`, maxMs: ADDRESS_MS_MAX }]),
      ...(name === undefined ? [] : [{ key: `name ${name.slice(0, 256)}`, maxMs: NAME_MS_MAX }]),
    ];
  }
}

function pairOf({ address = "", name = "" }: Attempt): string {
  return `${networkOf(address)} ${name.slice(0, 256)}`;
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
