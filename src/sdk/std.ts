/**
 * What functions on sensors need again and again, imported as `millrace/std`. All of it is pure: it takes the state it returned before, which is
 * plain JSON and belongs into `ctx.state`, and returns the next one.
 */
export { addTo, deviation, mergeSummaries, type Summary } from "./std/summary.ts";
export { addToSketch, mergeSketches, percentile, type Sketch } from "./std/percentile.ts";
export {
  session,
  sliding,
  tumbling,
  type Reading,
  type SessionOptions,
  type SlidingOptions,
  type TumblingOptions,
  type Window,
  type WindowState,
  type WindowStep,
} from "./std/windows.ts";
export { counterTotal, rateOfChange, type CounterState, type Sample } from "./std/rates.ts";
export { deadBand, debounce, dedupe, hysteresis, type DeadBandOptions, type DebounceState, type DedupeState } from "./std/signals.ts";
export { convert } from "./std/units.ts";
