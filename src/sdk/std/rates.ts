import { checkFinite } from "./summary.ts";

export interface Sample {
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly value: number;
}

/**
 * How fast a value changes, for each `per` milliseconds (default 1,000: per second). Undefined for the first, and when `sample` is not newer.
 * @throws RangeError when a number is none.
 */
export function rateOfChange(last: Sample | undefined, sample: Sample, per = 1_000): number | undefined {
  checkFinite(sample.value);
  if (last === undefined || sample.time <= last.time) return undefined;
  return ((sample.value - last.value) / (sample.time - last.time)) * per;
}

export interface CounterState {
  readonly last: number;
  readonly total: number;
}

/**
 * The total of a counter that starts again at 0 when its device does: a meter, a pulse count. A value below the last one is what came since.
 * @throws RangeError when `value` is negative or no number.
 */
export function counterTotal(state: CounterState | undefined, value: number): CounterState {
  checkFinite(value);
  if (value < 0) throw new RangeError(`a counter cannot be ${value}`);
  if (state === undefined) return { last: value, total: 0 };
  return { last: value, total: state.total + (value >= state.last ? value - state.last : value) };
}
