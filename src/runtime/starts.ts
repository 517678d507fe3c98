import type { StartStats } from "../core/starts.ts";
import type { StartTimes } from "./host/frames.ts";

/** Counts the starts of a function's instances. */
export class Starts {
  #stats: StartStats = { count: 0, pooled: 0, cached: 0, isolateMs: 0, compileMs: 0, initMs: 0, firstCalls: 0, firstCallMs: 0 };

  get stats(): StartStats {
    return this.#stats;
  }

  add({ pooled, cached, ...times }: StartTimes): void {
    this.merge({ count: 1, pooled: pooled ? 1 : 0, cached: cached ? 1 : 0, ...times, firstCalls: 0, firstCallMs: 0 });
  }

  /** An isolate has handled its first batch. */
  firstCall(ms: number): void {
    const { firstCalls, firstCallMs } = this.#stats;
    this.#stats = { ...this.#stats, firstCalls: firstCalls + 1, firstCallMs: firstCallMs + ms };
  }

  /** Adds the starts of the version before, so that the counters go on. */
  merge(others: StartStats): void {
    const mine = this.#stats;
    this.#stats = {
      count: mine.count + others.count,
      pooled: mine.pooled + others.pooled,
      cached: mine.cached + others.cached,
      isolateMs: mine.isolateMs + others.isolateMs,
      compileMs: mine.compileMs + others.compileMs,
      initMs: mine.initMs + others.initMs,
      firstCalls: mine.firstCalls + others.firstCalls,
      firstCallMs: mine.firstCallMs + others.firstCallMs,
    };
  }
}
