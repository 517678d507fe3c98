import { z } from "zod";

/** What one run of the load generator does. */
export const loadOptionsSchema = z.object({
  port: z.int(),
  publishers: z.int().min(1),
  /** Messages go to `PREFIX/sensor-0000` and so on, in turn; each publisher has its share of the topics. */
  prefix: z.string(),
  topics: z.int().min(1).max(10_000),
  /** Where the results arrive. */
  subscribe: z.string(),
  /** Publishes of one publisher that wait for their PUBACK, at most. */
  window: z.int().min(1).max(30_000),
  /** Messages published and not yet arrived at the subscriber, at most: a path that is too slow slows its publishers instead of growing a queue. */
  outstanding: z.int().min(1),
  /** Messages per second, all publishers together; undefined = as fast as the two bounds allow. Latency is measured only with a rate. */
  rate: z.number().positive().optional(),
  /** Of each payload; 72 at least, and by default. */
  payloadBytes: z.int().min(72).optional(),
  /** Whether each message names a trace, in a property of MQTT 5. */
  traced: z.boolean().optional(),
  warmUpMs: z.int().min(0),
  measureMs: z.int().min(1),
});
export type LoadOptions = z.infer<typeof loadOptionsSchema>;

const latencySchema = z.object({ p50: z.number(), p90: z.number(), p99: z.number(), max: z.number() });

/** Milliseconds from the write of a publish to the arrival of its result. */
export type Latency = z.infer<typeof latencySchema>;

const loadResultSchema = z.object({
  /** Messages that arrived within the measured time. */
  received: z.int(),
  seconds: z.number(),
  /** Messages that were acknowledged and had not arrived when nothing had moved for a while after the end. */
  missing: z.int(),
  latency: latencySchema.optional(),
});
export type LoadResult = z.infer<typeof loadResultSchema>;

/** What the load generator's process tells the one that started it. */
export const loadReportSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("begin") }),
  z.object({ type: z.literal("end") }),
  z.object({ type: z.literal("result"), result: loadResultSchema }),
]);
export type LoadReport = z.infer<typeof loadReportSchema>;
