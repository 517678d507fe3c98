import { type JournaledMessage, peekMessage } from "../core/message.ts";

/**
 * The messages of one batch as one value, under the seq of the first of them.
 *
 * Plain, when their seqs are consecutive: the records, one after another. A record begins with its length, which is far below 2³¹, so a first
 * byte above 127 says something else: flags. With `GAPS` a u32 count and for each record a u32, its seq less that of the first; then the records.
 */
const MARK = 0x80;
const GAPS = 0x01;

export interface Block {
  readonly first: number;
  readonly value: Buffer;
}

/** Volatile messages are left out; undefined when nothing else is there. */
export function encodeBlock(messages: readonly JournaledMessage[]): Block | undefined {
  const kept = messages.some((message) => message.volatile) ? messages.filter((message) => message.volatile !== true) : messages;
  const [lowest] = kept;
  if (lowest === undefined) return undefined;
  const records = kept.map((message) => message.record);
  const highest = kept.at(-1) ?? lowest;
  if (highest.seq - lowest.seq + 1 === kept.length) return { first: lowest.seq, value: Buffer.concat(records) };
  const head = Buffer.allocUnsafe(5 + 4 * kept.length);
  head[0] = MARK | GAPS;
  head.writeUInt32BE(kept.length, 1);
  kept.forEach(({ seq }, index) => head.writeUInt32BE(seq - lowest.seq, 5 + 4 * index));
  return { first: lowest.seq, value: Buffer.concat([head, ...records]) };
}

/** @throws RangeError or Error when these bytes are no block */
export function decodeBlock(first: number, value: Buffer): JournaledMessage[] {
  const { records, seqAt } = open(first, value);
  return splitRecords(records).map((record, index) => {
    const { topic, time, hops } = peekMessage(record, 0);
    return { seq: seqAt(index), topic, time, hops, record };
  });
}

/** The seq after the last message of a block. */
export function endOfBlock(first: number, value: Buffer): number {
  const { records, seqAt } = open(first, value);
  return seqAt(splitRecords(records).length - 1) + 1;
}

/** @throws RangeError when a record is not complete */
export function splitRecords(block: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < block.length;) {
    const end = at + 4 + block.readUInt32BE(at);
    if (end > block.length) throw new RangeError(`a record at byte ${at} is longer than its block`);
    records.push(block.subarray(at, end));
    at = end;
  }
  return records;
}

function open(first: number, value: Buffer): { records: Buffer; seqAt: (index: number) => number } {
  const mark = value[0] ?? 0;
  if ((mark & MARK) === 0) return { records: value, seqAt: (index) => first + index };
  if (mark !== (MARK | GAPS)) throw new Error(`a block with the unknown mark ${mark}`);
  const count = value.readUInt32BE(1);
  return { records: value.subarray(5 + 4 * count), seqAt: (index) => first + value.readUInt32BE(5 + 4 * index) };
}
