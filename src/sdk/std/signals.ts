import type { Sample } from "./rates.ts";
import { checkFinite } from "./summary.ts";

/**
 * Whether something is on, between two thresholds: on above `high`, off below `low`, and as it was in between, so that a value that wavers
 * around one of them changes nothing.
 * @param on What it was; undefined = off.
 * @throws RangeError when `low` is above `high`, or one of the numbers is none.
 */
export function hysteresis(on: boolean | undefined, value: number, { high, low }: { high: number; low: number }): boolean {
  for (const number of [value, high, low]) checkFinite(number);
  if (low > high) throw new RangeError(`low ${low} is above high ${high}`);
  return on === true ? value >= low : value > high;
}

export interface DebounceState<T> {
  /** What counts. */
  readonly value: T;
  /** What would count if it stays, and since when. */
  readonly candidate?: { readonly value: T; readonly since: number };
}

/**
 * Takes a new value only when it has stayed the same for `hold` milliseconds, so that a contact that bounces changes nothing. The first value
 * counts at once.
 * @param reading `time` in milliseconds since the epoch; values are compared by `Object.is`.
 */
export function debounce<T extends string | number | boolean | null>(
  state: DebounceState<T> | undefined,
  { time, value }: { time: number; value: T },
  { hold }: { hold: number },
): { state: DebounceState<T>; changed: boolean } {
  if (state === undefined) return { state: { value }, changed: true };
  if (Object.is(value, state.value)) return { state: { value }, changed: false };
  const { candidate } = state;
  const since = candidate !== undefined && Object.is(candidate.value, value) ? candidate.since : time;
  if (time - since >= hold) return { state: { value }, changed: true };
  return { state: { value: state.value, candidate: { value, since } }, changed: false };
}

export interface DeadBandOptions {
  /** A value passes when it is further than this from the last that passed; default 0. */
  readonly absolute?: number;
  /** The same as a share of the last that passed, such as 0.01; the larger of the two counts. Default 0. */
  readonly relative?: number;
  /** A value also passes when so many milliseconds went by since the last that did; default: never because of time. */
  readonly silence?: number;
}

/**
 * Whether a value is worth reporting. Keep `sample` when it passes: `last` is the last that did.
 * @throws RangeError when a number is none.
 */
export function deadBand(last: Sample | undefined, sample: Sample, { absolute = 0, relative = 0, silence }: DeadBandOptions): boolean {
  checkFinite(sample.value);
  if (last === undefined) return true;
  if (silence !== undefined && sample.time - last.time >= silence) return true;
  return Math.abs(sample.value - last.value) > Math.max(absolute, relative * Math.abs(last.value));
}

/** What came lately and when, oldest first. */
export type DedupeState = readonly (readonly [id: string, time: number])[];

/**
 * Whether `id` came before within `window` milliseconds. At most `max` (default 1,000) are remembered, the newest.
 * For messages that may come twice as a whole, `idempotency` of the manifest does it without code.
 */
export function dedupe(
  state: DedupeState | undefined,
  { id, time }: { id: string; time: number },
  { window, max = 1_000 }: { window: number; max?: number },
): { state: DedupeState; duplicate: boolean } {
  const recent = (state ?? []).filter(([, at]) => time - at < window);
  if (recent.some(([seen]) => seen === id)) return { state: recent, duplicate: true };
  return { state: [...recent, [id, time] as const].slice(-max), duplicate: false };
}
