import { addTo, mergeSummaries, type Summary } from "./summary.ts";

/** A value and when it was taken. Without a value only time passes: what is over by then is closed, as a schedule may want. */
export interface Reading {
  /** Milliseconds since the epoch, as `ctx.now()` gives them. */
  readonly time: number;
  readonly value?: number;
}

/** A stretch of time that is over, and the values in it. */
export interface Window {
  /** Milliseconds since the epoch, the first that belongs to it. */
  readonly start: number;
  /** The first that does not. */
  readonly end: number;
  readonly summary: Summary;
}

export interface TumblingOptions {
  /** Milliseconds of a window; windows begin at multiples of it since the epoch. */
  readonly size: number;
  /** How long a window waits for values that are behind the newest, in milliseconds; default 0, at most 1,000 windows. */
  readonly lateness?: number;
}

export interface SlidingOptions extends TumblingOptions {
  /** Milliseconds from the start of one window to that of the next; `size` is a multiple of it, at most 1,000 times it. */
  readonly slide: number;
}

export interface SessionOptions {
  /** A session is over when no value came for so many milliseconds. */
  readonly gap: number;
  /** It is also over when it has lasted so long; default: it may last for ever. */
  readonly longest?: number;
}

/** Open windows, for `ctx.state`. */
export interface WindowState {
  /** By start. */
  readonly open: readonly Window[];
  /** The newest time seen. */
  readonly newest: number;
  /** Everything before it is closed. */
  readonly closed: number;
}

export interface WindowStep {
  readonly state: WindowState;
  /** What is over now, by time. Windows without values are left out. */
  readonly closed: readonly Window[];
  /** Whether the value came too late for its window and is in none. */
  readonly late: boolean;
}

const WINDOWS_MAX = 1_000;

/**
 * Windows of one size, one after the other: every value is in exactly one. A window closes when a value or a time comes that is `lateness` behind
 * its end.
 * @param state What the step before returned; undefined at first.
 * @throws RangeError when an option, the time or the value is not usable.
 */
export function tumbling(state: WindowState | undefined, reading: Reading, { size, lateness = 0 }: TumblingOptions): WindowStep {
  checkDuration("size", size, 1, Number.MAX_SAFE_INTEGER);
  checkDuration("lateness", lateness, 0, size * WINDOWS_MAX);
  const { time, value } = readTime(reading);
  const before = state ?? { open: [], newest: time, closed: Number.NEGATIVE_INFINITY };
  const start = Math.floor(time / size) * size;
  const late = value !== undefined && start + size <= before.closed;
  const newest = Math.max(before.newest, time);
  const over = Math.floor((newest - lateness) / size) * size;
  const open = value === undefined || late ? before.open : withValue(before.open, { start, end: start + size }, value);
  return {
    state: { open: open.filter(({ end }) => end > over), newest, closed: finite(Math.max(before.closed, over)) },
    closed: open.filter(({ end }) => end <= over),
    late,
  };
}

/**
 * Overlapping windows of `size`, one beginning every `slide`: a moving average of the last hour, every minute.
 * @throws RangeError as `tumbling`.
 */
export function sliding(state: WindowState | undefined, reading: Reading, options: SlidingOptions): WindowStep {
  const { size, slide, lateness = 0 } = options;
  checkDuration("slide", slide, 1, size);
  checkDuration("size", size, slide, slide * WINDOWS_MAX);
  if (size % slide !== 0) throw new RangeError(`size ${size} is not a multiple of slide ${slide}`);
  // Values are kept in panes as long as a slide; a window is the panes of its time put together.
  const step = tumbling(state === undefined ? undefined : { ...state, open: [] }, reading, { size: slide, lateness });
  const start = Math.floor(reading.time / slide) * slide;
  const before = state?.open ?? [];
  const { value } = reading;
  const panes = value === undefined || step.late ? before : withValue(before, { start, end: start + slide }, value);
  const from = state?.closed ?? Number.NEGATIVE_INFINITY;
  const ends = new Set(panes.flatMap((pane) => endsOf(pane, { size, slide }).filter((end) => end > from && end <= step.state.closed)));
  const closed = [...ends].toSorted((a, b) => a - b).map((end) => joined(panes, end - size, end));
  return { state: { ...step.state, open: panes.filter((pane) => pane.start + size > step.state.closed) }, closed, late: step.late };
}

/**
 * Windows that last as long as values keep coming: a machine's run, a visit. A window's end is the time of its last value.
 * @throws RangeError as `tumbling`.
 */
export function session(state: WindowState | undefined, reading: Reading, { gap, longest }: SessionOptions): WindowStep {
  checkDuration("gap", gap, 1, Number.MAX_SAFE_INTEGER);
  if (longest !== undefined) checkDuration("longest", longest, 1, Number.MAX_SAFE_INTEGER);
  const { time, value } = readTime(reading);
  const [open] = state?.open ?? [];
  const newest = Math.max(state?.newest ?? time, time);
  const over = open !== undefined && (newest - open.end > gap || (longest !== undefined && newest - open.start >= longest));
  const border = finite(over ? open.end : (state?.closed ?? Number.NEGATIVE_INFINITY));
  const current = over ? undefined : open;
  const late = value !== undefined && (time <= border || (current !== undefined && time < current.start - gap));
  const next = value === undefined || late ? current : extended(current, time, value);
  return { state: { open: next === undefined ? [] : [next], newest, closed: border }, closed: over ? [open] : [], late };
}

function extended(current: Window | undefined, time: number, value: number): Window {
  if (current === undefined) return { start: time, end: time, summary: addTo(undefined, value) };
  return { start: Math.min(current.start, time), end: Math.max(current.end, time), summary: addTo(current.summary, value) };
}

function withValue(open: readonly Window[], { start, end }: { start: number; end: number }, value: number): readonly Window[] {
  const there = open.find((window) => window.start === start);
  const changed = { start, end, summary: addTo(there?.summary, value) };
  return [...open.filter((window) => window !== there), changed].toSorted((a, b) => a.start - b.start);
}

function endsOf(pane: Window, { size, slide }: { size: number; slide: number }): number[] {
  return Array.from({ length: size / slide }, (_, i) => pane.end + i * slide);
}

function joined(panes: readonly Window[], start: number, end: number): Window {
  const [first, ...rest] = panes.filter((pane) => pane.start >= start && pane.end <= end).map(({ summary }) => summary);
  if (first === undefined) throw new RangeError("a window without values");
  return { start, end, summary: rest.reduce(mergeSummaries, first) };
}

/** JSON has no infinities. */
function finite(time: number): number {
  return Math.max(time, -Number.MAX_SAFE_INTEGER);
}

function checkDuration(name: string, ms: number, min: number, max: number): void {
  if (!Number.isFinite(ms) || ms < min || ms > max)
    throw new RangeError(`${name} is ${String(ms)}; it must be ${min} to ${max} milliseconds`);
}

function readTime(reading: Reading): Reading {
  if (!Number.isFinite(reading.time)) throw new RangeError(`${String(reading.time)} is no time in milliseconds since the epoch`);
  return reading;
}
