import { MillraceError, messageOf } from "../core/errors.ts";
import { spanId, traceAttributes, traceOfProperties } from "../core/trace-context.ts";
import type { FunctionEvent, JsonValue, MqttProperties } from "./index.ts";

/** A message for a function under test. */
export interface TestMessage {
  readonly topic: string;
  /** Text and bytes are taken as they are, any other value as JSON. Default: no bytes. */
  readonly payload?: JsonValue | Uint8Array;
  /** Default 1. */
  readonly qos?: 0 | 1 | 2;
  /** Default false. */
  readonly retain?: boolean;
  readonly properties?: MqttProperties;
  /** Milliseconds since the epoch; default now. */
  readonly time?: number;
  /** Client id of the sender; default `test`. */
  readonly source?: string;
  /** Default 1. */
  readonly attempt?: number;
  /** Over what the trigger's wildcards stand for. */
  readonly params?: Readonly<Record<string, string>>;
}

interface Arrival {
  readonly message: TestMessage;
  readonly seq: number;
  readonly params: Readonly<Record<string, string>>;
  /** Of the function. */
  readonly name: string;
}

export function createEvent<T>({ message, seq, params, name }: Arrival): FunctionEvent<T> {
  const bytes = payloadBytes(message.payload ?? new Uint8Array());
  const context = traceOfProperties(message.properties ?? {});
  let decoded: { readonly data: T } | undefined;
  return {
    id: `test:${seq}`,
    source: message.source ?? "test",
    type: "mqtt",
    subject: message.topic,
    time: message.time ?? Date.now(),
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

function decode({ text, bytes, mqtt }: FunctionEvent): unknown {
  const { contentType = "" } = mqtt.properties;
  if (contentType.startsWith("text/")) return text;
  if (contentType === "application/octet-stream") return bytes;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new MillraceError("PAYLOAD_INVALID", `the payload on topic "${mqtt.topic}" is not JSON: ${messageOf(cause)}`, { cause });
  }
}
