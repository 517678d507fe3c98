import { describe, expect, it } from "vitest";
import { BUCKETS_MS, EMPTY_HISTOGRAM, Histogram, totalOf } from "../../../src/core/histogram.ts";

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
});
