import type { Clock } from "./clock.ts";

/** What a timer waits at most. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * Runs it at a time in ms since 1970, also when that is further away than a timer reaches, and never within the call. Does not keep the process
 * running. Disposing takes it back.
 */
export function runAt(clock: Pick<Clock, "now">, time: number, run: () => void): Disposable {
  let timer: NodeJS.Timeout;
  const wait = (): void => {
    const left = Math.max(0, time - clock.now());
    timer = setTimeout(left > 0 ? wait : run, Math.min(left, TIMER_MS_MAX)).unref();
  };
  wait();
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
