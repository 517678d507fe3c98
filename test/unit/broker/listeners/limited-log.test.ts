import { pino } from "pino";
import { beforeEach, describe, expect, it } from "vitest";
import { LimitedLog } from "../../../../src/broker/listeners/limited-log.ts";

let lines: { n: number; unreported?: number; msg: string; level: number }[];
let now: number;
let log: LimitedLog;

beforeEach(() => {
  lines = [];
  now = 5_000;
  log = new LimitedLog(pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) }), () => now);
});

function warn(...numbers: readonly number[]): void {
  for (const n of numbers) log.warn({ n }, "somebody failed");
}

describe("a limited log", () => {
  it("writes five warnings in ten seconds, as they are", () => {
    warn(1, 2, 3, 4, 5, 6, 7);
    expect(lines.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5]);
    for (const line of lines) {
      expect(line).toMatchObject({ msg: "somebody failed", level: 40 });
      expect(line).not.toHaveProperty("unreported");
    }
  });

  it("says with the next one how many were left out, once", () => {
    warn(1, 2, 3, 4, 5, 6, 7);
    now += 9_999;
    warn(8);
    expect(lines).toHaveLength(5);
    now += 1;
    warn(9, 10);
    expect(lines.slice(5)).toMatchObject([{ n: 9, unreported: 3 }, { n: 10 }]);
    expect(lines[6]).not.toHaveProperty("unreported");
  });

  it("accounts for every warning, however they come", () => {
    for (let n = 0; n < 10_000; n++) {
      warn(n);
      now += (n * 7) % 1_300;
    }
    now += 10_000;
    warn(10_000);
    expect(lines.length).toBeLessThan(10_001);
    expect(lines.reduce((sum, { unreported = 0 }) => sum + 1 + unreported, 0)).toBe(10_001);
  });
});
