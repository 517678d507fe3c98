import { z } from "zod";

/** What one run of the load generator does. */
export const loadOptionsSchema = z.object({
  port: z.int(),
  publishers: z.int().min(1),
  /** Each gets every message; one by default. */
  subscribers: z.int().min(1).max(10_000).default(1),
  /** Of messages and subscriptions. */
  qos: z.literal([0, 1]).default(1),
  /** Messages go to `PREFIX/sensor-0000` and so on, in turn; each publisher has its share of the topics. */
  prefix: z.string(),
  topics: z.int().min(1).max(10_000),
  /** Where the results arrive. */
  subscribe: z.string(),
  /** Publishes of one publisher that wait for their PUBACK, at most. */
  window: z.int().min(1).max(30_000),
  /** Deliveries that are due and have not arrived, at most: a path that is too slow slows its publishers instead of growing a queue. */
  outstanding: z.int().min(1),
  /** Messages per second, all publishers together; undefined = as fast as the two bounds allow. Latency is measured only with a rate. */
  rate: z.number().positive().optional(),
  /** Of each payload; 72 at least, and by default. */
  payloadBytes: z.int().min(72).optional(),
  /** Whether each message names a trace, in a property of MQTT 5. */
  traced: z.boolean().optional(),
  /** Times a second that a further subscriber reads a piece of what is there for it, 64 KiB at most; none without it. */
  slowReads: z.number().min(0).optional(),
  warmUpMs: z.int().min(0),
  measureMs: z.int().min(1),
});
export type LoadOptions = z.infer<typeof loadOptionsSchema>;
export type LoadWish = z.input<typeof loadOptionsSchema>;

const latencySchema = z.object({ p50: z.number(), p90: z.number(), p99: z.number(), max: z.number() });

/** Milliseconds from the write of a publish to the arrival of its result. */
export type Latency = z.infer<typeof latencySchema>;

export const loadResultSchema = z.object({
  /** Deliveries that arrived within the measured time. */
  received: z.int(),
  seconds: z.number(),
  /** Deliveries of what was published that had not arrived when nothing had moved for a while after the end. */
  missing: z.int(),
  latency: latencySchema.optional(),
});
export type LoadResult = z.infer<typeof loadResultSchema>;

/** What many devices do that are connected at once. */
export const fleetOptionsSchema = z.object({
  port: z.int(),
  devices: z.int().min(1).max(50_000),
  /** Whether each publishes a message of 72 bytes at QoS 1 once a second; otherwise they only keep their connections alive. */
  publishes: z.boolean(),
  /** A subscription for all of that, at QoS 1. */
  subscribe: z.string().optional(),
  /** Seconds. */
  keepAlive: z.int().min(1).max(3_600).default(60),
  warmUpMs: z.int().min(0),
  measureMs: z.int().min(1),
});
export type FleetOptions = z.infer<typeof fleetOptionsSchema>;
export type FleetWish = z.input<typeof fleetOptionsSchema>;

export const fleetResultSchema = z.object({
  /** Until all of them had their CONNACK. */
  connectSeconds: z.number(),
  seconds: z.number(),
  /** Within the measured time. */
  published: z.int(),
  acknowledged: z.int(),
  received: z.int(),
  /** What was published in all, and had no PUBACK some seconds after the end. */
  unanswered: z.int(),
  /** From the write of a publish to its PUBACK. */
  latency: latencySchema.optional(),
});
export type FleetResult = z.infer<typeof fleetResultSchema>;
