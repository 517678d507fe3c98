import { MillraceError, messageOf } from "../core/errors.ts";
import { spanId, traceAttributes, traceOfProperties } from "../core/trace-context.ts";
import { decodeLevel } from "../core/trigger-topic.ts";
import { eventTopic, httpTopic, scheduleTopic, stateTopic } from "../core/trigger-filters.ts";
import type { FunctionEvent, HttpRequest, JsonValue, MqttProperties } from "./index.ts";

/** A message for a function under test. */
export interface TestMessage {
  readonly topic: string;
  /** Text and bytes are taken as they are, any other value as JSON. Default: no bytes. */
  readonly payload?: JsonValue | Uint8Array;
  /** Default 1. */
  readonly qos?: 0 | 1 | 2;
  /** Default false. */
  readonly retain?: boolean;
  readonly properties?: MqttProperties & { readonly http?: HttpRequest };
  /** Milliseconds since the epoch; default now. */
  readonly time?: number;
  /** Client id of the sender; default `test`. */
  readonly source?: string;
  /** Default 1. */
  readonly attempt?: number;
  /** Over what the trigger's wildcards stand for. */
  readonly params?: Readonly<Record<string, string>>;
}

/** A tick of a schedule. */
export interface TestTick {
  /** Of the schedule; default `default`. */
  readonly name?: string;
  /** When it was due, in milliseconds since the epoch; default now. */
  readonly due?: number;
  /** Ticks before it that were left out; default 0. */
  readonly missed?: number;
  /** Default 1. */
  readonly attempt?: number;
}

/** The message of a tick. */
export function tickMessage(functionName: string, { name = "default", due = Date.now(), missed = 0, attempt = 1 }: TestTick): TestMessage {
  const topic = scheduleTopic(functionName, name);
  const payload = { name, due: new Date(due).toISOString(), missed };
  return { topic, payload, time: due, source: "schedule", attempt, properties: { contentType: "application/json" } };
}

/** An event that another function of the gateway has emitted. */
export interface TestEmitted {
  readonly type: string;
  /** Becomes JSON. */
  readonly data: JsonValue;
  /** Default `test`. */
  readonly subject?: string;
  /** Name of the function that emitted it; default `other`. */
  readonly from?: string;
  /** Milliseconds since the epoch; default now. */
  readonly time?: number;
  /** Default 1. */
  readonly attempt?: number;
}

/** The message of an emitted event. */
export function emittedMessage(event: TestEmitted): TestMessage {
  const { type, data, subject = "test", from = "other", time = Date.now(), attempt = 1 } = event;
  const user = { specversion: "1.0", id: `test:0:${from}:0`, source: `/gateways/test/functions/${from}`, type, subject };
  const properties = { contentType: "application/json", user };
  // Text would be taken as it is, and the data of an event is JSON.
  return { topic: eventTopic(type, subject), payload: Buffer.from(JSON.stringify(data)), time, source: `fn:${from}`, attempt, properties };
}

/** A value that the function keeps was stored or deleted. */
export interface TestStateChange {
  readonly key: string;
  readonly name: string;
  /** Default false. */
  readonly deleted?: boolean;
  /** Milliseconds since the epoch; default now. */
  readonly time?: number;
  /** Default 1. */
  readonly attempt?: number;
}

/** The message of a change of state. */
export function changeMessage(functionName: string, { key, name, deleted = false, ...more }: TestStateChange): TestMessage {
  return { ...more, topic: stateTopic(functionName, key, name), payload: { key, name, deleted }, source: `fn:${functionName}` };
}

/** A request for the function. */
export interface TestRequest {
  /** Default `GET`. */
  readonly method?: string;
  /** Below `/fn`, with or without a query, such as `/device/7?full=1`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text and bytes are taken as they are, any other value as JSON. Default: no bytes. */
  readonly body?: JsonValue | Uint8Array;
  /** Milliseconds since the epoch; default now. */
  readonly time?: number;
}

/** The message of a request. */
export function requestMessage(functionName: string, { method = "GET", path, headers = {}, body, time }: TestRequest): TestMessage {
  const { pathname, searchParams } = new URL(path, "http://gateway");
  const segments = pathname.slice(1).split("/").map(decodeURIComponent);
  const query = Object.fromEntries([...new Set(searchParams.keys())].map((name) => [name, listOrOne(searchParams.getAll(name))]));
  const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const contentType = given["content-type"];
  const properties = { ...(contentType === undefined ? {} : { contentType }), http: { method, path: pathname, query, headers: given } };
  return {
    topic: httpTopic(functionName, method, segments),
    ...(body === undefined ? {} : { payload: body }),
    ...(time === undefined ? {} : { time }),
    source: "http",
    properties,
  };
}

function listOrOne(values: readonly string[]): string | readonly string[] {
  return values.length === 1 ? (values[0] ?? "") : values;
}

interface Arrival {
  readonly type: FunctionEvent["type"];
  readonly message: TestMessage;
  readonly seq: number;
  readonly params: Readonly<Record<string, string>>;
  /** Of the function. */
  readonly name: string;
}

export function createEvent<T>({ type, message, seq, params, name }: Arrival): FunctionEvent<T> {
  const bytes = payloadBytes(message.payload ?? new Uint8Array());
  const context = traceOfProperties(message.properties ?? {});
  const levels = message.topic.split("/").slice(3);
  const inside = levels.map(decodeLevel);
  const subject = type === "mqtt" ? message.topic : type === "http" ? `/${inside.slice(1).join("/")}` : inside.join("/");
  const attribute = (of: string): string | undefined => {
    const value = type === "event" ? message.properties?.user?.[of] : undefined;
    return typeof value === "string" ? value : undefined;
  };
  let decoded: { readonly data: T } | undefined;
  return {
    id: `test:${seq}`,
    source: attribute("source") ?? message.source ?? "test",
    type,
    subject,
    cloudEvent:
      type === "event"
        ? { id: attribute("id") ?? `test:${seq}`, source: attribute("source") ?? "", type: attribute("type") ?? "", subject }
        : undefined,
    time: message.time ?? Date.now(),
    http: type === "http" ? message.properties?.http : undefined,
    get data(): T {
      // What the payload holds is the author's claim, which nothing can check.
      return (decoded ??= { data: decode(this) as T }).data;
    },
    bytes,
    get text(): string {
      return new TextDecoder().decode(bytes);
    },
    params,
    mqtt: { topic: message.topic, qos: message.qos ?? 1, retain: message.retain ?? false, properties: message.properties ?? {} },
    attempt: message.attempt ?? 1,
    ...(context === undefined ? {} : { trace: traceAttributes(context, spanId("test", seq, name)) }),
  };
}

function payloadBytes(payload: JsonValue | Uint8Array): Uint8Array {
  if (payload instanceof Uint8Array) return payload;
  return new TextEncoder().encode(typeof payload === "string" ? payload : JSON.stringify(payload));
}

function decode({ text, bytes, mqtt, http }: FunctionEvent): unknown {
  const { contentType = "" } = mqtt.properties;
  if (contentType.startsWith("text/")) return text;
  if (contentType === "application/octet-stream") return bytes;
  if (http !== undefined && bytes.length === 0) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new MillraceError("PAYLOAD_INVALID", `the payload on topic "${mqtt.topic}" is not JSON: ${messageOf(cause)}`, { cause });
  }
}
