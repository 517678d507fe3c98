/** Upper bounds of the buckets in milliseconds, each included; one more bucket takes what is above all of them. */
export const BUCKETS_MS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000] as const;

/** Times by how long they are. */
export interface HistogramStats {
  /** One for each of BUCKETS_MS, and what is above them last. */
  readonly counts: readonly number[];
  /** Of all times, in milliseconds. */
  readonly sumMs: number;
}

export const EMPTY_HISTOGRAM: HistogramStats = { counts: Array.from({ length: BUCKETS_MS.length + 1 }, () => 0), sumMs: 0 };

/** Counts times in buckets. Counting allocates nothing. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS_MS.length + 1);
  #sumMs = 0;

  /** `count` times of `ms` each. */
  observe(ms: number, count: number): void {
    let bucket = 0;
    while (bucket < BUCKETS_MS.length && ms > (BUCKETS_MS[bucket] ?? Infinity)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
    this.#sumMs += ms * count;
  }

  get stats(): HistogramStats {
    return { counts: [...this.#counts], sumMs: this.#sumMs };
  }
}

/** How many times a histogram has counted. */
export function totalOf({ counts }: HistogramStats): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** What was counted after `before`, an earlier look at the same histogram. */
export function minus(now: HistogramStats, before: HistogramStats): HistogramStats {
  return { counts: now.counts.map((count, index) => count - (before.counts[index] ?? 0)), sumMs: now.sumMs - before.sumMs };
}

/** Below which the part `q` of all times lies, in milliseconds, as if times were spread evenly within a bucket; undefined when there are none. */
export function quantileMs(stats: HistogramStats, q: number): number | undefined {
  const wanted = totalOf(stats) * q;
  if (wanted === 0) return undefined;
  let below = 0;
  for (const [index, count] of stats.counts.entries()) {
    const lower = BUCKETS_MS[index - 1] ?? 0;
    const upper = BUCKETS_MS[index] ?? lower;
    if (below + count >= wanted && count > 0) return lower + ((upper - lower) * (wanted - below)) / count;
    below += count;
  }
  return undefined;
}
