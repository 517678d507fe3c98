import type { Context } from "hono";
import { z } from "zod";
import { MillraceError } from "../core/errors.ts";
import type { Message } from "../core/message.ts";
import { LOG_LEVELS, type LogLevel } from "../core/stats.ts";
import { parsePosition } from "../core/stretch.ts";
import { messageTopicProblem } from "../core/trigger-topic.ts";
import { isTraceId } from "../core/trace-context.ts";
import { body } from "./failure.ts";
import type { JournalQuery } from "./journal-pages.ts";
import type { LogQuery } from "../core/logs.ts";

const LIMIT_MAX = 1_000;
const LOG_TEXT_CHARS_MAX = 1_000;
const limit = z.coerce.number().pipe(z.int().min(1).max(LIMIT_MAX)).default(100);

const logsQuery = z.strictObject({
  function: z.string().optional(),
  version: z.coerce.number().pipe(z.int().min(1)).optional(),
  invocation: z
    .string()
    .regex(/^\d+(\.\d+)?$/, "SEQ or SEQ.ATTEMPT")
    .optional(),
  trace: z
    .string()
    .refine((text) => isTraceId(text), "a W3C trace id, 32 hexadecimal digits")
    .optional(),
  since: z.string().optional(),
  until: z.string().optional(),
  text: z.string().min(1).max(LOG_TEXT_CHARS_MAX).optional(),
  level: z.enum(["debug", "info", "warn", "error"] satisfies LogLevel[], { error: `one of ${LOG_LEVELS.join(", ")}` }).default("debug"),
  after: z.coerce.number().pipe(z.int().min(0)).optional(),
  limit,
  follow: z.enum(["0", "1"]).default("0"),
});

const deadLettersQuery = z.strictObject({ function: z.string().optional(), limit });

const clearQuery = z.strictObject({ function: z.string().optional() });

const journalQuery = z.strictObject({
  from: z.string().optional(),
  start: z.coerce.number().pipe(z.int().min(0)).optional(),
  to: z.string().optional(),
  topic: z.string().optional(),
  limit,
  wait: z.enum(["0", "1"]).default("0"),
});

const invokeBody = z
  .strictObject({
    topic: z.string(),
    payload: z.string().optional(),
    payloadBase64: z.base64().optional(),
    qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).default(1),
    fetch: z.boolean().default(false),
  })
  .refine((sent) => (sent.payload === undefined) !== (sent.payloadBase64 === undefined), {
    error: "exactly one of payload (text) and payloadBase64 (bytes) is needed",
  });

/** `now` is what a duration counts back from. @throws MillraceError REQUEST_INVALID */
export function parseLogsQuery(context: Context, now: number): LogQuery & { readonly follow: boolean } {
  const { follow, since, until, ...query } = parse(logsQuery, context.req.query());
  return { ...query, follow: follow === "1", since: timeOf("since", since, now), until: timeOf("until", until, now) };
}

function timeOf(name: string, text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const position = parsePosition(/^\d+(\.\d+)?[a-z]+$/.test(text) ? `-${text}` : text, now);
  if (position !== undefined && "time" in position) return position.time;
  throw new MillraceError(
    "REQUEST_INVALID",
    `${name}: "${text}" is neither a duration such as 10m nor a time such as 2026-11-20T08:00:00Z`,
  );
}

export function parseDeadLettersQuery(context: Context): z.infer<typeof deadLettersQuery> {
  return parse(deadLettersQuery, context.req.query());
}

export function parseClearQuery(context: Context): z.infer<typeof clearQuery> {
  return parse(clearQuery, context.req.query());
}

export function parseJournalQuery(context: Context): JournalQuery {
  const query = parse(journalQuery, context.req.query());
  return { ...query, wait: query.wait === "1" };
}

/** The message of an invocation, with the gateway's clock and `http` as its source, and whether the function may fetch. */
export async function parseInvocation(context: Context, payloadBytesMax: number): Promise<{ message: Message; fetch: boolean }> {
  const { topic, payload, payloadBase64, qos, fetch } = parse(invokeBody, await parseBody(context));
  const problem = messageTopicProblem(topic);
  if (problem !== undefined) throw new MillraceError("REQUEST_INVALID", `topic "${topic}": ${problem}`);
  const bytes = payload === undefined ? Buffer.from(payloadBase64 ?? "", "base64") : Buffer.from(payload);
  if (bytes.length > payloadBytesMax) {
    throw new MillraceError("REQUEST_INVALID", `the payload has ${bytes.length} bytes, at most ${payloadBytesMax} are allowed`);
  }
  return { message: { topic, payload: bytes, qos, retain: false, time: Date.now(), source: "http", hops: 0 }, fetch };
}

/** The body, which has to be JSON and to say so: anything else could be sent by a web page of another origin without asking first. */
export async function parseBody(context: Context): Promise<unknown> {
  if (!/^application\/json\b/i.test(context.req.header("content-type") ?? "")) {
    throw new MillraceError("REQUEST_INVALID", "the body has to be JSON, with content-type: application/json");
  }
  const text = await context.req.text();
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new MillraceError("REQUEST_INVALID", "the body is not JSON", { cause });
  }
}

/** JSON may write one byte of a payload as six characters, and a few more hold the rest of the body. */
export function bodyBytesMax(payloadBytesMax: number): number {
  return payloadBytesMax * 6 + 64 * 1024;
}

export function tooLarge(): Response {
  return Response.json(body("REQUEST_INVALID", "the body is larger than any payload that is allowed"), {
    status: 413,
    headers: { connection: "close" },
  });
}

/** @throws MillraceError REQUEST_INVALID */
export function parse<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const lines = result.error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`));
  throw new MillraceError("REQUEST_INVALID", lines.join("; "));
}
