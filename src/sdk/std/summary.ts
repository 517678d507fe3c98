/** Count, extremes, mean and spread of values, in constant space. Plain JSON, so it can be kept in `ctx.state` as it is. */
export interface Summary {
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Sum of the squared distances from the mean. */
  readonly m2: number;
}

/**
 * The summary of what `summary` has seen and `value`. Mean and spread by Welford (1962), which does not lose digits as a sum of squares does.
 * @param summary undefined = nothing seen yet.
 * @throws RangeError when `value` is not a finite number.
 */
export function addTo(summary: Summary | undefined, value: number): Summary {
  checkFinite(value);
  if (summary === undefined) return { count: 1, min: value, max: value, mean: value, m2: 0 };
  const count = summary.count + 1;
  const delta = value - summary.mean;
  const mean = summary.mean + delta / count;
  return {
    count,
    min: Math.min(summary.min, value),
    max: Math.max(summary.max, value),
    mean,
    m2: summary.m2 + delta * (value - mean),
  };
}

/** The summary of everything that both have seen (Chan, Golub and LeVeque, 1979). */
export function mergeSummaries(a: Summary, b: Summary): Summary {
  const count = a.count + b.count;
  const delta = b.mean - a.mean;
  return {
    count,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
    mean: a.mean + (delta * b.count) / count,
    m2: a.m2 + b.m2 + (delta * delta * a.count * b.count) / count,
  };
}

/** Standard deviation of the values seen, as a sample of more (divided by count − 1); 0 for a single one. */
export function deviation({ count, m2 }: Summary): number {
  return count < 2 ? 0 : Math.sqrt(m2 / (count - 1));
}

export function checkFinite(value: number): void {
  if (!Number.isFinite(value)) throw new RangeError(`${String(value)} is not a finite number`);
}
