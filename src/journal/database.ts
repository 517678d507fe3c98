import { ClassicLevel } from "classic-level";
import { MillraceError, systemCode } from "../core/errors.ts";

/**
 * Why something is written. Every write to the database names its point, so that tests can crash before and after each of them.
 *
 *   append         messages enter the journal
 *   qos2-append    the same, together with the packet id that keeps them from entering twice
 *   qos2-release   packet ids are forgotten: the client released them, or its session is over
 *   tick           a schedule is due: its message enters the journal, with how far the schedule has come
 *   commit         the effects of handled messages, with their cursor
 *   delivered      the broker has taken publishes
 *   switch         another version of a function handles messages from here on
 *   remove         a function is not deployed any more, or remembers no idempotency keys any more
 *   trim           messages that nobody needs are deleted
 *   dead-letters   letters are deleted: a person cleared them, or their function prefers newer ones
 *   mark           seqs up to here may have been handed out
 *   upload         events that the cloud has confirmed are deleted
 *   history        what functions have used and what they did is recorded, and what is too old of that is deleted
 *   expire         state that has expired is deleted
 *   shed           events that have expired or for which there is no room are deleted
 */
export const WRITE_POINTS = [
  "append",
  "qos2-append",
  "qos2-release",
  "tick",
  "commit",
  "delivered",
  "switch",
  "remove",
  "trim",
  "dead-letters",
  "mark",
  "upload",
  "history",
  "expire",
  "shed",
] as const;
export type WritePoint = (typeof WRITE_POINTS)[number];

export interface Range {
  readonly gt?: Buffer;
  readonly gte?: Buffer;
  readonly lt?: Buffer;
  readonly lte?: Buffer;
  readonly reverse?: boolean;
  readonly limit?: number;
  /** How much an iterator reads ahead. */
  readonly highWaterMarkBytes?: number;
}

interface Rows<T> extends AsyncIterable<T> {
  next(): Promise<T | undefined>;
  all(): Promise<T[]>;
  close(): Promise<void>;
}

/** What the journal uses of LevelDB. A ClassicLevel is one as it stands: the points are options that it does not look at. */
export interface Database {
  get(key: Buffer): Promise<Buffer | undefined>;
  iterator(range: Range): Rows<[Buffer, Buffer]>;
  keys(range: Range): Rows<Buffer>;
  values(range: Range): Rows<Buffer>;
  /** All of it is written or nothing; synced, it and everything that was written before survives a power cut. */
  batch(ops: LevelOp[], options: { readonly sync: boolean; readonly points: ReadonlySet<WritePoint> }): Promise<void>;
  /** Deletes a range; not atomic, and never synced. */
  clear(range: Range & { readonly point: WritePoint }): Promise<void>;
  /** Rewrites a range, so that what was deleted there gives its space back. */
  compactRange(start: Buffer, end: Buffer): Promise<void>;
  /** Bytes on disk of a range, what was deleted there and takes space included; without what is only in the log. */
  approximateSize(start: Buffer, end: Buffer): Promise<number>;
  /** What LevelDB says of itself, such as the memory that it uses. */
  getProperty(property: string): string;
  close(): Promise<void>;
}

export type OpenDatabase = (location: string) => Promise<Database>;

export type LevelOp = { type: "put"; key: Buffer; value: Buffer } | { type: "del"; key: Buffer };

/** A write inside a batch; no value deletes the key. */
export interface Op {
  readonly key: Buffer;
  readonly value?: Buffer;
}

export function levelOp(op: Op): LevelOp {
  return op.value === undefined ? { type: "del", key: op.key } : { type: "put", key: op.key, value: op.value };
}

/** @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL, DATA_CORRUPT */
export async function openDatabase(location: string): Promise<Database> {
  const database = new ClassicLevel<Buffer, Buffer>(location, {
    keyEncoding: "buffer",
    valueEncoding: "buffer",
    // Never full: the log is changed before that, see SequentialDatabase.
    writeBufferSize: 64 * 1024 * 1024,
    maxFileSize: 8 * 1024 * 1024,
  });
  try {
    await database.open();
    return database;
  } catch (cause) {
    throw describeOpenFailure(location, cause);
  }
}

function describeOpenFailure(location: string, cause: unknown): MillraceError {
  const code = systemCode(cause);
  const detail = deepestMessage(cause);
  if (code === "LEVEL_LOCKED") return new MillraceError("DATA_LOCKED", `${location} is in use by another process`, { cause });
  if (/No space left/i.test(detail)) return new MillraceError("DISK_FULL", `no space left to open ${location}`, { cause });
  if (/Permission denied|Read-only file system|EACCES|EROFS/i.test(detail)) {
    return new MillraceError("DATA_UNWRITABLE", `${location} cannot be opened for writing: ${detail}`, { cause });
  }
  return new MillraceError("DATA_CORRUPT", `${location} cannot be opened: ${detail}`, { cause });
}

export function describeWriteFailure(cause: unknown): MillraceError {
  const detail = deepestMessage(cause);
  if (/No space left|ENOSPC|File too large|Disk quota/i.test(detail)) {
    return new MillraceError("DISK_FULL", `the journal cannot be written: ${detail}`, { cause });
  }
  return new MillraceError("DATA_UNWRITABLE", `the journal cannot be written: ${detail}`, { cause });
}

function deepestMessage(error: unknown): string {
  let message = String(error);
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) message = at.message;
  return message;
}
