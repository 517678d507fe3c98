import { checkFinite } from "./summary.ts";

/**
 * A sketch of how values are distributed, from which percentiles are read with a bounded relative error. Plain JSON. After "DDSketch" (Masson,
 * Rim and Lee, 2019): values are counted in buckets whose borders grow by a constant factor.
 */
export interface Sketch {
  /** How far a percentile may be from the true value, as a share of it. */
  readonly accuracy: number;
  readonly zeros: number;
  /** Pairs of bucket and count, by bucket. */
  readonly positive: readonly (readonly [number, number])[];
  /** The same for the values below zero, by their distance from it. */
  readonly negative: readonly (readonly [number, number])[];
}

/** Beyond it the buckets nearest to zero become one: large values keep their accuracy. 2,048 span 17 powers of ten at 1 %. */
const BUCKETS_MAX = 2_048;
/** Nearer to zero than this counts as zero. */
const TINY = 1e-9;

/**
 * The sketch of what `sketch` has seen and `value`.
 * @param accuracy Of a new sketch, 0.001 to 0.5; default 0.01, one percent.
 * @throws RangeError when `value` is not a finite number, or `accuracy` out of its range.
 */
export function addToSketch(sketch: Sketch | undefined, value: number, accuracy = 0.01): Sketch {
  checkFinite(value);
  const { ...next } = sketch ?? emptySketch(accuracy);
  if (Math.abs(value) < TINY) return { ...next, zeros: next.zeros + 1 };
  const index = Math.ceil(Math.log(Math.abs(value)) / Math.log(gammaOf(next)));
  return value > 0 ? { ...next, positive: merge(next.positive, [[index, 1]]) } : { ...next, negative: merge(next.negative, [[index, 1]]) };
}

/**
 * The sketch of everything that both have seen.
 * @throws RangeError when their accuracies differ.
 */
export function mergeSketches(a: Sketch, b: Sketch): Sketch {
  if (a.accuracy !== b.accuracy) throw new RangeError(`sketches of accuracy ${a.accuracy} and ${b.accuracy} have different buckets`);
  return {
    accuracy: a.accuracy,
    zeros: a.zeros + b.zeros,
    positive: merge(a.positive, b.positive),
    negative: merge(a.negative, b.negative),
  };
}

/**
 * The value that `percent` of the values are not above, as near as the sketch's accuracy; undefined when it has seen none.
 * @param percent 0 to 100; 50 is the median.
 * @throws RangeError when it is out of that range.
 */
export function percentile(sketch: Sketch, percent: number): number | undefined {
  if (!(percent >= 0 && percent <= 100)) throw new RangeError(`${String(percent)} is not a percentage from 0 to 100`);
  const gamma = gammaOf(sketch);
  const valueOf = (index: number): number => (2 * gamma ** index) / (gamma + 1);
  const all: (readonly [number, number])[] = [
    ...sketch.negative.toReversed().map(([index, count]) => [-valueOf(index), count] as const),
    ...(sketch.zeros > 0 ? [[0, sketch.zeros] as const] : []),
    ...sketch.positive.map(([index, count]) => [valueOf(index), count] as const),
  ];
  const total = all.reduce((sum, [, count]) => sum + count, 0);
  let rank = Math.max(1, Math.ceil((percent / 100) * total));
  for (const [value, count] of all) {
    rank -= count;
    if (rank <= 0) return value;
  }
  return undefined;
}

function emptySketch(accuracy: number): Sketch {
  if (!(accuracy >= 0.001 && accuracy <= 0.5)) throw new RangeError(`accuracy is ${String(accuracy)}, it must be from 0.001 to 0.5`);
  return { accuracy, zeros: 0, positive: [], negative: [] };
}

function gammaOf({ accuracy }: Sketch): number {
  return (1 + accuracy) / (1 - accuracy);
}

type Buckets = readonly (readonly [number, number])[];

function merge(a: Buckets, b: Buckets): Buckets {
  const counts = new Map(a);
  for (const [index, count] of b) counts.set(index, (counts.get(index) ?? 0) + count);
  const sorted = [...counts].toSorted(([x], [y]) => x - y);
  const surplus = sorted.length - BUCKETS_MAX;
  if (surplus <= 0) return sorted;
  const lowest = sorted.slice(0, surplus + 1).reduce((sum, [, count]) => sum + count, 0);
  return [[sorted[surplus]?.[0] ?? 0, lowest], ...sorted.slice(surplus + 1)];
}
