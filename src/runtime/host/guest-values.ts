import { toBytes } from "./guest-codec.ts";

export class PayloadError extends Error {
  override name = "PayloadError";
  readonly code = "PAYLOAD_INVALID";
}

export class LimitError extends Error {
  override name = "LimitError";
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The gateway could not do what it was asked for; another try may help. */
export class OutsideError extends TypeError {
  override name = "OutsideError";
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Any value a function may hand over → bytes: text as UTF-8, binary as it is, everything else as JSON. */
export function payloadBytes(value: unknown): string {
  if (typeof value === "string") return toBytes(value);
  if (value instanceof ArrayBuffer) return binary(new Uint8Array(value));
  if (ArrayBuffer.isView(value)) return binary(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  return toBytes(jsonOf(value));
}

export function jsonOf(value: unknown): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new TypeError("the value cannot be written as JSON");
  return text;
}

function binary(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

export function filterMatches(filter: string, topic: string): boolean {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === "#") return true;
    if (i >= levels.length || (wanted[i] !== levels[i] && !wanted[i]?.startsWith("+"))) return false;
  }
  return wanted.length === levels.length;
}
