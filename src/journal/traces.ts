import { type TraceRecord, traceRecordSchema } from "../core/traces.ts";
import type { Database, Op } from "./database.ts";
import { nameKey, numberOf, prefixRange } from "./keys.ts";
import { traceIdKey, traceIdRange, traceKey, traceRange } from "./trace-keys.ts";

/** What a full ring is freed of at once, so that deleting is rare. */
const FREED_SHARE = 1 / 8;
/** Records that one write deletes at most. */
const DELETED_AT_ONCE = 500;
const USAGE = nameKey("m", "traces");
const NOTHING = Buffer.alloc(0);

interface Entry {
  readonly key: Buffer;
  readonly value: Buffer;
  /** Finds it by its W3C trace. */
  readonly index: Buffer | undefined;
}

/**
 * What became of some messages, by seq: the newest, as many as fit. Written without a sync, behind what it speaks of. What is deleted first are the
 * oldest messages.
 */
export class TraceRing {
  readonly #database: Database;
  readonly #write: (ops: readonly Op[]) => Promise<void>;
  #bytes: number | undefined;
  /** One after another, so that the account is right. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(database: Database, write: (ops: readonly Op[]) => Promise<void>) {
    this.#database = database;
    this.#write = write;
  }

  /** Keeps the records, and deletes the oldest that there are when it is more than `bytesMax`. */
  put(records: readonly TraceRecord[], bytesMax: number): Promise<void> {
    return this.#exclusively(() => this.#put(records, bytesMax));
  }

  async #put(records: readonly TraceRecord[], bytesMax: number): Promise<void> {
    const entries = records.map((record): Entry => {
      const key = traceKey(record.seq, record.function, record.attempt);
      const index = record.trace === undefined ? undefined : traceIdKey(record.trace, record.seq);
      return { key, value: Buffer.from(JSON.stringify(record)), index };
    });
    const expected = entries.reduce((sum, { key, value, index }) => sum + key.length + value.length + (index?.length ?? 0), 0);
    await this.#makeRoom(expected, bytesMax);
    let bytes = await this.#account();
    const ops = new Map<string, Op>();
    for (const { key, value, index } of entries) {
      // After a crash a message is handled again, and takes the place of what was kept of it before.
      const before = ops.get(key.toString("latin1"))?.value ?? (await this.#database.get(key));
      bytes += before === undefined ? key.length + value.length : value.length - before.length;
      ops.set(key.toString("latin1"), { key, value });
      if (index === undefined || ops.has(index.toString("latin1"))) continue;
      if ((await this.#database.get(index)) === undefined) bytes += index.length;
      ops.set(index.toString("latin1"), { key: index, value: NOTHING });
    }
    await this.#writeWith([...ops.values()], bytes);
  }

  async #makeRoom(expected: number, bytesMax: number): Promise<void> {
    let bytes = await this.#account();
    if (bytes + expected <= bytesMax) return;
    const wanted = bytesMax * (1 - FREED_SHARE) - expected;
    while (bytes > wanted) {
      const ops: Op[] = [];
      for (const [key, value] of await this.#database.iterator({ ...prefixRange("t"), limit: DELETED_AT_ONCE }).all()) {
        if (bytes <= wanted) break;
        ops.push({ key });
        bytes -= key.length + value.length;
        const { trace, seq } = decode(value);
        const index = trace === undefined ? undefined : traceIdKey(trace, seq);
        // Functions and tries share it; whichever comes first takes it along.
        if (index === undefined || ops.some((op) => op.key.equals(index)) || (await this.#database.get(index)) === undefined) continue;
        ops.push({ key: index });
        bytes -= index.length;
      }
      if (ops.length === 0) return;
      await this.#writeWith(ops, bytes);
    }
  }

  async #writeWith(ops: readonly Op[], bytes: number): Promise<void> {
    await this.#write([...ops, { key: USAGE, value: Buffer.from(String(bytes)) }]);
    this.#bytes = bytes;
  }

  async #account(): Promise<number> {
    return (this.#bytes ??= Number((await this.#database.get(USAGE))?.toString() ?? 0));
  }

  /** Of everything that is kept. */
  bytes(): Promise<number> {
    return this.#account();
  }

  /** What was kept of a message, by function and try. */
  async ofMessage(seq: number, limit: number): Promise<readonly TraceRecord[]> {
    return (await this.#database.values({ ...traceRange(seq), limit }).all()).map((value) => decode(value));
  }

  /** Seqs of the messages of a trace, lowest first. */
  async ofTrace(traceId: string, limit: number): Promise<readonly number[]> {
    return (await this.#database.keys({ ...traceIdRange(traceId), limit }).all()).map((key) => numberOf(key));
  }

  #exclusively(work: () => Promise<void>): Promise<void> {
    const result = this.#work.then(work);
    this.#work = result.catch(() => undefined); // Whoever put it gets the error.
    return result;
  }
}

function decode(value: Buffer): TraceRecord {
  return traceRecordSchema.parse(JSON.parse(value.toString()));
}
