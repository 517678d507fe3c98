import { toBytes, u16, u32 } from "./guest-codec.ts";
import { storedBytes } from "./guest-stored.ts";
import { LimitError, OutsideError, PayloadError } from "./guest-values.ts";

/** Counts travel in 16 bits. */
const COUNT_MAX = 65_535;
/** Of one message. */
const LOG_LINES_MAX = 100;
const LOG_CHARS_MAX = 64 * 1024;
/** Of one line. */
const LOG_LINE_CHARS_MAX = 8 * 1024;
/** In the place of a level: the text says how many lines were left out. */
const LEFT_OUT = 4;
/** Added to the length of a name: the value belongs to the function, not to the key. */
const SHARED = 0x8000;
/** Added to a level: fields follow. */
const WITH_FIELDS = 8;
export const LEVELS = ["debug", "info", "warn", "error"] as const;

/** What one message wants so far. Dropped as a whole when its handler throws; only the log stays. */
export class Effects {
  /** Of the key of the message. */
  readonly state = new Map<string, string | undefined>();
  /** Of the function. */
  readonly shared = new Map<string, string | undefined>();
  #logs = "";
  #logCount = 0;
  #logChars = 0;
  #logsLeftOut = 0;
  #emits = "";
  #emitCount = 0;
  #publishes = "";
  #publishCount = 0;
  #bytes = 0;
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Takes a record to publish. */
  publish(record: string): void {
    this.#spend(record.length, ++this.#publishCount);
    this.#publishes += record;
  }

  /** Takes an event, already laid out. */
  emit(event: string): void {
    this.#spend(event.length, ++this.#emitCount);
    this.#emits += event;
  }

  /** Takes a state value, as it is stored; undefined deletes. `written` is one of the two above. */
  write(written: Map<string, string | undefined>, name: string, value: string | undefined): void {
    this.#spend(name.length + (value?.length ?? 0), this.state.size + this.shared.size);
    written.set(name, value);
  }

  #spend(bytes: number, count: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#bytesMax) throw new LimitError("LIMIT_OUTPUT", `one message produced more than ${this.#bytesMax} bytes`);
    if (count > COUNT_MAX) throw new LimitError("LIMIT_OUTPUT", `one message produced more than ${COUNT_MAX} effects of a kind`);
  }

  /** `fields` are kept as they are when they are an object; anything else is more text. */
  log(level: number, values: readonly unknown[], fields?: unknown): void {
    if (this.#logCount >= LOG_LINES_MAX || this.#logChars >= LOG_CHARS_MAX) {
      this.#logsLeftOut++;
      return;
    }
    const object = fields === undefined ? undefined : jsonObject(fields);
    const text = (fields === undefined || object !== undefined ? values : [...values, fields]).map(printable).join(" ");
    const room = Math.min(LOG_LINE_CHARS_MAX, LOG_CHARS_MAX - this.#logChars);
    const missing = text.length - room;
    const line = missing <= 0 ? text : `${text.slice(0, room)} … (LIMIT_LOG: ${missing} more characters are left out)`;
    this.#logChars += Math.min(text.length, room);
    if (object === undefined) {
      this.#line(level, line);
      return;
    }
    const fits = object.length <= room;
    this.#line(level, line, fits ? object : `{"LIMIT_LOG":"${object.length} characters of fields are left out"}`);
    if (fits) this.#logChars += object.length;
  }

  #line(level: number, text: string, fields?: string): void {
    const bytes = toBytes(text);
    const more = fields === undefined ? "" : toBytes(fields);
    this.#logs += String.fromCharCode(fields === undefined ? level : level + WITH_FIELDS) + u32(bytes.length) + bytes;
    if (fields !== undefined) this.#logs += u32(more.length) + more;
    this.#logCount++;
  }

  /** What the message has logged; it can log no more. */
  encodeLogs(): string {
    if (this.#logsLeftOut > 0) this.#line(LEFT_OUT, String(this.#logsLeftOut));
    this.#logsLeftOut = 0;
    return u16(this.#logCount) + this.#logs;
  }

  /** With what the handler has answered, see guest-answer.ts; that counts as output. */
  encodeAnswered(answer: string): string {
    return `\x04${answer}${this.encode().slice(1)}`;
  }

  /** Makes sure that an answer is not too much, too. */
  answered(answer: string): string {
    this.#spend(answer.length, 1);
    return answer;
  }

  encode(): string {
    const state = encodeState(this.state, 0) + encodeState(this.shared, SHARED);
    const events = u16(this.#emitCount) + this.#emits;
    const publishes = u16(this.#publishCount) + this.#publishes;
    return `\0${this.encodeLogs()}${u16(this.state.size + this.shared.size)}${state}${events}${publishes}`;
  }
}

function encodeState(written: ReadonlyMap<string, string | undefined>, mark: number): string {
  let state = "";
  for (const [name, value] of written) {
    const at = toBytes(name);
    const bytes = value === undefined ? "" : storedBytes(value);
    state += u16(mark | at.length) + at + (value === undefined ? "\xff\xff\xff\xff" : u32(bytes.length) + bytes);
  }
  return state;
}

/** The JSON of an object that is no list and no error; undefined for everything else. */
function jsonObject(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || value instanceof Error) return undefined;
  try {
    const text = JSON.stringify(value);
    return text?.startsWith("{") ? text : undefined;
  } catch {
    return undefined; // It is shown as text, which says that it cannot be.
  }
}

export function printable(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return ownFrames(value.stack ?? String(value));
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return "[unprintable]";
  }
}

/** One result with an error: `status` 1 is retried, 2 is not. */
export function encodeFailure(error: unknown, effects: Effects): string {
  let [code, name, message, stack] = ["FUNCTION_THREW", "Error", "", ""];
  let mayPass = false;
  try {
    const thrown = typeof error === "object" && error !== null ? error : { message: printable(error) };
    name = "name" in thrown ? String(thrown.name) : name;
    message = "message" in thrown ? String(thrown.message) : printable(thrown);
    stack = "stack" in thrown ? String(thrown.stack) : stack;
    if (thrown instanceof PayloadError || thrown instanceof LimitError || thrown instanceof OutsideError) code = thrown.code;
    mayPass = thrown instanceof OutsideError;
  } catch {
    message = "the thrown value cannot be read";
  }
  const status = name === "PermanentError" || (code !== "FUNCTION_THREW" && !mayPass) ? "\x02" : "\x01";
  const bytes = toBytes(JSON.stringify({ code, name: name.slice(0, 200), message: message.slice(0, 4000), stack: ownFrames(stack) }));
  return `${status}${u32(bytes.length)}${bytes}${effects.encodeLogs()}`;
}

/** The stack without the frames of this module. */
function ownFrames(stack: string): string {
  const lines = stack.split("\n").filter((line) => !line.includes("<isolated-vm>"));
  return lines.join("\n").slice(0, 8000);
}
