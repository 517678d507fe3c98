import { array, assert, asyncProperty, constant, integer, nat, oneof, record } from "fast-check";
import { expect, it } from "vitest";
import { Slots } from "../../../src/runtime/fetch/slots.ts";

const LIMITS = { requestsMax: 5, functionRequestsMax: 3, bytesMax: 100 };

interface Taken {
  readonly owner: object;
  readonly bytes: number;
  readonly abort: AbortController;
  release?: () => void;
  ended: boolean;
}

const step = oneof(
  record({ kind: constant("take" as const), owner: nat(3), bytes: integer({ min: 1, max: 120 }) }),
  record({ kind: constant("release" as const), at: nat() }),
  record({ kind: constant("abort" as const), at: nat() }),
);

it("room for requests is never exceeded, and nobody waits while there is room for all", async () => {
  await assert(
    asyncProperty(array(step, { maxLength: 60 }), async (steps) => {
      const slots = new Slots(LIMITS);
      const owners = [{}, {}, {}, {}];
      const all: Taken[] = [];
      const held = (): Taken[] => all.filter(({ release, ended }) => release !== undefined && !ended);
      const settle = async (): Promise<void> => {
        for (let i = 0; i < 5; i++) await Promise.resolve();
        const now = held();
        expect(now.length).toBeLessThanOrEqual(LIMITS.requestsMax);
        for (const owner of owners) expect(now.filter((one) => one.owner === owner).length).toBeLessThanOrEqual(LIMITS.functionRequestsMax);
        const bytes = now.length > 1 ? now.reduce((sum, one) => sum + one.bytes, 0) : 0;
        expect(bytes).toBeLessThanOrEqual(LIMITS.bytesMax);
        expect(now.length === 0 ? slots.waiting : 0).toBe(0);
      };
      for (const each of steps) {
        if (each.kind === "take") {
          const taken: Taken = { owner: owners[each.owner] ?? {}, bytes: each.bytes, abort: new AbortController(), ended: false };
          all.push(taken);
          slots.take(taken, taken.abort.signal).then(
            (release) => (taken.release = release),
            () => (taken.ended = true),
          );
        } else if (each.kind === "release") {
          const now = held();
          const one = now[each.at % Math.max(1, now.length)];
          if (one !== undefined) one.ended = true;
          one?.release?.();
          one?.release?.(); // Twice is once.
        } else {
          all[each.at % Math.max(1, all.length)]?.abort.abort();
        }
        await settle();
      }
      for (let one = held()[0]; one !== undefined; one = held()[0]) {
        one.ended = true;
        one.release?.();
        await settle();
      }
      expect(slots.waiting).toBe(0);
    }),
    { numRuns: 200 },
  );
});
