import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addTo,
  addToSketch,
  convert,
  counterTotal,
  deadBand,
  debounce,
  type DebounceState,
  dedupe,
  type DedupeState,
  deviation,
  hysteresis,
  mergeSketches,
  mergeSummaries,
  percentile,
  rateOfChange,
  type Sample,
  type Sketch,
  type Summary,
} from "../../../src/sdk/std.ts";

const value = fc.double({ min: -1e6, max: 1e6, noNaN: true });
const values = fc.array(value, { minLength: 1, maxLength: 100 });

function summaryOf(all: readonly number[]): Summary {
  const [first = 0, ...rest] = all;
  return rest.reduce<Summary>(addTo, addTo(undefined, first));
}

describe("summaries", () => {
  it("are those of all values, in one go or put together", () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const all = [...a, ...b];
        const mean = all.reduce((sum, one) => sum + one, 0) / all.length;
        const spread = Math.sqrt(all.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (all.length - 1));
        for (const summary of [summaryOf(all), mergeSummaries(summaryOf(a), summaryOf(b))]) {
          expect(summary).toMatchObject({ count: all.length, min: Math.min(...all), max: Math.max(...all) });
          expect(summary.mean).toBeCloseTo(mean, 4);
          expect(deviation(summary)).toBeCloseTo(spread, 3);
        }
      }),
    );
  });

  it("have no spread with one value, and take no NaN", () => {
    expect(deviation(addTo(undefined, 3))).toBe(0);
    expect(() => addTo(undefined, Number.NaN)).toThrow(RangeError);
  });
});

function sketchOf(all: readonly number[], accuracy?: number): Sketch {
  const [first = 0, ...rest] = all;
  return rest.reduce((sketch, one) => addToSketch(sketch, one), addToSketch(undefined, first, accuracy));
}

describe("percentile", () => {
  it("is as near as it promises, whichever way the sketch was put together", () => {
    fc.assert(
      fc.property(values, values, fc.integer({ min: 0, max: 100 }), fc.constantFrom(0.001, 0.01, 0.1), (a, b, percent, accuracy) => {
        const sorted = [...a, ...b].toSorted((x, y) => x - y);
        const exact = sorted[Math.max(1, Math.ceil((percent / 100) * sorted.length)) - 1] ?? 0;
        for (const sketch of [sketchOf([...a, ...b], accuracy), mergeSketches(sketchOf(a, accuracy), sketchOf(b, accuracy))]) {
          const found = percentile(JSON.parse(JSON.stringify(sketch)) as Sketch, percent) ?? Number.NaN;
          expect(Math.abs(found - exact)).toBeLessThanOrEqual(Math.abs(exact) * accuracy * 1.000_001 + 1e-9);
        }
      }),
    );
  });

  it("keeps a bounded number of buckets, and the largest values exact", () => {
    let sketch: Sketch | undefined;
    for (let power = -8; power < 200; power += 0.1) sketch = addToSketch(sketch, 10 ** power);
    expect(sketch?.positive.length).toBe(2_048);
    expect(percentile(sketch as Sketch, 99)).toBeGreaterThan(1e195);
  });

  it("refuses percentages, accuracies and sketches that do not fit", () => {
    expect(() => percentile(sketchOf([1]), 101)).toThrow("percentage");
    expect(() => addToSketch(undefined, 1, 0.9)).toThrow("accuracy");
    expect(() => mergeSketches(sketchOf([1], 0.01), sketchOf([1], 0.1))).toThrow("different buckets");
  });
});

describe("signals", () => {
  it("hysteresis changes only beyond a threshold", () => {
    fc.assert(
      fc.property(fc.boolean(), value, (on, one) => {
        const between = one >= 70 && one <= 80;
        expect(hysteresis(on, one, { high: 80, low: 70 })).toBe(between ? on : one > 80);
      }),
    );
    expect(() => hysteresis(false, 1, { high: 1, low: 2 })).toThrow("above");
  });

  it("debounce takes what stayed for the hold, and nothing that did not", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.boolean()), { minLength: 1 }), (steps) => {
        let state: DebounceState<boolean> | undefined;
        let time = 0;
        const seen: { time: number; value: boolean }[] = [];
        const steady = (): number =>
          time - (seen[seen.findLastIndex(({ value: other }) => other !== seen.at(-1)?.value) + 1]?.time ?? time);
        for (const [wait, one] of steps) {
          time += wait;
          seen.push({ time, value: one });
          const next = debounce(state, { time, value: one }, { hold: 50 });
          const settled = state === undefined || one === state.value || steady() >= 50;
          expect(next.state.value).toBe(settled ? one : state?.value);
          expect(next.changed).toBe(state === undefined || next.state.value !== state.value);
          state = next.state;
        }
      }),
    );
  });

  it("a dead band leaves nobody further off than its width", () => {
    fc.assert(
      fc.property(values, (all) => {
        let last: Sample | undefined;
        for (const [i, one] of all.entries()) {
          const sample = { time: i * 1_000, value: one };
          if (deadBand(last, sample, { absolute: 5, relative: 0.1, silence: 10_000 })) last = sample;
          expect(Math.abs(one - (last?.value ?? 0))).toBeLessThanOrEqual(Math.max(5, 0.1 * Math.abs(last?.value ?? 0)));
          expect(sample.time - (last?.time ?? 0)).toBeLessThan(10_000);
        }
      }),
    );
  });

  it("the rate of change of a straight line is its slope", () => {
    expect(rateOfChange(undefined, { time: 0, value: 1 })).toBeUndefined();
    expect(rateOfChange({ time: 5, value: 1 }, { time: 5, value: 2 })).toBeUndefined();
    fc.assert(
      fc.property(fc.integer({ min: -1_000, max: 1_000 }), fc.integer({ min: 1, max: 100_000 }), (slope, wait) => {
        expect(rateOfChange({ time: 0, value: 7 }, { time: wait, value: 7 + (slope * wait) / 1_000 })).toBeCloseTo(slope, 6);
        expect(rateOfChange({ time: 0, value: 7 }, { time: wait, value: 7 + (slope * wait) / 1_000 }, 60_000)).toBeCloseTo(slope * 60, 4);
      }),
    );
  });

  it("a counter's total survives that it starts again", () => {
    const totals = [10, 12, 12, 3, 5].reduce<{ last: number; total: number } | undefined>(counterTotal, undefined);
    expect(totals).toEqual({ last: 5, total: 7 });
    expect(() => counterTotal(undefined, -1)).toThrow("cannot be");
  });

  it("dedupe knows what came within the window, and no more than it may", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.integer({ min: 0, max: 40 }))), (steps) => {
        let state: DedupeState | undefined;
        let time = 0;
        const accepted = new Map<string, number>();
        for (const [id, wait] of steps) {
          time += wait;
          const next = dedupe(state, { id, time }, { window: 50 });
          const before = accepted.get(id);
          expect(next.duplicate).toBe(before !== undefined && time - before < 50);
          if (!next.duplicate) accepted.set(id, time);
          state = next.state;
        }
      }),
    );
    let state: DedupeState | undefined;
    for (let i = 0; i < 20; i++) ({ state } = dedupe(state, { id: `${i}`, time: 0 }, { window: 50, max: 5 }));
    expect(state?.map(([id]) => id)).toEqual(["15", "16", "17", "18", "19"]);
  });
});

describe("convert", () => {
  it.each([
    [212, "[degF]", "Cel", 100],
    [100, "Cel", "[degF]", 212],
    [-273.15, "Cel", "K", 0],
    [1, "bar", "hPa", 1_000],
    [36, "km/h", "m/s", 10],
    [1, "kWh", "J", 3.6e6],
    [50, "%", "/", 0.5],
    [1, "mg/m3", "ug/m3", 1_000],
    [180, "deg", "rad", Math.PI],
    [1, "[nmi_i]", "m", 1_852],
    [3, "pH", "pH", 3],
  ])("%d %s is %s %d", (amount, from, to, expected) => {
    expect(convert(amount, from, to)).toBeCloseTo(expected, 9);
  });

  it("goes there and back", () => {
    const units = ["Cel", "K", "[degF]"];
    fc.assert(
      fc.property(
        fc.double({ min: -200, max: 2_000, noNaN: true }),
        fc.constantFrom(...units),
        fc.constantFrom(...units),
        (one, from, to) => {
          expect(convert(convert(one, from, to), to, from)).toBeCloseTo(one, 7);
        },
      ),
    );
  });

  it("refuses what it does not know and what does not go together", () => {
    expect(() => convert(1, "degC", "K")).toThrow('the unit "degC" is not known');
    expect(() => convert(1, "constructor", "K")).toThrow("not known");
    expect(() => convert(1, "m", "kg")).toThrow('"m" is a unit of length, "kg" of mass');
  });
});
