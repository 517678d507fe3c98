import { describe, expect, it } from "vitest";
import { LogRing } from "../../../src/runtime/logs.ts";

function filled(count: number, max: number): LogRing {
  const ring = new LogRing(max);
  for (let n = 1; n <= count; n++)
    ring.add({ level: n % 2 === 0 ? "error" : "info", function: n % 3 === 0 ? "g" : "f", version: 1, message: String(n) });
  return ring;
}

const numbers = (found: { records: readonly { n: number }[] }): number[] => found.records.map(({ n }) => n);

describe("the ring of log records", () => {
  it("keeps the newest", () => {
    expect(numbers(filled(25, 10).query({ level: "debug", limit: 100 }))).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
    expect(numbers(filled(25, 10).query({ level: "debug", limit: 3 }))).toEqual([23, 24, 25]);
    expect(numbers(filled(0, 10).query({ level: "debug", limit: 3 }))).toEqual([]);
  });

  it("keeps no more text than it may, and always the newest record", () => {
    const ring = new LogRing(10, 100);
    for (const size of [10, 20, 30, 40]) ring.add({ level: "info", function: "f", version: 1, message: "x".repeat(size) });
    expect(numbers(ring.query({ level: "info", limit: 10 }))).toEqual([1, 2, 3, 4]);
    ring.add({ level: "info", function: "f", version: 1, message: "x".repeat(15) });
    expect(numbers(ring.query({ level: "info", limit: 10 }))).toEqual([3, 4, 5]);
    expect(numbers(ring.query({ level: "info", after: 0, limit: 2 }))).toEqual([3, 4]);
    ring.add({ level: "info", function: "f", version: 1, message: "x".repeat(500) });
    expect(numbers(ring.query({ level: "info", limit: 10 }))).toEqual([6]);
  });

  it("is read on from where the last answer ended, without gap or repetition", () => {
    const ring = filled(25, 100);
    const seen: number[] = [];
    for (let after = 0; ;) {
      const found = ring.query({ level: "error", function: "f", after, limit: 3 });
      if (found.records.length === 0) break;
      seen.push(...numbers(found));
      after = found.next;
    }
    expect(seen).toEqual([2, 4, 8, 10, 14, 16, 20, 22]);
  });

  it("wakes those who wait, and lets them go", async () => {
    const ring = filled(3, 10);
    const control = new AbortController();
    await ring.more(2, control.signal);
    const waiting = ring.more(3, control.signal);
    ring.add({ level: "info", function: "f", version: 1, message: "4" });
    await waiting;
    const inVain = ring.more(4, control.signal);
    control.abort(new Error("enough"));
    await expect(inVain).rejects.toThrow("enough");
    await expect(ring.more(9, control.signal)).rejects.toThrow("enough");
    await expect(ring.more(0, control.signal)).rejects.toThrow("enough");
  });
});
