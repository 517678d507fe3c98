import { z } from "zod";
import { totalsSchema } from "./totals.ts";

export const SAMPLE_MS = 10_000;
export const HOUR_MS = 3_600_000;
/** How far back samples and hours go. */
export const SAMPLES_MS_MAX = 6 * HOUR_MS;
export const HOURS_MS_MAX = 7 * 24 * HOUR_MS;

const amount = z.number();

/** Of one function in one hour; `time`: when the hour began, in milliseconds since the epoch. */
export const hourSchema = totalsSchema.extend({ time: amount, function: z.string() });
export type HourTotals = z.infer<typeof hourSchema>;

/** What one function did in the SAMPLE_MS before a moment, and what was waiting then. */
export const rowSchema = totalsSchema.extend({ function: z.string(), version: amount, backlog: amount, heapBytes: amount });
export type SampleRow = z.infer<typeof rowSchema>;

export const sampleSchema = z.object({ time: amount, functions: z.array(rowSchema) });
/** Functions that did nothing and have nothing waiting are left out. */
export type UsageSample = z.infer<typeof sampleSchema>;
