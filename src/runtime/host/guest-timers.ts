import { LimitError } from "./guest-values.ts";

const TIMERS_MAX = 100;
const TIMER_MS_MAX = 2 ** 31 - 1;
/** The guest code's own, whatever a function does to its clock later. */
const wallClock = Date.now;

/** What the timers need of the guest that drives the handler. */
export interface TimerOwner {
  /** Whether a message is being handled. */
  readonly busy: boolean;
  /** Asks for one call of `ring`, in so many milliseconds; the last asking counts. */
  wakeIn(ms: number): void;
  /** Tells the author what a callback threw. */
  report(error: unknown): void;
}

interface Timer {
  readonly id: number;
  readonly run: () => void;
  /** 0 for a timeout. */
  readonly everyMs: number;
  dueAt: number;
}

/**
 * Timers of the message that is being handled; they end with it. The host has one alarm for all of them, and is asked only when a timer is due
 * before what it was asked for last.
 */
class Timers {
  readonly #timers = new Map<number, Timer>();
  #owner: TimerOwner | undefined;
  #lastId = 0;
  #asking = false;
  #askedAt = 0;
  #alarmAt = Infinity;
  /** The clock of the machine may be set; time that the host has measured does not jump. */
  #skewMs = 0;

  attach(owner: TimerOwner): void {
    this.#owner = owner;
    this.#alarmAt = Infinity;
    this.#timers.clear();
  }

  get size(): number {
    return this.#timers.size;
  }

  start(callback: unknown, ms: unknown, values: readonly unknown[], repeats: boolean): number {
    if (typeof callback !== "function") throw new TypeError("a timer calls a function");
    if (this.#owner?.busy !== true) throw new Error("timers can be set only while a message is handled");
    if (this.#timers.size >= TIMERS_MAX) throw new LimitError("LIMIT_TIMERS", `a message has at most ${TIMERS_MAX} timers at once`);
    const waitMs = Math.min(TIMER_MS_MAX, Math.max(1, Math.trunc(Number(ms)) || 1));
    const run = (): void => void Reflect.apply(callback, undefined, values);
    const timer: Timer = { id: ++this.#lastId, run, everyMs: repeats ? waitMs : 0, dueAt: this.#now() + waitMs };
    this.#timers.set(timer.id, timer);
    void this.#askSoon();
    return timer.id;
  }

  stop(id: unknown): void {
    this.#timers.delete(Number(id));
  }

  clear(): void {
    this.#timers.clear();
  }

  /** Runs the timer that is due first; each in a call of its own, so that what waits for it goes on before the next one. */
  ring(elapsedMs: number): void {
    this.#skewMs = this.#askedAt + elapsedMs - wallClock();
    this.#alarmAt = Infinity;
    const timer = this.#first();
    // Clocks count differently within a millisecond.
    if (timer !== undefined && timer.dueAt <= this.#now() + 1) this.#run(timer);
    void this.#askSoon();
  }

  #run(timer: Timer): void {
    if (timer.everyMs === 0) this.#timers.delete(timer.id);
    else timer.dueAt = this.#now() + timer.everyMs;
    try {
      timer.run();
    } catch (error) {
      this.#owner?.report(error);
    }
  }

  #first(): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers.values()) if (first === undefined || timer.dueAt < first.dueAt) first = timer;
    return first;
  }

  /** Once for all that is set and cleared in one go. */
  async #askSoon(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    await Promise.resolve();
    this.#asking = false;
    const dueAt = this.#first()?.dueAt ?? Infinity;
    if (dueAt >= this.#alarmAt) return;
    this.#alarmAt = dueAt;
    this.#askedAt = this.#now();
    this.#owner?.wakeIn(Math.max(0, dueAt - this.#askedAt));
  }

  #now(): number {
    return wallClock() + this.#skewMs;
  }

  report(error: unknown): void {
    this.#owner?.report(error);
  }
}

/** Of this isolate. */
export const timers = new Timers();

type SetTimer = (callback: unknown, ms?: unknown, ...values: unknown[]) => number;

function timerOf(repeats: boolean): SetTimer {
  return (callback, ms, ...values) => timers.start(callback, ms, values, repeats);
}

function stopTimer(id: unknown): void {
  timers.stop(id);
}

/** `queueMicrotask` of the HTML standard; what the callback throws is logged. */
function queueSoon(callback: unknown): void {
  if (typeof callback !== "function") throw new TypeError("queueMicrotask calls a function");
  Promise.resolve()
    .then(() => void Reflect.apply(callback, undefined, []))
    .catch((error: unknown) => timers.report(error));
}

/** `setTimeout` and its like, as global functions; before the function's code runs. */
export function installTimers(): void {
  const [setOnce, setAgain] = [timerOf(false), timerOf(true)];
  const values = {
    setTimeout: setOnce,
    setInterval: setAgain,
    clearTimeout: stopTimer,
    clearInterval: stopTimer,
    queueMicrotask: queueSoon,
  };
  for (const [name, value] of Object.entries(values))
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
