import { z } from "zod";
import { parseTraceparent, TRACESTATE_CHARS_MAX } from "./trace-context.ts";

const reportedFunction = z.object({
  name: z.string(),
  version: z.int(),
  digest: z.string(),
  state: z.enum(["active", "failed", "quarantined"]),
  error: z.string().optional(),
  /** What it lacks on this gateway although it runs, such as a secret: codes of the catalogue of errors. Gateways of before say nothing of it. */
  problems: z.array(z.object({ code: z.string(), message: z.string() })).optional(),
});

export const reportedSchema = z.object({
  gateway: z.string(),
  /** Millrace's own version. */
  version: z.string(),
  startedAt: z.string(),
  labels: z.record(z.string(), z.string()),
  /** The revision of the desired state that it last acted on; 0 before the first. */
  revision: z.int(),
  functions: z.array(reportedFunction),
  /** What the gateway dropped by choice since `startedAt`. */
  drops: z.array(z.object({ function: z.string(), reason: z.string(), count: z.int() })).default([]),
});
export type Reported = z.infer<typeof reportedSchema>;

export const desiredSchema = z.object({
  /** Increases with every change; an older one that arrives late is ignored. */
  revision: z.int(),
  functions: z.array(z.object({ name: z.string(), version: z.int(), digest: z.string(), bytes: z.int() })),
});
export type Desired = z.infer<typeof desiredSchema>;

const outboxEvent = z.object({
  id: z.string(),
  function: z.string(),
  version: z.int(),
  type: z.string(),
  subject: z.string(),
  time: z.number(),
  data: z.string(),
  // An event is worth more than what is said of its trace: what makes no sense is left out.
  traceparent: z
    .string()
    .refine((text) => parseTraceparent(text) !== undefined)
    .optional()
    .catch(undefined),
  tracestate: z
    .string()
    .max(TRACESTATE_CHARS_MAX)
    .regex(/^[\x20-\x7e]+$/)
    .optional()
    .catch(undefined),
});
export const eventBatchSchema = z.object({ batch: z.int(), events: z.array(outboxEvent).min(1) });
export type EventBatch = z.infer<typeof eventBatchSchema>;

export const eventAckSchema = z.object({
  batch: z.int(),
  /** New in the store. */
  stored: z.int(),
  /** Already there, by id. */
  duplicates: z.int(),
  /** Not storable (data is not JSON, an attribute is out of bounds) and never will be. */
  rejected: z.int(),
});
export type EventAck = z.infer<typeof eventAckSchema>;

export const artifactGetSchema = z.object({ digest: z.string(), offset: z.int().min(0) });
export type ArtifactGet = z.infer<typeof artifactGetSchema>;

export const artifactChunkSchema = z.object({
  digest: z.string(),
  offset: z.int(),
  /** Size of the whole; 0 when the control plane has no such bundle. */
  total: z.int(),
  bytes: z.instanceof(Uint8Array),
});
export type ArtifactChunk = z.infer<typeof artifactChunkSchema>;
