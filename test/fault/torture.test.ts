import { describe, expect, it } from "vitest";
import { torture } from "../torture/torture.ts";

/** A short form of `npm run torture`; see docs/guide/torture.md. */
describe.each([11, 12])("torture with seed %i", (seed) => {
  it("breaks no promise", { timeout: 240_000 }, async () => {
    const said: string[] = [];
    const report = await torture({
      seed,
      seconds: 15,
      messagesPerSecond: 15,
      say: (line) => void said.push(line),
      keep: false,
    });
    expect(report.problems).toEqual([]);
    expect(report.acknowledged).toBeGreaterThan(100);
    expect(Object.values(report.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(3);
  });
});
