import { describe, expect, it } from "vitest";
import { Turns } from "../../../src/runtime/turns.ts";

describe("turns", () => {
  it("are taken one at a time, in the order in which they were asked for", async () => {
    const turns = new Turns();
    const order: string[] = [];
    expect(turns.take(() => order.push("never"))).toBe(true);
    expect(turns.take(() => order.push("b"))).toBe(false);
    expect(turns.take(() => order.push("c"))).toBe(false);
    expect(order).toEqual([]);
    turns.release();
    expect(order).toEqual([]); // Not in the middle of what the one before is doing.
    await Promise.resolve();
    expect(order).toEqual(["b"]);
    turns.release();
    await Promise.resolve();
    turns.release();
    expect(order).toEqual(["b", "c"]);
    expect(turns.take(() => undefined)).toBe(true);
  });

  it("that are given back at once go to the next", async () => {
    const turns = new Turns();
    const order: number[] = [];
    turns.take(() => undefined);
    for (let i = 0; i < 3; i++) {
      turns.take(() => {
        order.push(i);
        turns.release();
      });
    }
    turns.release();
    for (let i = 0; i < 3; i++) await Promise.resolve();
    expect(order).toEqual([0, 1, 2]);
    expect(turns.take(() => undefined)).toBe(true);
  });
});
