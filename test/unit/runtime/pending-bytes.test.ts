import { describe, expect, it } from "vitest";
import { PendingBytes } from "../../../src/runtime/pending-bytes.ts";

/** Takes messages of `size` bytes for as long as it may. */
function fill(memory: PendingBytes, size: number): number {
  let own = 0;
  while (!memory.isEnough(own, () => undefined)) {
    own += size;
    memory.add(size);
  }
  return own;
}

describe("the memory for messages that wait", () => {
  it("leaves something to whoever comes next, and is bounded for all of them", () => {
    const memory = new PendingBytes(1_000_000);
    const held = Array.from({ length: 64 }, () => fill(memory, 1_000));
    expect(held[0]).toBeLessThanOrEqual(501_000);
    expect(held[1]).toBeGreaterThan(200_000);
    expect(Math.min(...held)).toBeGreaterThanOrEqual(1_000);
    expect(held.reduce((sum, own) => sum + own, 0)).toBeLessThanOrEqual(1_000_000 + 64 * 1_000);
  });

  it("lets everybody have one message, however large", () => {
    const memory = new PendingBytes(1_000);
    expect([fill(memory, 5_000), fill(memory, 5_000)]).toEqual([5_000, 5_000]);
  });

  it("calls those who hold enough when most of it is free again", async () => {
    const memory = new PendingBytes(1_000);
    const called: string[] = [];
    memory.add(900);
    expect(memory.isEnough(200, () => called.push("a"))).toBe(true);
    memory.add(-300);
    await Promise.resolve();
    expect(called).toEqual([]);
    memory.add(-200);
    await Promise.resolve();
    expect(called).toEqual(["a"]);
    expect(memory.isEnough(200, () => undefined)).toBe(false);
  });
});
