import * as fc from "fast-check";
import { expect, it } from "vitest";
import { dueOf } from "../../../src/core/state-value.ts";

it("a value is looked for when it has expired, at few places however often it is written, and not much later", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 40 }), fc.integer({ min: 0, max: 2 ** 44 }), (ttl, from) => {
      const places = new Set<number>();
      for (let part = 0; part < 200; part++) {
        const time = from + Math.floor((ttl * part) / 200);
        const due = dueOf(time + ttl, time);
        expect(due).toBeGreaterThanOrEqual(time + ttl);
        expect(due - time - ttl).toBeLessThanOrEqual(Math.max(1_024, ttl / 8));
        places.add(due);
      }
      expect(places.size).toBeLessThanOrEqual(18);
    }),
  );
});
