import { Demand } from "./demand.ts";

/** `limits.memory` of a manifest that does not say otherwise. */
const USUAL_MEMORY_MB = 32;
/** Ready isolates of all sizes; each costs about 1.6 MB. */
const READY_MAX = 16;
/** Sizes that are remembered beside the usual one. */
const OTHERS_MAX = 3;
/** So long after it was asked for the last time one of another size than usual is kept ready. */
const OTHER_KEPT_MS = 600_000;

interface Size {
  readonly demand: Demand;
  asked: number;
  askedAt: number;
}

/**
 * Which isolates are worth keeping ready, by the memory that they may have: one of the usual size, one of each of the last others that were asked for
 * more than once, and as many more as were asked for lately.
 */
export class BlankSizes {
  /** The one that was asked for last comes last. */
  readonly #others = new Map<number, Size>();
  readonly #usual: Size = { demand: new Demand(), asked: 0, askedAt: 0 };

  /** One was asked for. `now` in milliseconds, never less than before. */
  took(memoryMb: number, now: number): void {
    const size = this.#sizeOf(memoryMb);
    size.asked++;
    size.askedAt = now;
    size.demand.took(now);
  }

  /** How many of each, the most important first. */
  wanted(now: number): ReadonlyMap<number, number> {
    const others = [...this.#others].filter(([, { asked, askedAt }]) => asked > 1 && now - askedAt < OTHER_KEPT_MS).toReversed();
    const sizes = [[USUAL_MEMORY_MB, this.#usual] as const, ...others];
    let spare = READY_MAX - sizes.length;
    const wanted = new Map<number, number>();
    for (const [memoryMb, { demand }] of sizes) {
      const more = Math.min(spare, demand.lately(now));
      spare -= more;
      wanted.set(memoryMb, 1 + more);
    }
    return wanted;
  }

  #sizeOf(memoryMb: number): Size {
    if (memoryMb === USUAL_MEMORY_MB) return this.#usual;
    const size = this.#others.get(memoryMb) ?? { demand: new Demand(), asked: 0, askedAt: 0 };
    this.#others.delete(memoryMb);
    this.#others.set(memoryMb, size);
    const [oldest] = this.#others.keys();
    if (this.#others.size > OTHERS_MAX && oldest !== undefined) this.#others.delete(oldest);
    return size;
  }
}
