import { isUtf8 } from "node:buffer";
import { z } from "zod";
import { MillraceError } from "./errors.ts";
import { type Message, type MessageProperties, PROPERTIES_BYTES_MAX } from "./message.ts";
import { messageTopicProblem } from "./trigger-topic.ts";

/**
 * A recording is a text file of lines, each a JSON object (docs/guide/replay.md). The first says what the file is, every other is one message, in
 * the order of the journal. Members that a reader does not know are passed over, so that later writers may add some; what changes the meaning
 * of the others gets a new version.
 */
export const RECORDING_VERSION = 1;

export interface RecordingHeader {
  readonly millrace: "recording";
  readonly version: number;
  /** Id of the gateway that the messages come from. */
  readonly gateway: string;
  /** When the file was begun; RFC 3339. */
  readonly recordedAt: string;
  /** The topic filter that was asked for. */
  readonly topic?: string | undefined;
}

/** A message with its place in the journal that it was recorded from. */
export interface RecordedMessage extends Message {
  readonly seq: number;
}

const headerSchema = z.object({
  millrace: z.literal("recording"),
  version: z.int(),
  gateway: z.string(),
  recordedAt: z.string(),
  topic: z.string().optional(),
});

const properties = z.strictObject({
  contentType: z.string().exactOptional(),
  responseTopic: z.string().exactOptional(),
  correlationData: z.base64().exactOptional(),
  // Not a record of zod, which leaves out a property named __proto__.
  user: z.custom<Record<string, string | string[]>>(isUserProperties, "not an object of texts and lists of texts").exactOptional(),
  http: z
    .object({
      method: z.string(),
      path: z.string(),
      query: z.custom<Record<string, string | string[]>>(isUserProperties, "not an object of texts and lists of texts"),
      headers: z.record(z.string(), z.string()),
    })
    .exactOptional(),
}) satisfies z.ZodType<MessageProperties>;

function isUserProperties(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((each) => isText(each) || (Array.isArray(each) && each.every(isText)));
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

/** A message as a line of a recording and in the gateway's API. */
export const recordedSchema = z
  .object({
    seq: z.int().min(0),
    time: z.iso.datetime({ offset: true }),
    topic: z.string().check((context) => {
      const message = messageTopicProblem(context.value);
      if (message !== undefined) context.issues.push({ code: "custom", message, input: context.value });
    }),
    qos: z.union([z.literal(0), z.literal(1), z.literal(2)]),
    retain: z.boolean().default(false),
    source: z.string().max(65_535),
    /** How many functions it came through. */
    hops: z.int().min(0).max(255).default(0),
    properties: properties.exactOptional(),
    /** Text when the bytes are UTF-8, otherwise base64. */
    payload: z.string().optional(),
    payloadBase64: z.base64().optional(),
  })
  .refine((line) => (line.payload === undefined) !== (line.payloadBase64 === undefined), {
    error: "exactly one of payload (text) and payloadBase64 (bytes) is needed",
  })
  .refine((line) => Buffer.byteLength(JSON.stringify(line.properties ?? {})) <= PROPERTIES_BYTES_MAX, {
    error: `the properties are longer than ${PROPERTIES_BYTES_MAX} bytes`,
  });

export type RecordedLine = z.input<typeof recordedSchema>;

/** Text above this is written as base64, so that no line outgrows what a text may hold, however much of it has to be escaped. */
const TEXT_BYTES_MAX = 16 * 1024 * 1024;

/** The members of a message's line, in the order in which they are written. */
export function toLine({ seq, time, topic, qos, retain, source, hops, properties: given, payload }: RecordedMessage): RecordedLine {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  return {
    seq,
    time: new Date(time).toISOString(),
    topic,
    qos,
    retain,
    source,
    ...(hops === 0 ? {} : { hops }),
    ...(given === undefined ? {} : { properties: propertiesLine(given) }),
    ...(bytes.length <= TEXT_BYTES_MAX && isUtf8(bytes) ? { payload: bytes.toString() } : { payloadBase64: bytes.toString("base64") }),
  };
}

function propertiesLine({ user, http, ...rest }: MessageProperties): NonNullable<RecordedLine["properties"]> {
  const others = http === undefined ? rest : { ...rest, http: { ...http, query: copy(http.query) } };
  return user === undefined ? others : { ...others, user: copy(user) };
}

function copy(user: Readonly<Record<string, string | readonly string[]>>): Record<string, string | string[]> {
  const entries = Object.entries(user).map(([name, value]): [string, string | string[]] => [
    name,
    typeof value === "string" ? value : [...value],
  ]);
  return Object.fromEntries(entries);
}

export function fromLine(line: z.output<typeof recordedSchema>): RecordedMessage {
  const { time, payload, payloadBase64, ...same } = line;
  const bytes = payload === undefined ? Buffer.from(payloadBase64 ?? "", "base64") : Buffer.from(payload);
  return { ...same, time: Date.parse(time), payload: bytes };
}

/** @throws MillraceError RECORDING_INVALID; `where` names file and line */
export function parseHeader(text: string, where: string): RecordingHeader {
  const value = jsonOf(text, where);
  const header = headerSchema.safeParse(value);
  if (!header.success)
    throw invalid(where, 'the first line is not the header of a recording, such as {"millrace":"recording","version":1,…}');
  if (header.data.version > RECORDING_VERSION) {
    throw invalid(where, `the recording has version ${header.data.version}, this program reads up to ${RECORDING_VERSION}`);
  }
  return header.data;
}

/** @throws MillraceError RECORDING_INVALID; `where` names file and line */
export function parseLine(text: string, where: string): RecordedMessage {
  const line = recordedSchema.safeParse(jsonOf(text, where));
  if (line.success) return fromLine(line.data);
  const [issue] = line.error.issues;
  throw invalid(where, `${issue?.path.join(".") || "the line"}: ${issue?.message}`);
}

function jsonOf(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(where, "the line is not JSON", cause);
  }
}

export function invalid(where: string, reason: string, cause?: unknown): MillraceError {
  return new MillraceError("RECORDING_INVALID", `${where}: ${reason}`, { cause });
}
