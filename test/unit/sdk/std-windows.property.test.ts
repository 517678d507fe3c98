import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { session, sliding, tumbling, type Window, type WindowState, type WindowStep } from "../../../src/sdk/std.ts";

type Step = (state: WindowState | undefined, reading: { time: number; value?: number }) => WindowStep;

/** As a function would: the state goes through JSON between two messages. */
function run(step: Step, readings: readonly { time: number; value?: number }[]): { closed: Window[]; late: number; state?: WindowState } {
  let state: WindowState | undefined;
  const closed: Window[] = [];
  let late = 0;
  for (const reading of readings) {
    const next = step(state, reading);
    closed.push(...next.closed);
    late += next.late ? 1 : 0;
    state = JSON.parse(JSON.stringify(next.state)) as WindowState;
  }
  return { closed, late, ...(state === undefined ? {} : { state }) };
}

const reading = fc.record({ time: fc.integer({ min: -2_000, max: 2_000 }), value: fc.integer({ min: -50, max: 50 }) });
const readings = fc.array(reading, { minLength: 1, maxLength: 60 });
const END = { time: 1e6 };

describe("tumbling", () => {
  it("puts every value that is not late into exactly one window, closed once and in order", () => {
    fc.assert(
      fc.property(readings, fc.integer({ min: 1, max: 500 }), fc.integer({ min: 0, max: 800 }), (all, size, lateness) => {
        const { closed, late, state } = run(
          (before, one) => tumbling(before, one, { size, lateness: Math.min(lateness, size * 9) }),
          [...all, END],
        );
        expect(closed.reduce((sum, { summary }) => sum + summary.count, 0) + late).toBe(all.length);
        expect(state?.open).toEqual([]);
        expect(new Set(closed.map(({ start }) => start)).size).toBe(closed.length);
        expect(closed.map(({ start }) => start)).toEqual(closed.map(({ start }) => start).toSorted((a, b) => a - b));
        expect(closed.every(({ start, end }) => end - start === size && Math.abs(start % size) === 0)).toBe(true);
      }),
    );
  });

  it("counts what a plain sum over sorted readings counts", () => {
    fc.assert(
      fc.property(readings, fc.integer({ min: 1, max: 500 }), (all, size) => {
        const sorted = all.toSorted((a, b) => a.time - b.time);
        const { closed, late } = run((before, one) => tumbling(before, one, { size }), [...sorted, END]);
        expect(late).toBe(0);
        const expected = Map.groupBy(sorted, ({ time }) => Math.floor(time / size));
        expect(closed.map(({ start }) => start)).toEqual([...expected.keys()].map((n) => n * size));
        for (const { start, summary } of closed) {
          const values = (expected.get(Math.floor(start / size)) ?? []).map(({ value }) => value);
          expect(summary).toMatchObject({ count: values.length, min: Math.min(...values), max: Math.max(...values) });
          expect(summary.mean).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / values.length, 9);
        }
      }),
    );
  });

  it("refuses what it cannot use", () => {
    expect(() => tumbling(undefined, { time: 0, value: 1 }, { size: 0 })).toThrow(RangeError);
    expect(() => tumbling(undefined, { time: Number.NaN, value: 1 }, { size: 1 })).toThrow("no time");
    expect(() => tumbling(undefined, { time: 0, value: Number.NaN }, { size: 1 })).toThrow("not a finite number");
    expect(() => tumbling(undefined, { time: 0 }, { size: 1, lateness: 2_000 })).toThrow("lateness");
  });
});

describe("sliding", () => {
  it("gives each window that holds a value what lies in it", () => {
    fc.assert(
      fc.property(readings, fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 6 }), (all, slide, times) => {
        const size = slide * times;
        const sorted = all.toSorted((a, b) => a.time - b.time);
        const { closed } = run((before, one) => sliding(before, one, { size, slide }), [...sorted, END]);
        const first = Math.floor((sorted[0]?.time ?? 0) / slide) * slide + slide;
        const last = Math.floor((sorted.at(-1)?.time ?? 0) / slide) * slide + size;
        const expected: { start: number; count: number }[] = [];
        for (let end = first; end <= last; end += slide) {
          const inside = sorted.filter(({ time }) => time >= end - size && time < end);
          if (inside.length > 0) expected.push({ start: end - size, count: inside.length });
        }
        expect(closed.map(({ start, summary }) => ({ start, count: summary.count }))).toEqual(expected);
      }),
    );
  });

  it("refuses a size that is not a multiple of the slide", () => {
    expect(() => sliding(undefined, { time: 0, value: 1 }, { size: 10, slide: 3 })).toThrow("multiple");
  });
});

describe("session", () => {
  it("ends where the gap is longer, and nowhere else", () => {
    fc.assert(
      fc.property(readings, fc.integer({ min: 1, max: 300 }), (all, gap) => {
        const sorted = all.toSorted((a, b) => a.time - b.time);
        const { closed, late } = run((before, one) => session(before, one, { gap }), [...sorted, END]);
        expect(late).toBe(0);
        const expected: number[][] = [];
        for (const { time } of sorted) {
          const current = expected.at(-1);
          if (current === undefined || time - (current.at(-1) ?? 0) > gap) expected.push([time]);
          else current.push(time);
        }
        expect(closed.map(({ start, end, summary }) => [start, end, summary.count])).toEqual(
          expected.map((times) => [times[0], times.at(-1), times.length]),
        );
      }),
    );
  });

  it("loses no value that it does not call late, in any order", () => {
    fc.assert(
      fc.property(readings, fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 900 }), (all, gap, longest) => {
        const { closed, late } = run((before, one) => session(before, one, { gap, longest }), [...all, END]);
        expect(closed.reduce((sum, { summary }) => sum + summary.count, 0) + late).toBe(all.length);
      }),
    );
  });
});
