/**
 * Where the journal keeps what became of messages:
 *
 *   t seq function NUL try    what one try of a message came to
 *   u trace id seq            which messages of a W3C trace something was kept of
 *
 * Seq is eight bytes, try four, both big-endian; a trace id is sixteen bytes.
 */
const SEQ_BYTES = 8;
const RECORD = Buffer.from("t");
const TRACE = Buffer.from("u");

export function traceKey(seq: number, functionName: string, attempt: number): Buffer {
  const end = Buffer.alloc(5);
  end.writeUInt32BE(attempt, 1);
  return Buffer.concat([RECORD, seqBytes(seq), Buffer.from(functionName), end]);
}

/** Everything that was kept of one message. */
export function traceRange(seq: number): { gte: Buffer; lt: Buffer } {
  return { gte: Buffer.concat([RECORD, seqBytes(seq)]), lt: Buffer.concat([RECORD, seqBytes(seq + 1)]) };
}

export function traceIdKey(traceId: string, seq: number): Buffer {
  return Buffer.concat([TRACE, Buffer.from(traceId, "hex"), seqBytes(seq)]);
}

/** All messages of one trace. */
export function traceIdRange(traceId: string): { gte: Buffer; lt: Buffer } {
  const gte = traceIdKey(traceId, 0);
  return { gte, lt: Buffer.concat([gte.subarray(0, -SEQ_BYTES), Buffer.alloc(SEQ_BYTES, 0xff)]) };
}

function seqBytes(seq: number): Buffer {
  const bytes = Buffer.allocUnsafe(SEQ_BYTES);
  bytes.writeBigUInt64BE(BigInt(seq));
  return bytes;
}
