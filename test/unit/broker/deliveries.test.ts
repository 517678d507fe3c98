import { describe, expect, it } from "vitest";
import { Deliveries } from "../../../src/broker/deliveries.ts";

describe("deliveries", () => {
  it("hold functions back while subscribers are far behind, and let them go on when they have caught up", () => {
    const waiting: (() => void)[] = [];
    const held: boolean[] = [];
    const deliveries = new Deliveries({ deliver: (_records, done) => void waiting.push(done), secured: (done) => done() }, (on) =>
      held.push(on),
    );
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

  it("are done when what sessions have got is on disk; functions do not wait for that", () => {
    const securing: (() => void)[] = [];
    const held: boolean[] = [];
    const outlet = {
      deliver: (_records: readonly Uint8Array[], done: () => void) => done(),
      secured: (done: () => void) => void securing.push(done),
    };
    const deliveries = new Deliveries(outlet, (on) => held.push(on));
    let done = 0;
    const records = Array.from({ length: 5_000 }, () => new Uint8Array(1));
    for (let i = 0; i < 3; i++) deliveries.deliver(records, () => done++);
    expect([done, held]).toEqual([0, []]);
    for (const secured of securing) secured();
    expect(done).toBe(3);
  });
});
