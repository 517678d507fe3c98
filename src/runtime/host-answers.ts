import { decodeResults, type GuestLog } from "./effects.ts";
import type { Fault, StartTimes } from "./host/frames.ts";

/** Keys that one request for state may name; a host lets no more through in a batch. */
const STATE_KEYS_MAX = 2_048;
/** Of what a person is told of a fault, in characters. A host says less, and code that it could not load may be what says it. */
const FAULT_CHARS_MAX = 8_192;

/** @throws RangeError, SyntaxError when it is not a fault */
export function parseFault(text: string): Fault {
  const fault: unknown = JSON.parse(text);
  const field = (name: string): unknown => (typeof fault === "object" && fault !== null ? Reflect.get(fault, name) : undefined);
  const [code, message] = [field("code"), field("message")];
  if (typeof code !== "string" || typeof message !== "string") throw new RangeError("a fault has no code or no message");
  return { code, message: message.slice(0, FAULT_CHARS_MAX) };
}

/** How the making of an instance ended: JSON, and what `init` has logged. @throws RangeError, SyntaxError when it is laid out otherwise */
export function parseStart(body: Buffer): { readonly json: string; readonly logs: readonly GuestLog[] } {
  const end = 4 + body.readUInt32BE(0);
  if (end > body.length) throw new RangeError("the end of a start is cut short");
  const [result] = decodeResults(body.subarray(end), 1, false);
  return { json: body.toString("utf8", 4, end), logs: result === undefined || result.status === "deferred" ? [] : result.logs };
}

/** @throws RangeError, SyntaxError when it does not say how an instance was started */
export function parseStartTimes(text: string): StartTimes {
  const times: unknown = JSON.parse(text);
  const field = (name: string): unknown => (typeof times === "object" && times !== null ? Reflect.get(times, name) : undefined);
  const ms = (name: string): number => {
    const value = field(name);
    if (typeof value !== "number" || !(value >= 0)) throw new RangeError(`${name} of a start is not a time`);
    return value;
  };
  return {
    isolateMs: ms("isolateMs"),
    compileMs: ms("compileMs"),
    initMs: ms("initMs"),
    pooled: field("pooled") === true,
    cached: field("cached") === true,
  };
}

/** @throws RangeError, SyntaxError when it is not a list of keys */
export function parseKeys(text: string): string[] {
  const keys: unknown = JSON.parse(text);
  if (!Array.isArray(keys) || keys.length > STATE_KEYS_MAX) throw new RangeError("a request for state is not a list of keys");
  return keys.map((key: unknown) => {
    if (typeof key !== "string" || key.includes("\0")) throw new RangeError("a key is not a text without NUL");
    return key;
  });
}
