import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KeySpread } from "../../../src/runtime/key-spread.ts";

const KEYS = Array.from({ length: 300 }, (_, n) => `device-${n}`);

function active(spread: KeySpread, lanes: number): number[] {
  return Array.from({ length: lanes }, (_, lane) => lane).filter((lane) => spread.has(lane));
}

/** Splits until nothing can be split any more. */
function splitAll(spread: KeySpread, lanes: number): void {
  for (let left = true; left;) {
    left = false;
    for (const lane of active(spread, lanes)) {
      if (!spread.maySplit(lane)) continue;
      spread.split(lane, []);
      left = true;
    }
  }
}

describe("which lane has which keys", () => {
  it.each([
    [0, 1, 1],
    [1, 8, 1],
    [1, 7, 1],
    [1, 64, 1],
    [2, 8, 2],
    [3, 8, 4],
    [5, 6, 6],
    [8, 8, 8],
  ])("with %i to be kept warm of %i, %i have keys at first", (least, lanes, first) => {
    const spread = new KeySpread(Math.max(1, least), lanes);
    expect(active(spread, lanes)).toEqual(Array.from({ length: first }, (_, lane) => lane));
    expect(spread.isWhole).toBe(true);
    splitAll(spread, lanes);
    expect(active(spread, lanes)).toHaveLength(lanes);
  });

  it.each([1, 6, 7, 8, 12, 64])("keys are spread evenly over %i lanes", (lanes) => {
    const spread = new KeySpread(1, lanes);
    splitAll(spread, lanes);
    const counts = Array.from({ length: lanes }, () => 0);
    for (let n = 0; n < 1_000 * lanes; n++) {
      const lane = spread.of(`device-${n}`);
      counts[lane] = (counts[lane] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1_200);
  });

  it("a split moves keys of that lane only, those that were said to leave, and pinned ones stay until they are let go", () => {
    const spread = new KeySpread(1, 4);
    spread.split(0, []);
    const [of0, of1] = [0, 1].map((lane) => KEYS.filter((key) => spread.of(key) === lane));
    const [pinned = "", ...free] = (of1 ?? []).filter((key) => spread.wouldLeave(key, 1));
    expect(spread.split(1, [pinned])).toEqual([3]);
    expect((of0 ?? []).filter((key) => spread.of(key) !== 0)).toEqual([]);
    expect((of1 ?? []).filter((key) => spread.of(key) === 3)).toEqual(free);
    expect(spread.of(pinned)).toBe(1);
    spread.unpin(() => true);
    expect(spread.of(pinned)).toBe(1);
    spread.unpin(() => false);
    expect(spread.of(pinned)).toBe(3);
  });

  it("whatever is split and merged, a key has one lane, which has keys, and only those change it that a split or a merge is about", () => {
    const steps = fc.array(fc.record({ splits: fc.boolean(), pick: fc.nat(), pins: fc.boolean() }), { maxLength: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.constantFrom(1, 2, 5, 6, 8, 12, 64), steps, (least, lanes, list) => {
        const spread = new KeySpread(Math.min(least, lanes), lanes);
        for (const step of list) {
          const before = KEYS.map((key) => spread.of(key));
          const { changing, pinned } = take(spread, lanes, step);
          const after = KEYS.map((key) => spread.of(key));
          expect(pinned.filter((key) => !changing.includes(spread.of(key)))).toEqual([]);
          expect(after.filter((lane) => !spread.has(lane))).toEqual([]);
          expect(after.filter((lane, index) => lane !== before[index] && !changing.includes(before[index] ?? -1))).toEqual([]);
        }
        for (let merge = spread.merges()[0]; merge !== undefined; merge = spread.merges()[0]) spread.merge(merge);
        expect(spread.isWhole).toBe(true);
      }),
    );
  });
});

interface Step {
  readonly splits: boolean;
  readonly pick: number;
  readonly pins: boolean;
}

/** Takes a step, if it is possible. Answers with the lanes whose keys it may change, and with the keys that are to stay in one of these. */
function take(spread: KeySpread, lanes: number, { splits, pick, pins }: Step): { changing: readonly number[]; pinned: readonly string[] } {
  const able = active(spread, lanes).filter((lane) => spread.maySplit(lane));
  const lane = able[pick % Math.max(1, able.length)];
  const merges = spread.merges();
  const merge = merges[pick % Math.max(1, merges.length)];
  if (splits && lane !== undefined) {
    const pinned = pins ? KEYS.filter((key) => spread.of(key) === lane).slice(0, 3) : [];
    spread.split(lane, pinned);
    return { changing: [lane], pinned };
  }
  if (splits || merge === undefined) return { changing: [], pinned: [] };
  spread.merge(merge);
  return { changing: merge.others, pinned: [] };
}
