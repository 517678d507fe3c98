import { describe, expect, it } from "vitest";
import { fuzz } from "../fuzz/fuzz.ts";

/** A short form of `npm run fuzz`; see docs/guide/fuzzing.md. */
describe.each([21, 22])("packets damaged with seed %i", (seed) => {
  it("do no harm to the broker, and none to others", { timeout: 240_000 }, async () => {
    const said: string[] = [];
    const report = await fuzz({ seed, seconds: 60, connections: 250, say: (line) => void said.push(line) });
    expect(report.problems).toEqual([]);
    expect(report.connections).toBe(250);
    expect(report.acknowledged).toBeGreaterThan(20);
    expect(report.witness.received).toBe(report.witness.acknowledged);
    expect(Object.keys(report.outcomes)).toContain("answered to the end");
  });
});
