/**
 * The outbox in the database, below `o` and `x`:
 *
 *   o lane position [expires]    an event, in the encoding in which it travels; with the time at which it expires if it does
 *   x expires lane position      finds what has expired; no value
 *
 * Lane is one byte, position and time (milliseconds since the epoch) are eight, big-endian.
 */
const NUMBER_BYTES = 8;

export function eventKey(lane: number, position: number, expiresAt?: number): Buffer {
  const key = Buffer.allocUnsafe(2 + NUMBER_BYTES + (expiresAt === undefined ? 0 : NUMBER_BYTES));
  key[0] = 0x6f;
  key[1] = lane;
  key.writeBigUInt64BE(BigInt(position), 2);
  if (expiresAt !== undefined) key.writeBigUInt64BE(BigInt(expiresAt), 2 + NUMBER_BYTES);
  return key;
}

export function parseEventKey(key: Buffer): { lane: number; position: number; expiresAt?: number } {
  const lane = key.readUInt8(1);
  const position = Number(key.readBigUInt64BE(2));
  if (key.length === 2 + NUMBER_BYTES) return { lane, position };
  return { lane, position, expiresAt: Number(key.readBigUInt64BE(2 + NUMBER_BYTES)) };
}

export function expiryKey(expiresAt: number, lane: number, position: number): Buffer {
  const key = Buffer.allocUnsafe(2 + 2 * NUMBER_BYTES);
  key[0] = 0x78;
  key.writeBigUInt64BE(BigInt(expiresAt), 1);
  key[1 + NUMBER_BYTES] = lane;
  key.writeBigUInt64BE(BigInt(position), 2 + NUMBER_BYTES);
  return key;
}

export function parseExpiryKey(key: Buffer): { lane: number; position: number; expiresAt: number } {
  return {
    expiresAt: Number(key.readBigUInt64BE(1)),
    lane: key.readUInt8(1 + NUMBER_BYTES),
    position: Number(key.readBigUInt64BE(2 + NUMBER_BYTES)),
  };
}
