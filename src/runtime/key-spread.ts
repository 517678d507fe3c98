/**
 * Which lane has which keys. It begins with a few lanes; one with too much to do is split, and gives most of its keys to lanes that had none; later
 * they come back to it. Nothing changes for the keys of the other lanes (extendible hashing: Fagin and others, 1979).
 */
export class KeySpread {
  /** A key belongs to the lane that its hash leaves as the remainder by one of these: by a later one after each split. Each divides the next one. */
  readonly #moduli: readonly number[];
  /** By which of them, for each lane; undefined for a lane without keys. */
  readonly #depths: (number | undefined)[];
  /** Keys that stay where they were, in spite of a split. */
  readonly #pins = new Map<string, number>();

  /** At least `least` of `lanes` lanes have keys at any time, a few more when that number does not divide the other. */
  constructor(least: number, lanes: number) {
    this.#moduli = moduliOf(least, lanes);
    const first = this.#moduli[0] ?? lanes;
    this.#depths = Array.from({ length: lanes }, (_, lane) => (lane < first ? 0 : undefined));
  }

  /** The lane of a key. */
  of(key: string): number {
    const pinned = this.#pins.size === 0 ? undefined : this.#pins.get(key);
    if (pinned !== undefined) return pinned;
    if (this.#depths.length === 1) return 0;
    return this.#at(key);
  }

  #at(key: string): number {
    const hash = hashOf(key);
    for (let depth = 0; ; depth++) {
      const lane = hash % (this.#moduli[depth] ?? this.#depths.length);
      if ((this.#depths[lane] ?? 0) <= depth) return lane;
    }
  }

  has(lane: number): boolean {
    return this.#depths[lane] !== undefined;
  }

  /** Whether no lane was split, or all that were have their keys back. */
  get isWhole(): boolean {
    return this.#depths.every((depth) => depth === undefined || depth === 0);
  }

  maySplit(lane: number): boolean {
    const depth = this.#depths[lane];
    return depth !== undefined && depth + 1 < this.#moduli.length;
  }

  /** Whether the key would leave the lane with a split. */
  wouldLeave(key: string, lane: number): boolean {
    const modulus = this.#moduli[(this.#depths[lane] ?? 0) + 1];
    return modulus !== undefined && hashOf(key) % modulus !== lane;
  }

  /** Gives keys of a lane to lanes that had none, which it answers with; those that are `pinned` stay where they are. */
  split(lane: number, pinned: Iterable<string>): readonly number[] {
    const depth = this.#depths[lane] ?? 0;
    const others = this.#partners(lane, depth);
    for (const each of [lane, ...others]) this.#depths[each] = depth + 1;
    for (const key of pinned) if (this.#at(key) !== lane) this.#pins.set(key, lane);
    return others;
  }

  /** Lanes that could get back the keys that they gave away, those that were split last first, each with the lanes that have them. */
  merges(): readonly { readonly lane: number; readonly others: readonly number[] }[] {
    const merges = this.#depths.flatMap((depth, lane) => {
      if (depth === undefined || depth === 0 || lane >= (this.#moduli[depth - 1] ?? 0)) return [];
      const others = this.#partners(lane, depth - 1);
      return others.every((other) => this.#depths[other] === depth) ? [{ lane, others, depth }] : [];
    });
    return merges.toSorted((a, b) => b.depth - a.depth);
  }

  /** Takes back a split. */
  merge({ lane, others }: { readonly lane: number; readonly others: readonly number[] }): void {
    this.#depths[lane] = (this.#depths[lane] ?? 1) - 1;
    for (const other of others) this.#depths[other] = undefined;
    for (const [key, pinned] of this.#pins) if (others.includes(pinned)) this.#pins.delete(key);
  }

  /** Lets keys go where they belong that stayed where they were, unless `holds` says that they have to stay. */
  unpin(holds: (lane: number, key: string) => boolean): void {
    for (const [key, lane] of this.#pins) if (!holds(lane, key)) this.#pins.delete(key);
  }

  /** The lanes that share the keys of a lane with it once it is split at this depth. */
  #partners(lane: number, depth: number): readonly number[] {
    const [step, end] = [this.#moduli[depth] ?? 1, this.#moduli[depth + 1] ?? 0];
    const partners: number[] = [];
    for (let other = lane + step; other < end; other += step) partners.push(other);
    return partners;
  }
}

/** From `lanes` down to `least`, halved where that is possible, each a divisor of the next. */
function moduliOf(least: number, lanes: number): readonly number[] {
  const moduli = [lanes];
  for (let last = lanes; last > least;) {
    const next = largestBelow(last);
    if (next < least) break;
    moduli.unshift(next);
    last = next;
  }
  return moduli;
}

function largestBelow(number: number): number {
  let divisor = 2;
  while (number % divisor !== 0) divisor++;
  return number / divisor;
}

/** FNV-1a. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
