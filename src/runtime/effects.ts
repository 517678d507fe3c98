import type { ErrorCode } from "../core/errors.ts";
import { ANSWER_HEADERS_BYTES_MAX, ANSWER_HEADERS_MAX, type HttpAnswer } from "../core/http-call.ts";
import { RECORD_HEADER_BYTES } from "../core/message.ts";
import { isStored, SHARED_KEY } from "../core/state-value.ts";
import { LOG_LEVELS, type LogLevel } from "../core/stats.ts";

/** What one item of a batch came to. Slices are views on the frame. */
export type ItemResult =
  | {
      readonly status: "done";
      readonly logs: readonly GuestLog[];
      readonly effects: ItemEffects;
      readonly answer?: HttpAnswer;
      /** It was handled together with others, and counts only together with the next result that is done and not joined. */
      readonly joined?: true;
    }
  | { readonly status: "retry" | "failed"; readonly logs: readonly GuestLog[]; readonly error: GuestError }
  | { readonly status: "deferred" };

export interface ItemEffects {
  readonly state: readonly StateEffect[];
  readonly events: readonly { readonly type: string; readonly subject: string; readonly data: string }[];
  readonly publishes: readonly Buffer[];
}

export interface StateEffect {
  readonly name: string;
  readonly value: Buffer | undefined;
  /** It belongs to the function, not to the key of the message. */
  readonly shared?: true;
}

/** Under which key of the function it is kept. */
export function placeOf({ key }: { readonly key: string }, { shared }: StateEffect): string {
  return shared === true ? SHARED_KEY : key;
}

export interface GuestLog {
  readonly level: LogLevel;
  readonly message: string;
  /** JSON of an object. */
  readonly fields?: string;
  /** In the place of so many lines that were left out. */
  readonly leftOut?: number;
}

export interface GuestError {
  readonly code: string;
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

/** Added to the length of a name. */
const SHARED = 0x8000;
const DELETED = 0xffff_ffff;
const NOTHING: readonly never[] = [];
/** Of one message, and bytes of one line. The guest keeps within less. */
const LOGS_MAX = 101;
const LOG_BYTES_MAX = 32 * 1024;
/** Added to the level of a line that has fields. */
const WITH_FIELDS = 8;
/** As JSON. */
const ERROR_BYTES_MAX = 256 * 1024;
/** Characters of an error's texts. The guest cuts them off there, unless its function has seen to it that it does not. */
const ERROR_CHARS_MAX = { name: 200, message: 4_000, stack: 8_000 } as const;
/** What a guest may say that it failed of. Everything else is for the host and the gateway to say. */
export const GUEST_CODES = [
  "FUNCTION_THREW",
  "PAYLOAD_INVALID",
  "PERMISSION_DENIED",
  "LIMIT_OUTPUT",
  "LIMIT_STATE",
  "STATE_NOT_SHARED",
  "STATE_NEWER",
  "LIMIT_TIMERS",
  "LIMIT_FETCH",
  "LIMIT_CALLS",
  "FETCH_FORBIDDEN",
  "FETCH_FAILED",
  "SECRET_MISSING",
  "SECRETS_UNREADABLE",
  "SECRETS_CORRUPT",
] as const satisfies readonly ErrorCode[];

/**
 * Reads the results of a batch of `max` items. They come from a process that runs user code, so nothing is taken for granted: a result that
 * is cut short, has a size out of bounds or is one too many throws, and so does one that is deferred where nothing may be.
 * @throws RangeError, SyntaxError
 */
export function decodeResults(bytes: Buffer, max: number, mayDefer = true): ItemResult[] {
  const reader = new Reader(bytes);
  const results: ItemResult[] = [];
  while (reader.more) {
    if (results.length === max) throw new RangeError(`there are more than ${max} results`);
    results.push(decodeResult(reader, mayDefer));
  }
  const last = results.findLast(({ status }) => status === "done");
  if (last?.status === "done" && last.joined === true) throw new RangeError("a result is joined with none");
  return results;
}

/** The same; undefined when the bytes make no sense. */
export function tryDecode(bytes: Buffer, max: number, mayDefer: boolean): ItemResult[] | undefined {
  try {
    return decodeResults(bytes, max, mayDefer);
  } catch {
    // What comes out of a host is not trusted; the caller treats it as a fault of the function.
    return undefined;
  }
}

/** How many of the messages have really been tried. */
export function triedOf(results: readonly ItemResult[]): number {
  let count = 0;
  for (const { status } of results) if (status !== "deferred") count++;
  return count;
}

function decodeResult(reader: Reader, mayDefer: boolean): ItemResult {
  const status = reader.u8();
  if (status === 0 || status === 4 || status === 5) {
    const answer = status === 4 ? { answer: readAnswer(reader) } : {};
    const logs = reader.list(readLog, LOGS_MAX);
    return {
      ...answer,
      status: "done",
      logs,
      effects: { state: reader.list(readState), events: reader.list(readEvent), publishes: reader.list(readPublish) },
      ...(status === 5 ? { joined: true } : {}),
    };
  }
  if (status === 1 || status === 2) {
    const length = reader.u32();
    if (length > ERROR_BYTES_MAX) throw new RangeError(`an error has ${length} bytes`);
    const error = readError(reader.text(length));
    return { status: status === 1 ? "retry" : "failed", logs: reader.list(readLog, LOGS_MAX), error };
  }
  if (status === 3 && mayDefer) return { status: "deferred" };
  throw new RangeError(`a result has status ${status}`);
}

const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e]*$/;
/** Those that say how an answer is sent are the gateway's. */
const OWN_HEADERS = /^(connection|content-length|date|keep-alive|te|trailer|transfer-encoding|upgrade)$/;

/** What a handler has answered a request with: nothing in it may reach beyond the answer itself. */
function readAnswer(reader: Reader): HttpAnswer {
  const status = reader.u16();
  if (status < 200 || status > 599) throw new RangeError(`an answer has status ${status}`);
  const length = reader.u32();
  if (length > ANSWER_HEADERS_BYTES_MAX * 2) throw new RangeError(`the headers of an answer have ${length} bytes`);
  const list: unknown = JSON.parse(reader.text(length));
  if (!Array.isArray(list) || list.length > ANSWER_HEADERS_MAX) throw new RangeError("the headers of an answer are no list, or too many");
  const headers = list.map(readHeader);
  return { status, headers, body: reader.bytes(reader.u32()) };
}

function readHeader(header: unknown): readonly [string, string] {
  const [name, value]: unknown[] = Array.isArray(header) ? header : [];
  const isHeader = typeof name === "string" && typeof value === "string" && HEADER_NAME.test(name) && HEADER_VALUE.test(value);
  if (!isHeader || OWN_HEADERS.test(name)) throw new RangeError("an answer has a header that it may not have");
  return [name, value];
}

function readLog(reader: Reader): GuestLog {
  const kind = reader.u8();
  const level = LOG_LEVELS[kind & ~WITH_FIELDS];
  const message = logText(reader);
  if (level !== undefined) return kind < WITH_FIELDS ? { level, message } : { level, message, fields: logFields(logText(reader)) };
  const leftOut = Number.parseInt(message, 10);
  if (!(leftOut > 0)) throw new RangeError("lines of a log were left out, and it is not said how many");
  return { level: "warn", message: `LIMIT_LOG: ${leftOut} more lines of this message are left out`, leftOut };
}

function logText(reader: Reader): string {
  const length = reader.u32();
  if (length > LOG_BYTES_MAX) throw new RangeError(`a log line has ${length} bytes`);
  return reader.text(length);
}

/** Written anew, so that nothing gets in that is read differently later. */
function logFields(text: string): string {
  const fields: unknown = JSON.parse(text);
  if (typeof fields !== "object" || fields === null || Array.isArray(fields))
    throw new RangeError("the fields of a log line are no object");
  return JSON.stringify(fields);
}

function readState(reader: Reader): ItemEffects["state"][number] {
  const size = reader.u16();
  const name = reader.text(size & ~SHARED);
  const length = reader.u32();
  const value = length === DELETED ? undefined : reader.bytes(length);
  if (value !== undefined && !isStored(value)) throw new RangeError("a state value is cut short");
  return size < SHARED ? { name, value } : { name, value, shared: true };
}

function readEvent(reader: Reader): ItemEffects["events"][number] {
  return { type: reader.text(reader.u16()), subject: reader.text(reader.u16()), data: reader.text(reader.u32()) };
}

/** A record that later readers can take as it is: known flags, QoS 0 to 2, and texts that end within it. */
function readPublish(reader: Reader): Buffer {
  const record = reader.record();
  const flags = record.readUInt8(4);
  const sourceAt = RECORD_HEADER_BYTES + record.readUInt16BE(RECORD_HEADER_BYTES - 2);
  const payloadAt = sourceAt + 2 + record.readUInt16BE(sourceAt);
  if (flags > 7 || (flags & 3) === 3 || payloadAt > record.length) throw new RangeError("a publish is malformed");
  return record;
}

function readError(text: string): GuestError {
  const fields: unknown = JSON.parse(text);
  const field = (name: string): string => {
    const value: unknown = typeof fields === "object" && fields !== null ? Reflect.get(fields, name) : undefined;
    return typeof value === "string" ? value : "";
  };
  const cut = (name: keyof typeof ERROR_CHARS_MAX): string => field(name).slice(0, ERROR_CHARS_MAX[name]);
  return {
    code: GUEST_CODES.find((known) => known === field("code")) ?? "FUNCTION_THREW",
    name: cut("name"),
    message: cut("message"),
    stack: cut("stack"),
  };
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get more(): boolean {
    return this.#at < this.#bytes.length;
  }
  u8(): number {
    return this.#bytes.readUInt8(this.#skip(1));
  }
  u16(): number {
    return this.#bytes.readUInt16BE(this.#skip(2));
  }
  u32(): number {
    return this.#bytes.readUInt32BE(this.#skip(4));
  }
  text(length: number): string {
    const start = this.#skip(length);
    return this.#bytes.toString("utf8", start, this.#at);
  }
  bytes(length: number): Buffer {
    const start = this.#skip(length);
    return this.#bytes.subarray(start, this.#at);
  }
  /** A record starts with its own length. */
  record(): Buffer {
    const length = this.u32();
    const start = this.#skip(length) - 4;
    return this.#bytes.subarray(start, this.#at);
  }
  list<T>(read: (reader: Reader) => T, max = 65_535): readonly T[] {
    const count = this.u16();
    if (count === 0) return NOTHING;
    if (count > max) throw new RangeError(`a list has ${count} entries`);
    const items: T[] = [];
    for (let i = 0; i < count; i++) items.push(read(this));
    return items;
  }
  #skip(length: number): number {
    const start = this.#at;
    this.#at = start + length;
    if (this.#at > this.#bytes.length) throw new RangeError("a result is cut short");
    return start;
  }
}
