import { z } from "zod";
import { readRoute } from "./http-route.ts";
import { readSchedule } from "./schedule.ts";

/** What becomes of the times of a schedule at which the gateway was not there. */
export const CATCH_UPS = ["none", "last", "all"] as const;
export type CatchUp = (typeof CATCH_UPS)[number];

const mqttTrigger = z.strictObject({
  mqtt: z.string(),
  /** Whether a message is on disk before it is acknowledged; otherwise it never gets there. */
  durable: z.boolean().default(true),
});

const scheduleTrigger = z
  .strictObject({
    /** `every 10s`, or cron with five fields. */
    schedule: z.string(),
    /** Tells the schedules of a function apart. */
    name: z.string().regex(/^[a-z0-9-]+$/),
    /** IANA. */
    timezone: z.string(),
    catchUp: z.enum(CATCH_UPS),
    /** Ticks that `all` makes up for at most. */
    catchUpMax: z.int().min(1).max(1_000),
  })
  .refine(({ schedule, timezone }) => !("problem" in readSchedule(schedule, timezone)), { error: "is no schedule" });

/** Event types; `*` at the end stands for any rest. */
export const EVENT_PATTERN = /^[A-Za-z0-9_.:/-]*\*?$/;

const eventTrigger = z.strictObject({ event: z.string().min(1).max(200).regex(EVENT_PATTERN) });

const stateTrigger = z.strictObject({
  /** A pattern of keys, a slash, and a pattern of names; only the latter for any key. */
  state: z.string().min(1).max(2_000),
});

/** Whether a caller waits for what the handler answers, or only until the request is in the journal. */
export const ANSWERS = ["sync", "accepted"] as const;

const httpTrigger = z.strictObject({
  /** Methods, a space, and a path below `/fn`. */
  http: z.string().refine((text) => !("problem" in readRoute(text)), { error: "is no route" }),
  answer: z.enum(ANSWERS),
});

/** One way in which a function is woken, as a bundle carries it. */
export const triggerSpecSchema = z.union([mqttTrigger, scheduleTrigger, eventTrigger, stateTrigger, httpTrigger]);
export type TriggerSpec = Readonly<z.infer<typeof triggerSpecSchema>>;
export type ScheduleTrigger = Readonly<z.infer<typeof scheduleTrigger>>;

/** What `event.type` says. */
export type TriggerKind = "mqtt" | "schedule" | "event" | "state" | "http";

export function kindOf(trigger: TriggerSpec): TriggerKind {
  if ("mqtt" in trigger) return "mqtt";
  if ("schedule" in trigger) return "schedule";
  if ("event" in trigger) return "event";
  return "state" in trigger ? "state" : "http";
}

/** What lists show of a trigger. */
export const triggerSummarySchema = z.object({
  mqtt: z.string().optional(),
  schedule: z.string().optional(),
  event: z.string().optional(),
  state: z.string().optional(),
  http: z.string().optional(),
});
export type TriggerSummary = z.infer<typeof triggerSummarySchema>;

/** As people read it in a list. */
export function triggerText(trigger: Readonly<Partial<Record<TriggerKind, string | undefined>>>): string {
  const { mqtt, schedule, event, state, http } = trigger;
  if (mqtt !== undefined) return mqtt;
  if (schedule !== undefined) return `"${schedule}"`;
  if (http !== undefined) return http;
  return event === undefined ? `state:${state}` : `event:${event}`;
}
