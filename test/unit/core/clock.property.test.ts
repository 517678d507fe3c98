import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backoffMs } from "../../../src/core/clock.ts";

const bounds = fc.tuple(fc.integer({ min: 0, max: 3_600_000 }), fc.integer({ min: 0, max: 3_600_000 })).map(([a, b]) => ({
  minMs: Math.min(a, b),
  maxMs: Math.max(a, b),
}));
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe("the wait before a retry", () => {
  it("doubles from its first bound to its second, with jitter of half of it", () => {
    fc.assert(
      fc.property(bounds, fc.integer({ min: 1, max: 100 }), chance, ({ minMs, maxMs }, attempt, random) => {
        const step = Math.min(maxMs, minMs * 2 ** (attempt - 1));
        const wait = backoffMs(attempt, { minMs, maxMs }, () => random);
        expect(wait).toBeGreaterThanOrEqual(Math.floor(step / 2));
        expect(wait).toBeLessThanOrEqual(Math.ceil(step));
        expect(Number.isSafeInteger(wait)).toBe(true);
      }),
    );
  });

  it("is spread over the whole of that half", () => {
    const waits = [0, 0.25, 0.5, 0.999].map((random) => backoffMs(3, { minMs: 100, maxMs: 60_000 }, () => random));
    expect(waits).toEqual([200, 250, 300, 400]);
  });
});
