import type { Schedule } from "../../core/schedule.ts";
import type { CatchUp } from "../../core/triggers.ts";

/** A tick that begins later than that was missed. */
export const LATE_MS_MAX = 60_000;
/** What was missed is counted up to here: a clock that starts in 1970 has missed more than can be counted. */
export const MISSED_MAX = 100;

export interface Tick {
  /** When it was due, in milliseconds since the epoch. */
  readonly due: number;
  /** How many before it, and after the tick before it, are left out. */
  readonly missed: number;
}

/** How far a schedule has come. */
export interface Progress {
  /** Up to when nothing is due any more, in milliseconds since the epoch. */
  readonly last: number;
  /** Ticks up to then that were left out and that no tick has told of. */
  readonly missed: number;
}

export interface Policy {
  readonly catchUp: CatchUp;
  readonly catchUpMax: number;
}

/**
 * What is due at `now`, and how far the schedule has come with that. When the clock is behind `progress` by more than one whole step, it was set
 * back: the schedule goes on from `now`. By less it waits, so that no time comes twice.
 */
export function dueAt(
  schedule: Schedule,
  progress: Progress,
  { now, catchUp, catchUpMax }: Policy & { readonly now: number },
): { readonly ticks: readonly Tick[]; readonly progress: Progress } {
  const { last } = progress;
  const next = schedule.next(last);
  if (next === undefined) return { ticks: [], progress };
  if (now < last - (next - last)) return { ticks: [], progress: { ...progress, last: now } };
  if (next > now) return { ticks: [], progress };
  const wanted = catchUp === "all" ? catchUpMax : 1;
  const dues: number[] = [];
  let missed = progress.missed;
  for (let at = schedule.last(now); at !== undefined && at > last; at = schedule.last(at - 1)) {
    if (dues.length < wanted) dues.unshift(at);
    else if (missed < MISSED_MAX) missed++;
    else break;
  }
  const newest = dues.at(-1) ?? last;
  if (catchUp === "none" && now - newest > LATE_MS_MAX) return { ticks: [], progress: { last: newest, missed: missed + dues.length } };
  const ticks = dues.map((due, index) => ({ due, missed: index === 0 ? missed : 0 }));
  return { ticks, progress: { last: newest, missed: 0 } };
}
