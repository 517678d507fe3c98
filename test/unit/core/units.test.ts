import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../../src/core/units.ts";

describe("units", () => {
  it.each([
    ["20ms", 20],
    ["5s", 5_000],
    ["1.5h", 5_400_000],
    [" 2d ", 172_800_000],
    ["0.25ms", 0],
    ["5", undefined],
    ["5 s", undefined],
    ["-5s", undefined],
    ["5S", undefined],
    ["s", undefined],
    ["1e3s", undefined],
    ["", undefined],
  ])("the duration %j is %j ms", (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each([
    ["1B", 1],
    ["64KB", 65_536],
    ["0.5MB", 524_288],
    ["2GB", 2 ** 31],
    ["1TB", 2 ** 40],
    ["1kb", undefined],
    ["1", undefined],
    ["MB", undefined],
  ])("the size %j is %j bytes", (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it("are read back as they are printed, to within the digit that is printed", () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 45 }), (amount) => {
        expect(Math.abs((parseSize(formatSize(amount)) ?? NaN) - amount)).toBeLessThanOrEqual(amount * 0.05);
        expect(Math.abs((parseDuration(formatDuration(amount)) ?? NaN) - amount)).toBeLessThanOrEqual(amount * 0.05);
      }),
    );
  });

  it("are printed in the largest unit that fits", () => {
    expect([0, 999, 1_000, 1_500, 90_000, 86_400_000].map(formatDuration)).toEqual(["0ms", "999ms", "1s", "1.5s", "1.5m", "1d"]);
    expect([0, 1_023, 1_024, 64 * 1024 ** 2].map(formatSize)).toEqual(["0B", "1023B", "1KB", "64MB"]);
  });
});
