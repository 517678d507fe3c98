import { type MessageProperties, PROPERTIES, RECORD_HEADER_BYTES } from "./message.ts";

/** The properties of a record, as JSON; undefined when it has none. Costs next to nothing then. */
export function propertyBytes(record: Uint8Array): Buffer | undefined {
  if (((record[4] ?? 0) & PROPERTIES) === 0) return undefined;
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  const sourceAt = RECORD_HEADER_BYTES + bytes.readUInt16BE(12);
  const at = sourceAt + 2 + bytes.readUInt16BE(sourceAt);
  return bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at));
}

/** The record of the same message with these properties. It must have none. */
export function withProperties(record: Buffer, properties: MessageProperties): Buffer {
  const sourceAt = RECORD_HEADER_BYTES + record.readUInt16BE(12);
  const at = sourceAt + 2 + record.readUInt16BE(sourceAt);
  const json = Buffer.from(JSON.stringify(properties));
  const length = Buffer.allocUnsafe(2);
  length.writeUInt16BE(json.length);
  const longer = Buffer.concat([record.subarray(0, at), length, json, record.subarray(at)]);
  longer.writeUInt32BE(longer.length - 4, 0);
  longer[4] = (longer[4] ?? 0) | PROPERTIES;
  return longer;
}
