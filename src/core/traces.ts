import { z } from "zod";
import { LOG_LEVELS } from "./stats.ts";

/** Of each kind of effect, what one record names. */
export const TRACED_EFFECTS_MAX = 32;

const time = z.number();

/**
 * What one try of a message by a function came to, as a gateway keeps it for a while. Times are milliseconds since the epoch. Of each kind of
 * effect the first TRACED_EFFECTS_MAX are named, with 256 characters at most; `more` counts the others.
 */
export const traceRecordSchema = z.object({
  seq: z.int(),
  function: z.string(),
  version: z.int(),
  attempt: z.int(),
  /** When the message arrived, when it went to the isolate, when the result was taken up, and when what came of it was on its way to the disk. */
  arrived: time,
  sent: time,
  answered: time,
  committed: time.exactOptional(),
  outcome: z.enum(["done", "retry", "dead"]),
  /** Of the error, when it failed. */
  code: z.string().exactOptional(),
  /** W3C trace id of the message, the handling of it in that trace, and what that says that it was caused by. */
  trace: z.string().exactOptional(),
  span: z.string().exactOptional(),
  parent: z.string().exactOptional(),
  /** Names of values that were written or deleted. */
  state: z.array(z.string()),
  /** In their order. `outbox` finds it in the outbox; without it there was no room. */
  events: z.array(z.object({ type: z.string(), outbox: z.string().exactOptional() })),
  /** Topics, in their order. */
  publishes: z.array(z.string()),
  /** Seqs of the messages that some of the publishes became. */
  derived: z.array(z.int()),
  more: z.object({ state: z.int(), events: z.int(), publishes: z.int(), derived: z.int() }).exactOptional(),
});
export type TraceRecord = z.infer<typeof traceRecordSchema>;

/**
 * What has become of an event: it waits in the outbox; the cloud has confirmed it; it is not in the outbox any more, where its rule allows that it
 * expires or gives way to others; or there was no room for it.
 */
const EVENT_FATES = ["waiting", "uploaded", "gone", "dropped"] as const;
export type EventFate = (typeof EVENT_FATES)[number];

/** Where a function stands with a message. */
const PROGRESS = ["waiting", "passed"] as const;
export type Progress = (typeof PROGRESS)[number];

const trySchema = traceRecordSchema.omit({ seq: true, function: true, events: true }).extend({
  events: z.array(z.object({ id: z.string(), type: z.string(), cloud: z.enum(EVENT_FATES) })),
});
export type TracedTry = z.infer<typeof trySchema>;

const logSchema = z.object({
  time,
  level: z.enum(LOG_LEVELS),
  function: z.string(),
  invocation: z.string(),
  message: z.string(),
  fields: z.record(z.string(), z.unknown()).exactOptional(),
});

const tracedFunctionSchema = z.object({
  function: z.string(),
  version: z.int().exactOptional(),
  /** `waiting`: not done with it. `passed`: done with it, or deployed after it. Absent when the function does not listen to it now. */
  progress: z.enum(PROGRESS).exactOptional(),
  /** Those that were recorded, oldest first. Empty when none was: then only the rest is known. */
  tries: z.array(trySchema),
  deadLetter: z.object({ code: z.string(), error: z.string(), attempts: z.int() }).exactOptional(),
  logs: z.array(logSchema),
});
export type TracedFunction = z.infer<typeof tracedFunctionSchema>;

export interface TracedMessage {
  readonly seq: number;
  /** `GATEWAY:SEQ` */
  readonly id: string;
  /** As long as the journal keeps it. */
  readonly message?: {
    readonly topic: string;
    readonly source: string;
    /** Of the payload. */
    readonly bytes: number;
    readonly time: number;
    readonly traceparent?: string;
  };
  readonly functions: readonly TracedFunction[];
  /** The messages that publishes of these functions became. */
  readonly derived: readonly TracedMessage[];
  /** There are derived messages that are not shown, because it would be too many. */
  readonly cut?: true;
}

const tracedMessageSchema: z.ZodType<TracedMessage> = z.object({
  seq: z.int(),
  id: z.string(),
  message: z
    .object({ topic: z.string(), source: z.string(), bytes: z.int(), time, traceparent: z.string().exactOptional() })
    .exactOptional(),
  functions: z.array(tracedFunctionSchema),
  derived: z.array(z.lazy(() => tracedMessageSchema)),
  cut: z.literal(true).exactOptional(),
});

/** The answer of `/v1/traces/ID`. */
export const traceAnswerSchema = z.object({
  id: z.string(),
  gateway: z.string(),
  /** The message that was asked for, or those of the trace that no other of them led to, oldest first. */
  messages: z.array(tracedMessageSchema),
  /** There are more of the trace. */
  cut: z.literal(true).exactOptional(),
});
export type TraceAnswer = z.infer<typeof traceAnswerSchema>;
