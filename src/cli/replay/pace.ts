import type { Clock } from "../../core/clock.ts";

/** Decides when a row of a table, or a recorded message, is due. */
export interface Pace<T> {
  /** Resolves when it may be sent; rejects when the signal aborts. */
  wait(row: T, signal: AbortSignal): Promise<void>;
  /** @throws MillraceError CSV_INVALID when the row does not say what the pace needs to know */
  check(row: T): void;
}

/** Longer than this behind, the plan is moved instead of made up for: after an outage there is no burst. */
const LATE_MS_MAX = 1_000;
/** Timers cannot wait longer than 2^31 ms. */
const SLEEP_MS_MAX = 3_600_000;

export const asFastAsPossible: Pace<unknown> = { wait: () => Promise.resolve(), check: () => {} };

/** `rate` rows per second. */
export function steadyPace(rate: number, clock: Clock): Pace<unknown> {
  const stepMs = 1000 / rate;
  let next: number | undefined;
  return {
    wait: async (_row, signal) => {
      next = await keepPlan(next ?? clock.now(), clock, signal);
      next += stepMs;
    },
    check: () => {},
  };
}

/** Keeps the gaps between the recorded times, `speed` times shorter. A row that is older than the one before it is sent at once. */
export function recordedPace<T>(speed: number, timeOf: (row: T) => number, clock: Clock): Pace<T> {
  let due: number | undefined;
  let latest = Number.NEGATIVE_INFINITY;
  return {
    wait: async (row, signal) => {
      const time = timeOf(row);
      const gapMs = due === undefined ? 0 : Math.max(0, time - latest) / speed;
      due = await keepPlan((due ?? clock.now()) + gapMs, clock, signal);
      latest = Math.max(latest, time);
    },
    check: (row) => void timeOf(row),
  };
}

/** Waits for `due` and returns it, or the present when that is too late to keep to the plan. */
async function keepPlan(due: number, clock: Clock, signal: AbortSignal): Promise<number> {
  for (;;) {
    const remaining = due - clock.now();
    if (remaining < -LATE_MS_MAX) return clock.now();
    // A timer is no finer than a millisecond; what is due within one goes out with its neighbours.
    if (remaining < 1) return due;
    await clock.sleep(Math.min(remaining, SLEEP_MS_MAX), signal);
  }
}
