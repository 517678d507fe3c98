import { isTraceId, parseTraceparent } from "./trace-context.ts";

/** What can be followed: a message, one try of it, the handling that emitted an event, or everything of a W3C trace. */
export type TraceRef =
  | { readonly kind: "message"; readonly gateway?: string; readonly seq: number }
  | { readonly kind: "invocation"; readonly gateway?: string; readonly seq: number; readonly attempt: number }
  | { readonly kind: "event"; readonly gateway: string; readonly seq: number; readonly function: string; readonly index: number }
  | { readonly kind: "trace"; readonly traceId: string };

/** For the text of an error. */
export const TRACE_REF_FORMS =
  "a message (GATEWAY:SEQ or SEQ), an invocation (SEQ.ATTEMPT), an event (GATEWAY:SEQ:FUNCTION:INDEX) or a W3C trace id (32 hexadecimal digits)";

const GATEWAY = String.raw`(?:(?<gateway>[A-Za-z0-9][A-Za-z0-9_.-]{0,63}):)?`;
const MESSAGE = new RegExp(`^#?${GATEWAY}(?<seq>\\d{1,15})(?:\\.(?<attempt>[1-9]\\d{0,8}))?$`);
const EVENT = /^(?<gateway>[^:]{1,64}):(?<seq>\d{1,15}):(?<name>[^:]{1,64}):(?<index>\d{1,9})$/;

/** Undefined when the text is none of `TRACE_REF_FORMS`. A whole `traceparent` stands for its trace. */
export function parseTraceRef(text: string): TraceRef | undefined {
  if (isTraceId(text)) return { kind: "trace", traceId: text };
  const context = parseTraceparent(text);
  if (context !== undefined) return { kind: "trace", traceId: context.traceId };
  const event = EVENT.exec(text)?.groups;
  if (event !== undefined) {
    const { gateway = "", seq, name = "", index } = event;
    return { kind: "event", gateway, seq: Number(seq), function: name, index: Number(index) };
  }
  const message = MESSAGE.exec(text)?.groups;
  if (message === undefined) return undefined;
  const about = { ...(message["gateway"] === undefined ? {} : { gateway: message["gateway"] }), seq: Number(message["seq"]) };
  if (message["attempt"] === undefined) return { kind: "message", ...about };
  return { kind: "invocation", ...about, attempt: Number(message["attempt"]) };
}
