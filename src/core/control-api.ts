import type { CloudEvent } from "./event.ts";
import { reportedSchema } from "./link-messages.ts";
import { triggerSummarySchema } from "./triggers.ts";
import { z } from "zod";

/** What the control plane's HTTP API answers, beside /openapi.json. Times are RFC 3339; numbers of versions start at 1. */

/** A function's name in the API: what a URL path segment and a topic level can carry unescaped. */
export const FUNCTION_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** Events on one page. */
export const EVENTS_LIMIT = { max: 5000, default: 100 };

/** Carries the sha256 of a published bundle, so that a body damaged on its way is refused. */
export const DIGEST_HEADER = "x-millrace-digest";

const cloudEvent: z.ZodType<CloudEvent> = z.object({
  specversion: z.literal("1.0"),
  id: z.string(),
  source: z.string(),
  type: z.string(),
  subject: z.string(),
  time: z.string(),
  datacontenttype: z.literal("application/json"),
  data: z.unknown(),
  gateway: z.string(),
  function: z.string(),
  functionversion: z.int(),
  traceparent: z.string().exactOptional(),
  tracestate: z.string().exactOptional(),
  position: z.int(),
});

const gateway = z.object({
  id: z.string(),
  connected: z.boolean(),
  lastSeen: z.string(),
  /** Start of the present connection, or of the last one. */
  connectedAt: z.string(),
  /** Millrace's own version, as the gateway reported it. */
  version: z.string(),
  labels: z.record(z.string(), z.string()),
  /** The revision of the desired state that the gateway last acted on. */
  revision: z.int(),
  functions: reportedSchema.shape.functions,
  /** What the gateway dropped by choice since its start. */
  drops: reportedSchema.shape.drops,
});

/** The schema of every successful answer, by what it is. */
export const controlApi = {
  /** PUT /v1/functions/:name. `unchanged` when the digest was the function's latest already. */
  published: z.object({ name: z.string(), version: z.int(), digest: z.string(), unchanged: z.boolean() }),
  /** GET /v1/functions. `gateways` counts those that report the latest version as active, failed or quarantined. */
  functions: z.array(
    z.object({
      name: z.string(),
      latest: z.int(),
      digest: z.string(),
      triggers: z.array(triggerSummarySchema),
      createdAt: z.string(),
      gateways: z.object({ active: z.int(), failed: z.int(), quarantined: z.int().default(0) }),
    }),
  ),
  /** GET /v1/functions/:name/versions, newest first. No version is `latest` once the function is deleted. */
  versions: z.array(z.object({ version: z.int(), digest: z.string(), bytes: z.int(), createdAt: z.string(), latest: z.boolean() })),
  /** DELETE /v1/functions/:name */
  removed: z.object({ name: z.string(), removed: z.literal(true) }),
  gateways: z.array(gateway),
  /** GET /v1/events. `next` is the `after` of the next page, null on the last one. */
  events: z.object({ events: z.array(cloudEvent), next: z.int().nullable() }),
  stats: z.object({
    startedAt: z.string(),
    /** In the store. */
    events: z.int(),
    functions: z.int(),
    gateways: z.object({ known: z.int(), connected: z.int() }),
    /** Since `startedAt`. */
    ingest: z.object({
      batches: z.int(),
      stored: z.int(),
      duplicates: z.int(),
      rejected: z.int(),
      /** Batches that could not be read at all. */
      malformed: z.int(),
      /** Batches not taken because the queue was full; their gateways send them again. */
      refused: z.int(),
      /** Batches the store failed on; their gateways send them again. */
      failed: z.int(),
    }),
  }),
  /** Every answer with a status of 400 or above. */
  error: z.object({ error: z.object({ code: z.string(), message: z.string(), hint: z.string() }) }),
};

type Api = typeof controlApi;
export type Published = z.infer<Api["published"]>;
export type FunctionInfo = z.infer<Api["functions"]>[number];
export type VersionInfo = z.infer<Api["versions"]>[number];
export type GatewayInfo = z.infer<Api["gateways"]>[number];
export type EventsPage = z.infer<Api["events"]>;
export type ControlStats = z.infer<Api["stats"]>;
