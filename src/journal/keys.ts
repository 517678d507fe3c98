/**
 * One LevelDB holds everything that is committed together. The first byte of a key says what it is; numbers are big-endian, so that keys
 * sort by them; text is UTF-8 and ends with NUL where something follows. NUL is in no topic, client id or function name.
 *
 *   j seq        a block: the records of consecutive messages, the first of which has this seq
 *   i seq        what the index of times and bytes says of the segment that begins with this block
 *   c function   its cursor
 *   f function   which version runs, and from which seq on
 *   s function NUL key NUL name    a state value, see core/state-value.ts
 *   e function NUL due key NUL name    where a value that expires is looked for when it is due
 *   o lane position, x time lane position    the outbox, see outbox-keys.ts
 *   p number     publishes that the broker has not been handed yet
 *   d function NUL seq             a dead letter
 *   q client NUL packet id         a QoS 2 message that is journaled and not released yet
 *   k function NUL mark            that a message with some idempotency key was handled: its time and seq
 *   t function NUL name            how far a schedule of it has come
 *   h s time, h h time function    what functions have used: samples, and totals of hours
 *   t seq …, u trace id …          what became of some messages, see trace-keys.ts
 *   m name       facts about the journal itself
 */
const NUL = Buffer.from([0]);

export function numberKey(kind: "i" | "j" | "p", value: number): Buffer {
  const key = Buffer.allocUnsafe(9);
  key[0] = kind.charCodeAt(0);
  key.writeBigUInt64BE(BigInt(value), 1);
  return key;
}

/** The seq, position or number at the end of a key. */
export function numberOf(key: Uint8Array): number {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  return Number(bytes.readBigUInt64BE(bytes.length - 8));
}

export function nameKey(kind: "c" | "f" | "m", name: string): Buffer {
  return Buffer.from(kind + name);
}

export function nameOf(key: Uint8Array): string {
  return Buffer.from(key).toString("utf8", 1);
}

export function stateKey(functionName: string, key: string, name: string): Buffer {
  return Buffer.from(`s${functionName}\0${key}\0${name}`);
}

export function markKey(functionName: string, mark: string): Buffer {
  return Buffer.from(`k${functionName}\0${mark}`);
}

export function deadLetterKey(functionName: string, seq: number): Buffer {
  return Buffer.concat([Buffer.from(`d${functionName}`), NUL, numberKey("j", seq).subarray(1)]);
}

export function qos2Key(client: string, packetId: number): Buffer {
  const id = Buffer.allocUnsafe(2);
  id.writeUInt16BE(packetId);
  return Buffer.concat([Buffer.from(`q${client}`), NUL, id]);
}

/** Every key that starts with `prefix`. */
export function prefixRange(prefix: string): { gte: Buffer; lt: Buffer } {
  const gte = Buffer.from(prefix);
  const lt = Buffer.from(gte);
  lt[lt.length - 1] = (lt.at(-1) ?? 0) + 1;
  return { gte, lt };
}

/** Whether the process that had the journal last has closed it. */
export const CLEAN = nameKey("m", "clean");
