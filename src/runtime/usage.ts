import { ERRORS } from "../core/errors.ts";
import { Histogram } from "../core/histogram.ts";
import type { UsageStats } from "../core/usage.ts";

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
  #wallMs = 0;

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
    this.#cpu.observe(Math.min(cpuMs, wallMs) / count, count);
  }

  /** A try failed. What a host calls its error is taken for granted only where it is in the catalogue: each code is a time series somewhere. */
  failed(code: string, retried: boolean): void {
    const known = Object.hasOwn(ERRORS, code) ? code : "FUNCTION_THREW";
    this.#errors.set(known, (this.#errors.get(known) ?? 0) + 1);
    if (retried) this.#retries++;
  }

  stats(heapBytes: number): UsageStats {
    return {
      invocations: this.#invocations,
      errors: Object.fromEntries(this.#errors),
      retries: this.#retries,
      duration: this.#duration.stats,
      cpu: this.#cpu.stats,
      gbSeconds: (this.#wallMs / 1_000) * this.#gigabytes,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
      heapBytes,
    };
  }
}
