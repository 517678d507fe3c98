import { describe, expect, it } from "vitest";
import { Demand } from "../../../src/runtime/host/demand.ts";

describe("demand for isolates", () => {
  it("is one as long as nothing is started", () => {
    const demand = new Demand();
    expect(demand.wanted(0)).toBe(1);
    expect(demand.wanted(1_000_000)).toBe(1);
  });

  it("follows the starts, and is bounded", () => {
    const demand = new Demand();
    const wanted = Array.from({ length: 30 }, (_, i) => {
      demand.took(i);
      return demand.wanted(i);
    });
    expect(wanted.slice(0, 15)).toEqual(Array.from({ length: 15 }, (_, i) => i + 2));
    expect(Math.max(...wanted)).toBe(16);
  });

  it("is halved every 10 seconds of quiet", () => {
    const demand = new Demand();
    for (let i = 0; i < 8; i++) demand.took(5_000);
    expect([0, 10, 20, 30, 40].map((seconds) => demand.wanted(5_000 + seconds * 1_000))).toEqual([9, 5, 3, 2, 2]);
    expect(demand.wanted(65_000)).toBe(1);
  });
});
