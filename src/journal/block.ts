import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { type JournaledMessage, peekMessage } from "../core/message.ts";

/**
 * The messages of one batch as one value, under the seq of the first of them.
 *
 * Plain, when their seqs are consecutive: the records, one after another. A record begins with its length, which is far below 2³¹, so a first
 * byte above 127 says something else: flags. With `GAPS` a u32 count and for each record a u32, its seq less that of the first. With `ZSTD` what
 * follows, the records, is compressed. Every block says what it is, so the setting can change at any time.
 */
const MARK = 0x80;
const GAPS = 0x01;
const ZSTD = 0x02;

/** Smaller blocks are not worth the call. */
const COMPRESS_BYTES_MIN = 1024;
/** A batch ends at 8 MB, or with one message of at most 256 MB. */
const RECORDS_BYTES_MAX = 512 * 1024 * 1024;
const ZSTD_OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

export type Compression = "none" | "zstd";

export interface Block {
  readonly first: number;
  readonly value: Buffer;
}

/** Volatile messages are left out; undefined when nothing else is there. */
export function encodeBlock(messages: readonly JournaledMessage[], compression: Compression): Block | undefined {
  const kept = messages.some((message) => message.volatile) ? messages.filter((message) => message.volatile !== true) : messages;
  const [lowest] = kept;
  if (lowest === undefined) return undefined;
  const records = Buffer.concat(kept.map((message) => message.record));
  const packed = compression === "zstd" && records.length >= COMPRESS_BYTES_MIN ? compressed(records) : undefined;
  const highest = kept.at(-1) ?? lowest;
  const gaps = highest.seq - lowest.seq + 1 > kept.length;
  const first = lowest.seq;
  if (!gaps) return { first, value: packed === undefined ? records : Buffer.concat([Buffer.from([MARK | ZSTD]), packed]) };
  const head = Buffer.allocUnsafe(5 + 4 * kept.length);
  head[0] = MARK | GAPS | (packed === undefined ? 0 : ZSTD);
  head.writeUInt32BE(kept.length, 1);
  kept.forEach(({ seq }, index) => head.writeUInt32BE(seq - first, 5 + 4 * index));
  return { first, value: Buffer.concat([head, packed ?? records]) };
}

/** Undefined when it brings nothing. */
function compressed(records: Buffer): Buffer | undefined {
  const packed = zstdCompressSync(records, ZSTD_OPTIONS);
  return packed.length < records.length ? packed : undefined;
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
  if ((mark & ~(MARK | GAPS | ZSTD)) !== 0) throw new Error(`a block with the unknown mark ${mark}`);
  const gaps = (mark & GAPS) !== 0;
  const rest = value.subarray(gaps ? 5 + 4 * value.readUInt32BE(1) : 1);
  const records = (mark & ZSTD) === 0 ? rest : zstdDecompressSync(rest, { maxOutputLength: RECORDS_BYTES_MAX });
  return { records, seqAt: gaps ? (index) => first + value.readUInt32BE(5 + 4 * index) : (index) => first + index };
}
