import { z } from "zod";

const amount = z.number();

/** What a function has used, as one would bill it. */
export const totalsSchema = z.object({
  invocations: amount,
  /** Tries that failed. */
  errors: amount,
  cpuMs: amount,
  /** Seconds that handling took, times gigabytes (2^30) of `limits.memory`. */
  gbSeconds: amount,
});
export type Totals = z.infer<typeof totalsSchema>;

export const NO_TOTALS: Totals = { invocations: 0, errors: 0, cpuMs: 0, gbSeconds: 0 };

export function plus(one: Totals, other: Totals): Totals {
  return {
    invocations: one.invocations + other.invocations,
    errors: one.errors + other.errors,
    cpuMs: one.cpuMs + other.cpuMs,
    gbSeconds: one.gbSeconds + other.gbSeconds,
  };
}

export function without(one: Totals, other: Totals): Totals {
  return {
    invocations: one.invocations - other.invocations,
    errors: one.errors - other.errors,
    cpuMs: one.cpuMs - other.cpuMs,
    gbSeconds: one.gbSeconds - other.gbSeconds,
  };
}
