import { parseEventId } from "../core/event.ts";
import { decodeLink } from "../core/link.ts";
import { type EventBatch, eventBatchSchema } from "../core/link-messages.ts";
import { z } from "zod";
import type { EventRow } from "./event-log.ts";

/** A batch as it is taken for storing: the storable events, the others only counted. */
export interface ReadBatch {
  readonly gateway: string;
  readonly batch: number;
  readonly rows: readonly EventRow[];
  readonly rejected: number;
  /** Why the first rejected event was rejected; undefined when none was. */
  readonly reason?: string;
}

type Event = EventBatch["events"][number];

const NAME_CHARS_MAX = 256;
/** The longest MQTT topic: a subject is a topic by default. */
const SUBJECT_CHARS_MAX = 65_535;
/** RFC 3339 has four digits for the year. */
const TIME_MAX = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
/** PGlite's stack is small: JSON nested some thousand levels deep does not fail there but ends the engine. */
const NESTING_MAX = 128;
const INT4_MAX = 2 ** 31 - 1;

const looseBatchSchema = z.object({ batch: z.int(), events: z.array(z.unknown()).min(1) });
const eventSchema = eventBatchSchema.shape.events.element;

/** Reads the payload of an `events` message; undefined when not even its batch number can be read. */
export function readBatch(gateway: string, payload: Uint8Array): ReadBatch | undefined {
  const strict = decodeLink(eventBatchSchema, payload);
  if (strict !== undefined) return sort(gateway, strict.batch, strict.events);
  // One malformed event must not hold up the rest, or the gateway would send the same batch for ever.
  const loose = decodeLink(looseBatchSchema, payload);
  return (
    loose &&
    sort(
      gateway,
      loose.batch,
      loose.events.map((event) => eventSchema.safeParse(event).data),
    )
  );
}

function sort(gateway: string, batch: number, events: readonly (Event | undefined)[]): ReadBatch {
  const rows: EventRow[] = [];
  let reason: string | undefined;
  for (const event of events) {
    const row = event === undefined ? "an event lacks an attribute or has one of the wrong type" : rowOf(gateway, event);
    if (typeof row === "string") reason ??= row;
    else rows.push(row);
  }
  return { gateway, batch, rows, rejected: events.length - rows.length, ...(reason === undefined ? {} : { reason }) };
}

/** The event's row, or why it can never be stored, as far as that can be told without the store. */
function rowOf(gateway: string, event: Event): EventRow | string {
  const id = parseEventId(gateway, event);
  if (id === undefined)
    return `the id "${event.id.slice(0, 80)}" is not one of the gateway "${gateway}" and the function "${event.function}"`;
  return eventProblem(event) ?? { ...id, event };
}

function eventProblem(event: Event): string | undefined {
  const { id, function: name, version, type, subject, time, data } = event;
  if (name.length > NAME_CHARS_MAX) return `${id}: the function's name is longer than ${NAME_CHARS_MAX} characters`;
  if (type.length > NAME_CHARS_MAX) return `${id}: the type is longer than ${NAME_CHARS_MAX} characters`;
  if (subject.length > SUBJECT_CHARS_MAX) return `${id}: the subject is longer than ${SUBJECT_CHARS_MAX} characters`;
  if (version < 0 || version > INT4_MAX) return `${id}: the version ${version} is out of range`;
  if (!(time >= 0 && time <= TIME_MAX)) return `${id}: the time ${time} is out of range`;
  if (`${name}${type}${subject}`.includes("\0")) return `${id}: an attribute contains a NUL character`;
  return dataProblem(data, id);
}

/** Finds what the store cannot keep. The rest of it, such as a lone surrogate, the store itself refuses cleanly. */
function dataProblem(data: string, id: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    // Not an error of this program: the verdict is the result.
    return `${id}: the data is not valid JSON`;
  }
  // Both walks are only for texts that look suspicious.
  if (opens(data) > NESTING_MAX && isDeep(value)) return `${id}: the data is nested deeper than ${NESTING_MAX} levels`;
  if (data.includes(String.raw`\u0000`) && hasNul(value)) return `${id}: the data contains a NUL character`;
  return undefined;
}

/** How many brackets open, in strings too; an upper bound of the nesting. */
function opens(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === 0x5b || char === 0x7b) count += 1;
  }
  return count;
}

function isDeep(root: unknown): boolean {
  let level: unknown[] = [root];
  for (let depth = 0; depth <= NESTING_MAX && level.length > 0; depth++) {
    level = level.flatMap((value) => (typeof value === "object" && value !== null ? Object.values(value) : []));
  }
  return level.length > 0;
}

/** PostgreSQL's text, and so its jsonb, has no NUL. */
function hasNul(root: unknown): boolean {
  const waiting: unknown[] = [root];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value === "string" && value.includes("\0")) return true;
    if (typeof value !== "object" || value === null) continue;
    for (const [key, inner] of Object.entries(value)) waiting.push(key, inner);
  }
  return false;
}
