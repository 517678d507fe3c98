import { describe, expect, it } from "vitest";
import { hoursText, samplesText } from "../../../src/cli/stats/history.ts";

const HOUR = Date.UTC(2026, 0, 2, 3);

describe("What functions have used, as a table", () => {
  it("has a line for each function and hour, and one for all hours of a function", () => {
    const text = hoursText([
      { time: HOUR, function: "a", invocations: 1_000, errors: 2, cpuMs: 30.4, gbSeconds: 0.5 },
      { time: HOUR, function: "b", invocations: 1, errors: 0, cpuMs: 0, gbSeconds: 0 },
      { time: HOUR + 3_600_000, function: "a", invocations: 500, errors: 0, cpuMs: 10, gbSeconds: 0.25 },
    ]);
    expect(text.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["HOUR", "FUNCTION", "INVOCATIONS", "ERRORS", "CPU MS", "GB-S"],
      ["2026-01-02 03:00Z", "a", "1,000", "2", "30", "0.500"],
      ["2026-01-02 03:00Z", "b", "1", "0", "0", "0.000"],
      ["2026-01-02 04:00Z", "a", "500", "0", "10", "0.250"],
      ["total", "a", "1,500", "2", "40", "0.750"],
      ["total", "b", "1", "0", "0", "0.000"],
      [""],
    ]);
    expect(hoursText([])).toContain("nothing was handled");
  });

  it("has rates for each sample", () => {
    const row = { function: "a", version: 3, invocations: 25, errors: 1, cpuMs: 2_500, gbSeconds: 1, backlog: 7, heapBytes: 2 ** 20 };
    const text = samplesText([{ time: HOUR, functions: [row, { ...row, function: "b", heapBytes: 0 }] }]);
    expect(text).toMatch(/^2026-01-02 03:00:00Z +a +v3 +2\.5 +0\.1 +25\.0 +7 +1MB$/m);
    expect(text).toMatch(/ b +v3 +2\.5 +0\.1 +25\.0 +7$/m);
    expect(samplesText([])).toContain("nothing was handled");
  });
});
