import { seeded } from "../support/random.ts";

const SPREAD = 0x9e_37_79_b1;

/** Choices that depend on a seed alone. */
export class Dice {
  readonly #next: () => number;

  /** Dice with the same `seed` and another `stream` have nothing in common. */
  constructor(seed: number, stream: number) {
    this.#next = seeded(Math.imul(seed, SPREAD) ^ Math.imul(stream + 1, 0x85_eb_ca_6b));
  }

  /** A whole number from 0 to `count - 1`. */
  below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  chance(share: number): boolean {
    return this.#next() < share;
  }

  /** @throws TypeError when there is nothing to choose from */
  pick<T>(all: readonly T[]): T {
    const one = all[this.below(all.length)];
    if (one === undefined) throw new TypeError("there is nothing to choose from");
    return one;
  }

  /** One of the keys, the more often the larger its number is. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries<number>(weights) as [K, number][];
    let left = this.#next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return this.pick(entries)[0];
  }

  bytes(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => this.below(256)));
  }

  /** Some of them, in any order. */
  some<T>(all: readonly T[], share: number): T[] {
    const chosen = all.filter(() => this.chance(share));
    for (let index = chosen.length - 1; index > 0; index--) {
      const other = this.below(index + 1);
      [chosen[index], chosen[other]] = [chosen[other] as T, chosen[index] as T];
    }
    return chosen;
  }
}
