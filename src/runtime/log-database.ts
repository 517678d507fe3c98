import { rename, rm } from "node:fs/promises";
import { ClassicLevel } from "classic-level";
import { z } from "zod";
import { MillraceError, systemCode } from "../core/errors.ts";
import { LOG_LEVELS } from "../core/stats.ts";
import type { LogEntry } from "./log-query.ts";

/** n of the last entry · earliest time in it · latest time so far · bytes of all blocks before it since the database began. */
const KEY_BYTES = 24;
/** A full database is freed of this part of its quota at once, so that deleting is rare. */
const FREED_SHARE = 1 / 8;
/** What LevelDB holds in memory; the default would be four times as much. */
const WRITE_BUFFER_BYTES = 1024 ** 2;

interface Block {
  /** `n` of its last entry. */
  readonly last: number;
  readonly earliest: number;
  /** Of everything up to here, so that whatever comes before a block is not later, even when the clock was set back. */
  readonly latest: number;
  readonly offset: number;
}

/** Which blocks to read. */
export interface LogScan {
  /** Entries from this `n` on, and before the other. */
  readonly from: number;
  readonly before: number;
  /** Newest first. */
  readonly reverse: boolean;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** What the bytes of a block have to contain for an entry in it to be wanted. */
  readonly contains: readonly Buffer[];
  readonly signal: AbortSignal;
}

const blockSchema = z.array(
  z.object({
    n: z.int(),
    time: z.number(),
    level: z.enum(LOG_LEVELS),
    function: z.string(),
    version: z.int(),
    invocation: z.string().exactOptional(),
    trace: z.string().exactOptional(),
    message: z.string(),
    fields: z.string().exactOptional(),
  }) satisfies z.ZodType<LogEntry>,
);

/**
 * Log entries in a LevelDB of their own, in blocks, because one value for each would be mostly key and overhead. Nothing is synced: a killed
 * process loses nothing that was written, and after a power cut some of the newest may be missing.
 */
export class LogDatabase {
  readonly #level: ClassicLevel<Buffer, Buffer>;
  readonly #bytesMax: number;
  #first = 0;
  #end = 0;
  #latest = 0;
  #last = 0;

  private constructor(level: ClassicLevel<Buffer, Buffer>, bytesMax: number) {
    this.#level = level;
    this.#bytesMax = bytesMax;
  }

  /** One that is damaged is put aside as `LOCATION.damaged`. @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL, DATA_CORRUPT */
  static async open(location: string, bytesMax: number): Promise<LogDatabase> {
    try {
      return await LogDatabase.#open(location, bytesMax);
    } catch (error) {
      const failure = failureOf(location, error);
      if (failure.code !== "DATA_CORRUPT") throw failure;
      const aside = `${location}.damaged`;
      await rm(aside, { recursive: true, force: true });
      await rename(location, aside);
      return LogDatabase.#open(location, bytesMax).catch((cause: unknown) => {
        throw failureOf(location, cause);
      });
    }
  }

  static async #open(location: string, bytesMax: number): Promise<LogDatabase> {
    const level = new ClassicLevel<Buffer, Buffer>(location, {
      keyEncoding: "buffer",
      valueEncoding: "buffer",
      writeBufferSize: WRITE_BUFFER_BYTES,
      cacheSize: WRITE_BUFFER_BYTES,
    });
    const database = new LogDatabase(level, bytesMax);
    try {
      await level.open();
      await database.#measure();
      return database;
    } catch (error) {
      await level.close();
      throw error;
    }
  }

  async #measure(): Promise<void> {
    const [first] = await this.#level.keys({ limit: 1 }).all();
    const [newest] = await this.#level.iterator({ reverse: true, limit: 1 }).all();
    if (first === undefined || newest === undefined) return;
    const { last, latest, offset } = blockOf(newest[0]);
    this.#first = blockOf(first).offset;
    this.#end = offset + newest[1].length;
    this.#latest = latest;
    this.#last = last;
  }

  get isOpen(): boolean {
    return this.#level.status === "open";
  }
  /** `n` of the newest entry; 0 when there is none. */
  get last(): number {
    return this.#last;
  }
  /** Of all blocks, before LevelDB compresses them. */
  get bytes(): number {
    return this.#end - this.#first;
  }

  /** Adds one block. @throws MillraceError DISK_FULL, DATA_UNWRITABLE */
  async write(entries: readonly LogEntry[]): Promise<void> {
    const last = entries.at(-1)?.n;
    if (last === undefined) return;
    const value = Buffer.from(JSON.stringify(entries));
    const times = entries.map(({ time }) => time);
    const [earliest, latest] = [Math.min(...times), Math.max(this.#latest, ...times)];
    try {
      await this.#makeRoom(value.length);
      await this.#level.put(keyOf({ last, earliest, latest, offset: this.#end }), value);
    } catch (cause) {
      throw failureOf(this.#level.location, cause);
    }
    this.#end += value.length;
    this.#latest = latest;
    this.#last = last;
  }

  async #makeRoom(bytes: number): Promise<void> {
    if (this.bytes + bytes <= this.#bytesMax) return;
    const keepFrom = this.#end + bytes - this.#bytesMax * (1 - FREED_SHARE);
    let upTo: Buffer | undefined;
    for await (const key of this.#level.keys({})) {
      upTo = key;
      if (blockOf(key).offset >= keepFrom) break;
    }
    if (upTo === undefined) return;
    await this.#level.clear({ lt: upTo });
    this.#first = blockOf(upTo).offset;
  }

  /** @throws MillraceError DATA_CORRUPT; the signal's reason */
  async *scan({ from, before, reverse, since = 0, until = Infinity, contains, signal }: LogScan): AsyncGenerator<LogEntry[]> {
    const start = keyOf({ last: from, earliest: 0, latest: 0, offset: 0 });
    // The block with the entry before `before` may end behind it.
    const [end] = await this.#level.keys({ gte: keyOf({ last: before - 1, earliest: 0, latest: 0, offset: 0 }), limit: 1 }).all();
    const range = { gte: start, ...(end === undefined ? {} : { lte: end }), reverse };
    for await (const [key, value] of this.#level.iterator(range)) {
      signal.throwIfAborted();
      const { earliest, latest } = blockOf(key);
      if (latest < since && reverse) return;
      if (latest < since || earliest > until || !contains.every((bytes) => value.includes(bytes))) continue;
      const entries = decode(value, this.#level.location).filter(({ n }) => n >= from && n < before);
      yield reverse ? entries.toReversed() : entries;
    }
  }

  close(): Promise<void> {
    return this.#level.close();
  }
}

function decode(value: Buffer, location: string): LogEntry[] {
  try {
    return blockSchema.parse(JSON.parse(value.toString()));
  } catch (cause) {
    throw new MillraceError("DATA_CORRUPT", `a block of the logs in ${location} cannot be read`, { cause });
  }
}

function keyOf({ last, earliest, latest, offset }: Block): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  [last, earliest, latest, offset].forEach((number, index) => key.writeUIntBE(number, index * 6, 6));
  return key;
}

function blockOf(key: Buffer): Block {
  const [last, earliest, latest, offset] = [0, 6, 12, 18].map((at) => key.readUIntBE(at, 6));
  return { last: last ?? 0, earliest: earliest ?? 0, latest: latest ?? 0, offset: offset ?? 0 };
}

function failureOf(location: string, cause: unknown): MillraceError {
  if (cause instanceof MillraceError) return cause;
  let reason = String(cause);
  for (let at: unknown = cause, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) reason = at.message;
  const code = /No space left|ENOSPC|File too large|Disk quota/i.test(reason)
    ? "DISK_FULL"
    : systemCode(cause) === "LEVEL_LOCKED"
      ? "DATA_LOCKED"
      : /corrupt|missing files|does not exist|invalid/i.test(reason)
        ? "DATA_CORRUPT"
        : "DATA_UNWRITABLE";
  return new MillraceError(code, `the logs in ${location} cannot be kept: ${reason}`, { cause });
}
