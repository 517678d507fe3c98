import { AsyncLocalStorage } from "node:async_hooks";
import { MillraceError, messageOf } from "../core/errors.ts";
import { outside } from "./testing-globals.ts";

/** As in an isolate. */
const TIMERS_MAX = 100;
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Timers of one message, as an isolate has them: bounded, and gone when the message is over. They run on those that the test has, which may be fake ones. */
export class TestTimers {
  readonly #report: (text: string) => void;
  readonly #stops = new Map<number, () => void>();
  #lastId = 0;
  #over = false;

  /** `report` is told what a callback throws. */
  constructor(report: (text: string) => void) {
    this.#report = report;
  }

  /** @throws MillraceError LIMIT_TIMERS; TypeError without a function; Error when the message is over */
  readonly setTimeout = (callback: unknown, ms?: unknown, ...values: unknown[]): number =>
    this.#start({ callback, ms, values, repeats: false });
  readonly setInterval = (callback: unknown, ms?: unknown, ...values: unknown[]): number =>
    this.#start({ callback, ms, values, repeats: true });
  readonly clear = (id?: unknown): void => {
    this.#stops.get(Number(id))?.();
    this.#stops.delete(Number(id));
  };

  /** The message is over, and with it what has not run. */
  end(): void {
    this.#over = true;
    for (const stop of this.#stops.values()) stop();
    this.#stops.clear();
  }

  #start({ callback, ms, values, repeats }: { callback: unknown; ms: unknown; values: readonly unknown[]; repeats: boolean }): number {
    if (typeof callback !== "function") throw new TypeError("a timer calls a function");
    if (this.#over) throw new Error("timers can be set only while a message is handled");
    if (this.#stops.size >= TIMERS_MAX) throw new MillraceError("LIMIT_TIMERS", `a message has at most ${TIMERS_MAX} timers at once`);
    const waitMs = Math.min(TIMER_MS_MAX, Math.max(1, Math.trunc(Number(ms)) || 1));
    const id = ++this.#lastId;
    // What it calls finds the globals of the message again.
    const within = AsyncLocalStorage.snapshot();
    const run = (): void => {
      if (!repeats) this.#stops.delete(id);
      try {
        within(() => Reflect.apply(callback, undefined, values));
      } catch (error) {
        this.#report(error instanceof Error ? (error.stack ?? messageOf(error)) : String(error));
      }
    };
    this.#stops.set(id, repeats ? every(run, waitMs) : once(run, waitMs));
    return id;
  }
}

function once(run: () => void, ms: number): () => void {
  const timer = outside(() => setTimeout(run, ms));
  return () => outside(() => clearTimeout(timer));
}

function every(run: () => void, ms: number): () => void {
  const timer = outside(() => setInterval(run, ms));
  return () => outside(() => clearInterval(timer));
}
