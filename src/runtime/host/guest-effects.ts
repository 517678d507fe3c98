import { toBytes, u16, u32 } from "./guest-codec.ts";
import { effectsMaxOf } from "./guest-effect-limit.ts";
import { storedBytes } from "./guest-stored.ts";
import { LimitError, OutsideError, PayloadError } from "./guest-values.ts";

/** Counts travel in 16 bits, and what a message stores may need a mark for its key and one for what all keys share. */
const COUNT_MAX = 65_535;
const STATE_COUNT_MAX = COUNT_MAX - 2;
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

/** What one call of a handler has used of its limits. */
export interface Spent {
  /** That are handled in it. */
  readonly messages: number;
  bytes: number;
  effects: number;
  emits: number;
  publishes: number;
  logLines: number;
  logChars: number;
}

export function nothingSpent(messages = 1): Spent {
  return { messages, bytes: 0, effects: 0, emits: 0, publishes: 0, logLines: 0, logChars: 0 };
}

/** What one message wants so far. Dropped as a whole when its handler throws; only the log stays. */
export class Effects {
  /** Of the key of the message. */
  readonly state: Map<string, string | undefined>;
  /** Of the function. */
  readonly shared: Map<string, string | undefined>;
  readonly #spent: Spent;
  #logs = "";
  #logCount = 0;
  #logsLeftOut = 0;
  #emits = "";
  #emitCount = 0;
  #publishes = "";
  #publishCount = 0;
  readonly #bytesMax: number;

  /** Messages that are handled in one call have their limits together, and those of one key what they write. */
  constructor(bytesMax: number, spent = nothingSpent(), written: Partial<Pick<Effects, "state" | "shared">> = {}) {
    this.#bytesMax = bytesMax;
    this.#spent = spent;
    this.state = written.state ?? new Map<string, string | undefined>();
    this.shared = written.shared ?? new Map<string, string | undefined>();
  }

  /** Takes a record to publish. */
  publish(record: string): void {
    this.#spend(record.length, { effects: 1, count: this.#spent.publishes + 1 });
    this.#spent.publishes++;
    this.#publishes += record;
    this.#publishCount++;
  }

  /** Takes an event, already laid out. */
  emit(event: string): void {
    this.#spend(event.length, { effects: 1, count: this.#spent.emits + 1 });
    this.#spent.emits++;
    this.#emits += event;
    this.#emitCount++;
  }

  /** Takes a state value, as it is stored; undefined deletes. `written` is one of the two above. */
  write(written: Map<string, string | undefined>, name: string, value: string | undefined): void {
    this.#spend(name.length + (value?.length ?? 0), { effects: written.has(name) ? 0 : 1 });
    written.set(name, value);
    this.#checkState();
  }

  /** Takes what the state had to become before the message was handled; it does not count as output of the message. `written` as above. */
  adopt(written: Map<string, string | undefined>, writes: ReadonlyMap<string, string | undefined>): void {
    for (const [name, value] of writes) written.set(name, value);
    this.#checkState();
  }

  #checkState(): void {
    if (this.state.size + this.shared.size > STATE_COUNT_MAX) throw tooMany(STATE_COUNT_MAX);
  }

  #spend(bytes: number, { effects, count = 0 }: { readonly effects: number; readonly count?: number }): void {
    this.#spent.bytes += bytes;
    this.#spent.effects += effects;
    if (this.#spent.bytes > this.#bytesMax) throw new LimitError("LIMIT_OUTPUT", `one message produced more than ${this.#bytesMax} bytes`);
    const effectsMax = effectsMaxOf(this.#bytesMax) * this.#spent.messages;
    if (this.#spent.effects > effectsMax) throw tooMany(effectsMax);
    if (count > COUNT_MAX) throw tooMany(COUNT_MAX);
  }

  /** `fields` are kept as they are when they are an object; anything else is more text. */
  log(level: number, values: readonly unknown[], fields?: unknown): void {
    if (this.#spent.logLines >= LOG_LINES_MAX || this.#spent.logChars >= LOG_CHARS_MAX) {
      this.#logsLeftOut++;
      return;
    }
    const object = fields === undefined ? undefined : jsonObject(fields);
    const text = (fields === undefined || object !== undefined ? values : [...values, fields]).map(printable).join(" ");
    const room = Math.min(LOG_LINE_CHARS_MAX, LOG_CHARS_MAX - this.#spent.logChars);
    const missing = text.length - room;
    const line = missing <= 0 ? text : `${text.slice(0, room)} \u2026 (LIMIT_LOG: ${missing} more characters are left out)`;
    this.#spent.logLines++;
    this.#spent.logChars += Math.min(text.length, room);
    if (object === undefined) {
      this.#line(level, line);
      return;
    }
    const fits = object.length <= room;
    this.#line(level, line, fits ? object : `{"LIMIT_LOG":"${object.length} characters of fields are left out"}`);
    if (fits) this.#spent.logChars += object.length;
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
    this.#spend(answer.length, { effects: 0 });
    return answer;
  }

  /** Takes over what was logged there, before its own. */
  addLogs(other: Effects): void {
    this.#logs = other.#logs + this.#logs;
    this.#logCount += other.#logCount;
    this.#logsLeftOut += other.#logsLeftOut;
  }

  /** Takes over what is published and emitted there, behind its own. */
  addOutlets(other: Effects): void {
    this.#emits += other.#emits;
    this.#emitCount += other.#emitCount;
    this.#publishes += other.#publishes;
    this.#publishCount += other.#publishCount;
  }

  /** `joined`: it counts only with the next result that is not joined. Without `state` or `shared` what was written there goes with another message. */
  encode({ joined = false, state: withState = true, shared: withShared = true } = {}): string {
    const own = withState ? encodeState(this.state, 0) : "";
    const shared = withShared ? encodeState(this.shared, SHARED) : "";
    const count = (withState ? this.state.size : 0) + (withShared ? this.shared.size : 0);
    const events = u16(this.#emitCount) + this.#emits;
    const publishes = u16(this.#publishCount) + this.#publishes;
    return `${joined ? "\x05" : "\0"}${this.encodeLogs()}${u16(count)}${own}${shared}${events}${publishes}`;
  }
}

function tooMany(max: number): LimitError {
  const message = `one message produced more than ${max} publishes, events and stored values; limits.output allows one for each KB`;
  return new LimitError("LIMIT_OUTPUT", message);
}

export type GuestLog = Record<string, (message: unknown, fields?: unknown) => void>;

export function logOf(effects: Effects): GuestLog {
  const log: GuestLog = {};
  LEVELS.forEach((level, index) => {
    log[level] = (message, fields) => effects.log(index, [message], fields);
  });
  return log;
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
