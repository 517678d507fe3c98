import { describe, expect, it } from "vitest";
import { Deliveries } from "../../../src/broker/deliveries.ts";

describe("deliveries", () => {
  it("hold functions back while subscribers are far behind, and let them go on when they have caught up", () => {
    const waiting: (() => void)[] = [];
    const held: boolean[] = [];
    const deliveries = new Deliveries({ deliver: (_records, done) => void waiting.push(done) }, (on) => held.push(on));
    const record = new Uint8Array(1);
    let done = 0;
    for (let i = 0; i < 100; i++)
      deliveries.deliver(
        Array.from({ length: 100 }, () => record),
        () => done++,
      );
    expect(held).toEqual([true]);
    for (const finish of waiting.splice(0, 79)) finish();
    expect(held).toEqual([true]);
    for (const finish of waiting) finish();
    expect(held).toEqual([true, false]);
    expect(done).toBe(100);
  });
});
