import { describe, expect, it } from "vitest";
import { Owed } from "../../../src/runtime/owed.ts";

function loaded(): Owed {
  const owed = new Owed(5_000);
  owed.load(10);
  owed.loaded();
  return owed;
}

describe("what a host owes", () => {
  it("is a load, then batches in the order in which they were sent", () => {
    const owed = new Owed(5_000);
    owed.load(10);
    expect(owed.deadlines).toEqual([10]);
    owed.loaded();
    expect(owed.deadlines).toEqual([]);
    owed.run(1, 20);
    owed.run(2, 30);
    owed.answered(1);
    expect(owed.deadlines).toEqual([30]);
    owed.answered(2);
    expect(owed.deadlines).toEqual([]);
  });

  it("stays owed when something else is answered", () => {
    const owed = loaded();
    expect(() => owed.answered(1)).toThrow(RangeError);
    owed.run(1, 20);
    owed.run(2, 30);
    expect(() => owed.answered(2)).toThrow(RangeError);
    expect(() => owed.answered(7)).toThrow(RangeError);
    expect(() => owed.loaded()).toThrow(RangeError);
    expect(owed.deadlines).toEqual([20, 30]);
    owed.answered(1);
    expect(() => owed.answered(1)).toThrow(RangeError);
    expect(owed.deadlines).toEqual([30]);
  });
});
