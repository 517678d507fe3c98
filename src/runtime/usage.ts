import { ERRORS } from "../core/errors.ts";
import { Histogram } from "../core/histogram.ts";
import type { UsageStats } from "../core/usage.ts";
import { NO_TOTALS, type Totals } from "../core/totals.ts";

const GB = 2 ** 30;

/** Adds up what a version of a function takes: numbers in place, so that counting costs next to nothing for each batch. */
export class Usage {
  bytesIn = 0;
  bytesOut = 0;
  readonly #gigabytes: number;
  readonly #duration = new Histogram();
  readonly #cpu = new Histogram();
  readonly #errors = new Map<string, number>();
  #invocations = 0;
  #retries = 0;
  #failures = 0;
  #wallMs = 0;
  #cpuMs = 0;
  #before = NO_TOTALS;

  /** `memoryBytes`: what an isolate may take. */
  constructor(memoryBytes: number) {
    this.#gigabytes = memoryBytes / GB;
  }

  /** So many messages of a batch came to an end in `wallMs`; the isolate says that it has computed for `cpuMs`. */
  batch(count: number, wallMs: number, cpuMs: number): void {
    if (count === 0) return;
    this.#invocations += count;
    this.#wallMs += wallMs;
    this.#duration.observe(wallMs / count, count);
    const computedMs = Math.min(cpuMs, wallMs);
    this.#cpuMs += computedMs;
    this.#cpu.observe(computedMs / count, count);
  }

  /** A try failed. What a host calls its error is taken for granted only where it is in the catalogue: each code is a time series somewhere. */
  failed(code: string, retried: boolean): void {
    const known = Object.hasOwn(ERRORS, code) ? code : "FUNCTION_THREW";
    this.#errors.set(known, (this.#errors.get(known) ?? 0) + 1);
    this.#failures++;
    if (retried) this.#retries++;
  }

  /** Adds what the versions before have used. */
  goOnFrom(before: Totals): void {
    this.#before = before;
  }

  /** Over versions. */
  get totals(): Totals {
    const { invocations, errors, cpuMs, gbSeconds } = this.#before;
    return {
      invocations: invocations + this.#invocations,
      errors: errors + this.#failures,
      cpuMs: cpuMs + this.#cpuMs,
      gbSeconds: gbSeconds + this.#gbSeconds,
    };
  }

  get #gbSeconds(): number {
    return (this.#wallMs / 1_000) * this.#gigabytes;
  }

  stats(heapBytes: number): UsageStats {
    return {
      invocations: this.#invocations,
      errors: Object.fromEntries(this.#errors),
      retries: this.#retries,
      duration: this.#duration.stats,
      cpu: this.#cpu.stats,
      gbSeconds: this.#gbSeconds,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
      heapBytes,
    };
  }
}
