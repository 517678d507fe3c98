import { hash } from "node:crypto";
import type { MessageProperties } from "./message.ts";

/**
 * W3C Trace Context (https://www.w3.org/TR/trace-context/): which trace something belongs to, and what in that trace caused it. In MQTT it travels in
 * the user properties `traceparent` and `tracestate`, in CloudEvents in the attributes of the same names.
 */
export interface TraceContext {
  /** 32 hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** What caused it, 16 hexadecimal digits, not all zero. */
  readonly parentId: string;
  /** Of the flags those that are known: 1 is sampled, 2 says that the trace id is random. */
  readonly flags: number;
  /** What tracing systems say for themselves, at most 512 characters. */
  readonly tracestate?: string;
}

/** How it is written on the wire. */
export interface TraceAttributes {
  readonly traceparent: string;
  readonly tracestate?: string;
}

export const TRACESTATE_CHARS_MAX = 512;
/** Of one user property that is looked at: far above what is kept. */
const TRACESTATE_CHARS_READ_MAX = 8_192;
const TRACESTATE_MEMBERS_MAX = 32;
/** Longer members go first when there is too much. */
const LONG_MEMBER_CHARS = 128;
const SAMPLED = 1;
const KNOWN_FLAGS = 3;

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/s;
const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/;
const MEMBER = /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

export function isTraceId(text: string): boolean {
  return TRACE_ID.test(text);
}

/**
 * Undefined for what is to be ignored (section 3.2.2): upper case, ids that are all zero, version ff, anything behind the flags of version 00. Of
 * a later version the beginning is read as if it were version 00 (section 4.3).
 */
export function parseTraceparent(text: string): TraceContext | undefined {
  const [, version, traceId = "", parentId = "", flags = "", rest] = TRACEPARENT.exec(text) ?? [];
  if (version === undefined || version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (!isTraceId(traceId) || /^0+$/.test(parentId)) return undefined;
  return { traceId, parentId, flags: Number.parseInt(flags, 16) & KNOWN_FLAGS };
}

/** The members in their order, as many as fit; undefined when it is none and so has to be dropped as a whole (section 3.3.1). */
export function parseTracestate(text: string): string | undefined {
  if (text.length > TRACESTATE_CHARS_READ_MAX) return undefined;
  const members = text
    .split(",")
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((member) => member !== "");
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf("="))));
  if (members.length === 0 || members.length > TRACESTATE_MEMBERS_MAX || keys.size < members.length) return undefined;
  return members.every((member) => MEMBER.test(member)) ? fitting(members) : undefined;
}

/** Whole members are left out, long ones first, and those at the end, which are the oldest (section 3.3.1.5). */
function fitting(members: readonly string[]): string | undefined {
  const kept = [...members];
  while (kept.join(",").length > TRACESTATE_CHARS_MAX) {
    const long = kept.findLastIndex((member) => member.length > LONG_MEMBER_CHARS);
    kept.splice(long === -1 ? kept.length - 1 : long, 1);
  }
  return kept.length === 0 ? undefined : kept.join(",");
}

/** The trace that the sender of a message named; undefined when it named none, or one that is to be ignored. */
export function traceOfProperties({ user }: MessageProperties): TraceContext | undefined {
  const text = propertyOf(user, "traceparent");
  // Twice is once too often: it is not known which one is meant.
  const context = typeof text === "string" ? parseTraceparent(text) : undefined;
  if (context === undefined) return undefined;
  const state = propertyOf(user, "tracestate");
  const tracestate = state === undefined ? undefined : parseTracestate(typeof state === "string" ? state : state.join(","));
  return tracestate === undefined ? context : { ...context, tracestate };
}

function propertyOf(user: MessageProperties["user"], name: string): string | readonly string[] | undefined {
  return user !== undefined && Object.hasOwn(user, name) ? user[name] : undefined;
}

export function isSampled({ flags }: TraceContext): boolean {
  return (flags & SAMPLED) !== 0;
}

/** Names the handling of a message by a function in its trace; the same however often that is tried. */
export function spanId(gateway: string, seq: number, functionName: string): string {
  const id = hash("sha256", `${gateway}:${seq}:${functionName}`, "hex").slice(0, 16);
  return /^0+$/.test(id) ? "0000000000000001" : id;
}

/** What is caused by the handling that `span` names says so. */
export function traceAttributes({ traceId, flags, tracestate }: TraceContext, span: string): TraceAttributes {
  const traceparent = `00-${traceId}-${span}-${flags.toString(16).padStart(2, "0")}`;
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
}
