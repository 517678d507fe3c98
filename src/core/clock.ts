import { setTimeout as sleep } from "node:timers/promises";

/** Time as a capability, so that tests can own it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds since some moment. Nobody sets it, so how long something took or may take is measured with it. */
  elapsed(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
};

/** Full jitter: a random wait between half of the exponential step and the whole of it. `attempt` counts from 1. */
export function backoffMs(attempt: number, bounds: { minMs: number; maxMs: number }, random: () => number = Math.random): number {
  const step = Math.min(bounds.maxMs, bounds.minMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(step / 2 + (random() * step) / 2);
}
