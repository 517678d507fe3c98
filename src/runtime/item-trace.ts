import type { MessageProperties } from "../core/message.ts";
import { propertyBytes } from "../core/message-properties.ts";
import { spanId, traceAttributes, type TraceAttributes, type TraceContext, traceOfProperties } from "../core/trace-context.ts";

const NAME = Buffer.from('"traceparent"');

/** The trace of the message of an item. */
export interface ItemTrace {
  /** As the message has it. */
  readonly context: TraceContext;
  /** Names the handling of the message by the function. */
  readonly span: string;
  /** What everything says that comes of it. */
  readonly attributes: TraceAttributes;
  /** The same for a host, see host/frames.ts. */
  readonly bytes: Buffer;
}

/** Who handles a message. */
export interface Handler {
  readonly gateway: string;
  /** Of the function. */
  readonly name: string;
}

/** The trace of a message for whoever handles it. Without properties that costs the look at one byte. */
export function findTrace({ seq, record }: { readonly seq: number; readonly record: Uint8Array }, of: Handler): ItemTrace | undefined {
  const properties = propertyBytes(record);
  if (properties === undefined || !properties.includes(NAME)) return undefined;
  const context = traceOfProperties(JSON.parse(properties.toString()) as MessageProperties);
  if (context === undefined) return undefined;
  const span = spanId(of.gateway, seq, of.name);
  const attributes = traceAttributes(context, span);
  return { context, span, attributes, bytes: encode(attributes) };
}

function encode({ traceparent, tracestate }: TraceAttributes): Buffer {
  const text = Buffer.from(tracestate === undefined ? traceparent : `${traceparent}\n${tracestate}`);
  const length = Buffer.allocUnsafe(2);
  length.writeUInt16BE(text.length);
  return Buffer.concat([length, text]);
}
