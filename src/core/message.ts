import type { HttpDetails } from "./http-call.ts";

/**
 * A message as it stands in the journal and travels to a host: one record, all integers big-endian.
 *
 *   u32 length of what follows · u8 flags · u8 hops · u48 time (ms since the epoch) · u16 topic bytes · topic · u16 source bytes · source
 *   · [u16 property bytes · properties as JSON] · payload to the end
 *
 * flags: bits 0–1 QoS, bit 2 retain, bit 3 properties present.
 */
export interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** When it arrived, in milliseconds since the epoch. */
  readonly time: number;
  /** The client id that published it, or `fn:NAME` for a function. */
  readonly source: string;
  /** How many functions it came through: 0 from outside, one more for each function whose publish caused it. */
  readonly hops: number;
  readonly properties?: MessageProperties;
}

/** The MQTT 5 properties of a PUBLISH that a function may read (MQTT 5, 3.3.2.3), and what takes their place for other messages. */
export interface MessageProperties {
  readonly contentType?: string;
  readonly responseTopic?: string;
  /** Base64. */
  readonly correlationData?: string;
  readonly user?: Readonly<Record<string, string | readonly string[]>>;
  /** Of a request. */
  readonly http?: HttpDetails;
}

/** A message with its place in the journal and its encoded form, which is handed on as it is. */
export interface JournaledMessage {
  readonly seq: number;
  readonly topic: string;
  readonly time: number;
  readonly hops: number;
  readonly record: Uint8Array;
  /** It is on no disk and cannot be read again: whoever does not take it when it is announced misses it. */
  readonly volatile?: true;
}

export const RECORD_HEADER_BYTES = 14;
/** As JSON. */
export const PROPERTIES_BYTES_MAX = 65_535;
const RETAIN = 4;
/** The flag of a record that has properties. */
export const PROPERTIES = 8;

export function encodeMessage(message: Message): Buffer {
  const topicBytes = Buffer.byteLength(message.topic);
  const sourceBytes = Buffer.byteLength(message.source);
  const properties = message.properties === undefined ? undefined : Buffer.from(JSON.stringify(message.properties));
  const head = RECORD_HEADER_BYTES + topicBytes + 2 + sourceBytes + (properties === undefined ? 0 : 2 + properties.length);
  const record = Buffer.allocUnsafe(head + message.payload.length);
  record.writeUInt32BE(record.length - 4, 0);
  record[4] = message.qos | (message.retain ? RETAIN : 0) | (properties === undefined ? 0 : PROPERTIES);
  record[5] = Math.min(message.hops, 255);
  record.writeUIntBE(message.time, 6, 6);
  record.writeUInt16BE(topicBytes, 12);
  let at = RECORD_HEADER_BYTES;
  at += record.write(message.topic, at, "utf8");
  at = record.writeUInt16BE(sourceBytes, at);
  at += record.write(message.source, at, "utf8");
  if (properties !== undefined) {
    at = record.writeUInt16BE(properties.length, at);
    at += properties.copy(record, at);
  }
  record.set(message.payload, at);
  return record;
}

/** The fields of a record that routing needs, without decoding the rest. `at` is where the record starts in `bytes`. */
export function peekMessage(bytes: Buffer, at: number): { topic: string; time: number; hops: number; end: number } {
  const topicBytes = bytes.readUInt16BE(at + 12);
  const start = at + RECORD_HEADER_BYTES;
  return {
    topic: bytes.toString("utf8", start, start + topicBytes),
    time: bytes.readUIntBE(at + 6, 6),
    hops: bytes[at + 5] ?? 0,
    end: at + 4 + bytes.readUInt32BE(at),
  };
}

/** Where in a record the parts are that a delivery needs, without decoding the rest. */
export function locateMessage(record: Buffer): { topicAt: number; topicEnd: number; payloadAt: number; qos: 0 | 1 | 2; retain: boolean } {
  const topicEnd = RECORD_HEADER_BYTES + record.readUInt16BE(12);
  const propertiesAt = topicEnd + 2 + record.readUInt16BE(topicEnd);
  const flags = record[4] ?? 0;
  const payloadAt = (flags & PROPERTIES) === 0 ? propertiesAt : propertiesAt + 2 + record.readUInt16BE(propertiesAt);
  return { topicAt: RECORD_HEADER_BYTES, topicEnd, payloadAt, qos: (flags & 3) as 0 | 1 | 2, retain: (flags & RETAIN) !== 0 };
}

/** The payload is a view on `record`, not a copy. */
export function decodeMessage(record: Uint8Array): Message {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  const { topic, time, hops, end } = peekMessage(bytes, 0);
  const flags = bytes[4] ?? 0;
  let at = RECORD_HEADER_BYTES + bytes.readUInt16BE(12);
  const sourceBytes = bytes.readUInt16BE(at);
  const source = bytes.toString("utf8", at + 2, at + 2 + sourceBytes);
  at += 2 + sourceBytes;
  let properties: MessageProperties | undefined;
  if ((flags & PROPERTIES) !== 0) {
    const length = bytes.readUInt16BE(at);
    properties = JSON.parse(bytes.toString("utf8", at + 2, at + 2 + length)) as MessageProperties;
    at += 2 + length;
  }
  return {
    topic,
    time,
    hops,
    source,
    qos: (flags & 3) as 0 | 1 | 2,
    retain: (flags & RETAIN) !== 0,
    payload: bytes.subarray(at, end),
    ...(properties === undefined ? {} : { properties }),
  };
}
