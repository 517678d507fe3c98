import type { OutboxRule } from "./outbox-rules.ts";

/**
 * A normalized fact for the cloud, in the attributes of CloudEvents 1.0. `data` stays the JSON text that the function produced until the
 * control plane parses it: the gateway neither trusts nor pays for it.
 */
export interface OutboxEvent {
  /** Derived from what caused it, never counted: see `eventId`. */
  readonly id: string;
  readonly function: string;
  /** Number of the version that emitted it. */
  readonly version: number;
  readonly type: string;
  readonly subject: string;
  /** Milliseconds since the epoch: the time of the message, not of its handling. */
  readonly time: number;
  /** JSON text. */
  readonly data: string;
  /** The trace of the message that caused it, when it had one, with the handling of that message as parent (W3C Trace Context). */
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

/** An event as a function emits it. */
export interface EmittedEvent extends OutboxEvent {
  /** How it waits; the default rule without it. */
  readonly rule?: OutboxRule;
  /** Is told the key under which the outbox has taken it. */
  placed?: (key: Buffer) => void;
}

/** A stored event as the control plane's API returns it: CloudEvents 1.0 in JSON, with Millrace's extension attributes. */
export interface CloudEvent {
  readonly specversion: "1.0";
  readonly id: string;
  /** `/gateways/GATEWAY/functions/FUNCTION` */
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  /** RFC 3339. */
  readonly time: string;
  readonly datacontenttype: "application/json";
  readonly data: unknown;
  readonly gateway: string;
  readonly function: string;
  readonly functionversion: number;
  /** The extension for distributed tracing: of events whose message named a trace. */
  readonly traceparent?: string;
  readonly tracestate?: string;
  /** Position in the control plane's store; `after` of the next page. */
  readonly position: number;
}

/** One measurement in the field names of SenML (RFC 8428, section 4): name, unit, value, time in seconds since the epoch. */
export interface Measurement {
  readonly n: string;
  readonly u?: string;
  readonly v?: number;
  readonly vs?: string;
  readonly vb?: boolean;
  readonly t?: number;
}

/** The same message handled again yields the same id, so the cloud stores the event once however often it is sent. */
export function eventId(gateway: string, seq: number, functionName: string, index: number): string {
  return `${gateway}:${seq}:${functionName}:${index}`;
}

/** The place of the event that `onFailure` wants: behind all those that a handler can emit, so that it never takes the id of one of them. */
export const FAILURE_INDEX = 65_535;

const ID_NUMBERS = /^(0|[1-9]\d{0,15}):(.*):(0|[1-9]\d{0,8})$/s;

/** The numbers in an id that `eventId` made for this gateway and this function; undefined for any other text. */
export function parseEventId(
  gateway: string,
  event: { readonly id: string; readonly function: string },
): { seq: number; index: number } | undefined {
  if (!event.id.startsWith(`${gateway}:`)) return undefined;
  const match = ID_NUMBERS.exec(event.id.slice(gateway.length + 1));
  const seq = Number(match?.[1]);
  return match?.[2] === event.function && Number.isSafeInteger(seq) ? { seq, index: Number(match[3]) } : undefined;
}
