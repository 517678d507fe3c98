import { z } from "zod";
import { DROP_REASONS } from "../../core/drops.ts";
import { fromLine, recordedSchema } from "../../core/recording.ts";
import { FETCH_OUTCOMES, type FetchStats } from "../../core/fetch-stats.ts";
import type { HistogramStats } from "../../core/histogram.ts";
import type { ListenerStats } from "../../core/listener-stats.ts";
import type { StartStats } from "../../core/starts.ts";
import type { DeadLetter, FunctionStats, GatewayStats, InvokeResult, LogLevel, LogRecord } from "../../core/stats.ts";
import { BROKER_DROP_REASONS } from "../../core/stored-stats.ts";
import { NO_USAGE, type UsageStats } from "../../core/usage.ts";

const level = z.enum(["debug", "info", "warn", "error"] satisfies LogLevel[]);
const counter = z.number();
const fields = z.record(z.string(), z.unknown());

const NO_STARTS: StartStats = { count: 0, pooled: 0, cached: 0, isolateMs: 0, compileMs: 0, initMs: 0, firstCalls: 0, firstCallMs: 0 };
const startStats = z.object({
  count: counter,
  pooled: counter,
  cached: counter,
  isolateMs: counter,
  compileMs: counter,
  initMs: counter,
  firstCalls: counter.default(0),
  firstCallMs: counter.default(0),
});

const listenerStats = z.object({
  name: z.string(),
  address: z.string(),
  connections: counter,
  handshakes: counter,
  accepted: counter,
  refused: counter,
  failed: counter,
}) satisfies z.ZodType<ListenerStats>;
const histogram = z.object({ counts: z.array(counter).readonly(), sumMs: counter }) satisfies z.ZodType<HistogramStats>;
const usageStats = z.object({
  invocations: counter,
  errors: z.record(z.string(), counter).readonly(),
  retries: counter,
  duration: histogram,
  cpu: histogram,
  gbSeconds: counter,
  bytesIn: counter,
  bytesOut: counter,
  heapBytes: counter,
}) satisfies z.ZodType<UsageStats>;
const fetchStats = z.object({
  outcomes: z.partialRecord(z.enum(FETCH_OUTCOMES), counter).readonly(),
  duration: histogram,
  bytesOut: counter,
  bytesIn: counter,
}) satisfies z.ZodType<FetchStats>;
const functionStats = z.object({
  name: z.string(),
  version: z.int(),
  digest: z.string(),
  state: z.enum(["active", "failed", "quarantined"]),
  error: z.string().exactOptional(),
  from: counter,
  handled: counter,
  failed: counter,
  retried: counter,
  deadLettered: counter,
  duplicates: counter.default(0),
  emitted: counter,
  published: counter,
  backlog: counter,
  waitsFor: z.literal("subscribers").exactOptional(),
  instances: counter.default(0),
  starts: startStats.default(NO_STARTS),
  oldestAgeMs: counter.exactOptional(),
  stateBytes: counter.exactOptional(),
  usage: usageStats.default(NO_USAGE),
  fetches: fetchStats.exactOptional(),
  secretProblems: z.array(z.string()).readonly().exactOptional(),
}) satisfies z.ZodType<FunctionStats>;

/** Members that a later gateway adds are kept, so that `--json` shows all there is. */
/** Gateways of earlier versions do not tell. */
const storedStats = z.looseObject({
  sessionsAway: counter,
  queuedMessages: counter,
  queuedBytes: counter,
  retainedMessages: counter,
  retainedBytes: counter,
  drops: z.array(z.object({ reason: z.enum(BROKER_DROP_REASONS), count: counter })),
});

export const gatewayStatsSchema = z.looseObject({
  gateway: z.string(),
  version: z.string(),
  startedAt: z.string(),
  pid: z.int(),
  labels: z.record(z.string(), z.string()),
  broker: z.looseObject({
    clients: counter,
    received: counter,
    delivered: counter,
    refused: counter,
    willsRefused: counter.default(0),
    inflightBytes: counter,
    inflightWaits: counter,
    listeners: z.array(listenerStats).readonly().default([]),
    stored: storedStats.default({ sessionsAway: 0, queuedMessages: 0, queuedBytes: 0, retainedMessages: 0, retainedBytes: 0, drops: [] }),
  }),
  calls: z
    .looseObject({ open: counter, bodyBytes: counter, refused: counter, late: counter })
    .default({ open: 0, bodyBytes: 0, refused: 0, late: 0 }),
  journal: z.looseObject({
    appended: counter,
    seq: counter,
    floor: counter,
    commits: counter,
    first: counter,
    bytes: counter,
    waiting: z.array(z.enum(["quota", "space"])),
    opened: z.looseObject({
      end: z.enum(["new", "clean", "unclean"]),
      tookMs: counter,
      publishes: counter,
      qos2: counter,
      problems: z.array(z.string()),
    }),
  }),
  deadLetters: z.looseObject({ count: counter, bytes: counter, full: z.boolean() }),
  runtime: z.looseObject({
    hosts: counter,
    hostRestarts: counter,
    isolatesEvicted: counter.default(0),
    memoryCap: z.enum(["kernel", "watch"]).default("watch"),
  }),
  outbox: z.looseObject({ pending: counter, uploaded: counter, rejected: counter }),
  link: z.looseObject({ connected: z.boolean(), url: z.string(), since: z.string().exactOptional(), error: z.string().exactOptional() }),
  drops: z.array(z.object({ function: z.string(), reason: z.enum(DROP_REASONS), count: counter })),
  functions: z.array(functionStats),
}) satisfies z.ZodType<GatewayStats>;
export type GatewayStatsAnswer = z.infer<typeof gatewayStatsSchema>;

export const journalPageSchema = z.object({
  messages: z.array(recordedSchema.transform(fromLine)),
  next: z.object({ from: z.string(), start: z.int(), to: z.string().optional() }),
  oldest: z.int().optional(),
  state: z.enum(["more", "end", "over"]),
});
export type JournalPageAnswer = z.infer<typeof journalPageSchema>;

export const deadLettersSchema = z.array(
  z.object({
    seq: z.int(),
    function: z.string(),
    version: z.int(),
    topic: z.string(),
    time: z.number(),
    attempts: z.int(),
    code: z.string(),
    error: z.string(),
    payload: z.string(),
    trace: z.string().exactOptional(),
  }) satisfies z.ZodType<DeadLetter>,
);
export type DeadLetterAnswer = z.infer<typeof deadLettersSchema>[number];

export const logRecordSchema = z.object({
  n: z.int(),
  time: z.number(),
  level,
  function: z.string(),
  version: z.int(),
  invocation: z.string().exactOptional(),
  trace: z.string().exactOptional(),
  message: z.string(),
  fields: fields.exactOptional(),
}) satisfies z.ZodType<LogRecord>;

export const logPageSchema = z.object({ records: z.array(logRecordSchema), next: z.int() });

export const invokeResultSchema = z.object({
  ok: z.boolean(),
  error: z.object({ code: z.string(), message: z.string(), stack: z.string().exactOptional() }).exactOptional(),
  state: z.array(z.object({ key: z.string(), name: z.string(), value: z.unknown() })),
  publishes: z.array(z.object({ topic: z.string(), payload: z.string(), qos: z.number(), retain: z.boolean() })),
  events: z.array(z.object({ type: z.string(), subject: z.string(), data: z.unknown() })),
  logs: z.array(z.object({ level, message: z.string(), fields: fields.exactOptional() })),
  answer: z.object({ status: z.number(), headers: z.array(z.tuple([z.string(), z.string()])), body: z.string() }).exactOptional(),
  durationMs: z.number(),
}) satisfies z.ZodType<InvokeResult>;
export type InvokeAnswer = z.infer<typeof invokeResultSchema>;
