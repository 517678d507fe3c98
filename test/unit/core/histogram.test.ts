import { describe, expect, it } from "vitest";
import { BUCKETS_MS, EMPTY_HISTOGRAM, Histogram, minus, quantileMs, totalOf } from "../../../src/core/histogram.ts";

describe("A histogram", () => {
  it("counts a bound in the bucket that it ends, and what is above all of them in the last", () => {
    const histogram = new Histogram();
    expect(histogram.stats).toEqual(EMPTY_HISTOGRAM);
    BUCKETS_MS.forEach((ms, index) => histogram.observe(ms, index + 1));
    histogram.observe(10_000.001, 100);
    histogram.observe(0, 1_000);
    const { counts } = histogram.stats;
    expect(counts).toEqual([1_001, ...BUCKETS_MS.slice(1).map((_, index) => index + 2), 100]);
    expect(totalOf(histogram.stats)).toBe(1_290);
  });

  it("adds up all times", () => {
    const histogram = new Histogram();
    histogram.observe(2, 3);
    histogram.observe(20_000, 1);
    expect(histogram.stats.sumMs).toBe(20_006);
  });

  it("has quantiles within the bucket that they are in, also of what came after an earlier look", () => {
    const histogram = new Histogram();
    expect(quantileMs(histogram.stats, 0.5)).toBeUndefined();
    histogram.observe(20_000, 50);
    const before = histogram.stats;
    expect(quantileMs(before, 0.5)).toBe(10_000);
    histogram.observe(0.7, 90);
    histogram.observe(70, 10);
    const since = minus(histogram.stats, before);
    expect(since.sumMs).toBeCloseTo(90 * 0.7 + 700, 6);
    expect(quantileMs(since, 0.45)).toBeCloseTo(0.75, 6);
    expect(quantileMs(since, 0.9)).toBe(1);
    expect(quantileMs(since, 0.95)).toBe(75);
    expect(quantileMs(since, 1)).toBe(100);
  });
});
