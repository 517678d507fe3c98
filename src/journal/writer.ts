import type { JournaledMessage } from "../core/message.ts";
import { MillraceError } from "../core/errors.ts";
import { type Database, describeWriteFailure, type LevelOp, type Op, type WritePoint } from "./database.ts";
import { nameKey, numberKey } from "./keys.ts";

/** A batch takes no more writes once its messages have this size. */
const BATCH_BYTES_MAX = 8 * 1024 * 1024;

/** A record on its way into the journal; it gets its seq when its batch is built. */
export interface Entry {
  readonly topic: string;
  readonly time: number;
  readonly hops: number;
  readonly record: Uint8Array;
}

/** Something to be written with others. Either all of it is written or nothing. */
export interface Write {
  /** "none" is for a write that only waits for those before it. */
  readonly point: WritePoint | "none";
  readonly ops: readonly Op[];
  readonly entries: readonly Entry[];
  /** Only the newest value of a consumer is written, however many commits share a batch. */
  readonly cursor?: { readonly consumer: string; readonly value: Buffer };
  /** Records for the broker; they stay in the database until it has taken them. */
  readonly publishes: readonly Uint8Array[];
  /** Called once: with an error when nothing of this is written, without when all of it is. */
  readonly done: (error?: MillraceError) => void;
  readonly sync: boolean;
}

export interface WriterEvents {
  /**
   * New messages are being written, in the order of their seqs. They may be handled at once: whatever is submitted because of them is written
   * after them, and when their write fails nothing is written any more. Their `done` follows when they are on disk.
   */
  incoming(messages: readonly JournaledMessage[]): void;
  /** Publishes are on disk under `number`; to be answered with `delivered(number)`. Called after `done`. */
  publishes(number: number, records: readonly Uint8Array[]): void;
  /** A write failed. LevelDB takes no more writes after that, so this is the end of the writer. */
  failed(error: MillraceError): void;
}

/**
 * Group commit: whatever has come in while one batch was being written makes the next one. There is one batch at a time and writes keep
 * their order, so a later cursor never meets an earlier one. A batch is synced if anything in it has to be; what is not synced (effects)
 * is secured by the next batch that is, and recomputed from the journal if power fails before.
 */
export class Writer {
  readonly #database: Database;
  readonly #events: WriterEvents;
  readonly #writesMax: number;
  #queue: Write[] = [];
  #busy = false;
  #scheduled = false;
  #failure: MillraceError | undefined;
  #idle: (() => void)[] = [];
  #delivered: number[] = [];
  #nextSeq: number;
  #writing: Promise<unknown> = Promise.resolve();
  #nextPublish: number;
  batches = 0;

  constructor(database: Database, options: { nextSeq: number; nextPublish: number; writesMax: number }, events: WriterEvents) {
    this.#database = database;
    this.#events = events;
    this.#nextSeq = options.nextSeq;
    this.#nextPublish = options.nextPublish;
    this.#writesMax = options.writesMax;
  }

  /** The seq that the next message will get. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Resolves when every message that was announced so far is on disk; rejects when it cannot get there. */
  async announced(): Promise<void> {
    await this.#writing;
  }

  submit(write: Write): void {
    if (this.#failure !== undefined) {
      write.done(this.#failure);
      return;
    }
    this.#queue.push(write);
    if (this.#busy || this.#scheduled) return;
    // Waiting for the end of this turn of the event loop lets every socket that is ready now share the batch.
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#busy) void this.#run();
    });
  }

  /** The broker has taken the publishes of a batch; their record goes with the next batch. */
  delivered(number: number): void {
    this.#delivered.push(number);
  }

  /** Resolves when everything that was submitted before is written. @throws MillraceError when it is not */
  settled(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.submit({
        point: "none",
        ops: [],
        entries: [],
        publishes: [],
        sync: false,
        done: (error) => (error ? reject(error) : resolve()),
      });
    });
  }

  /** Writes what is queued, then takes nothing more. */
  async close(): Promise<void> {
    if (this.#delivered.length > 0) await this.settled().catch(() => undefined); // After a failed write there is nothing to be written.
    if (this.#queue.length > 0 || this.#busy) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#failure ??= new MillraceError("JOURNAL_CLOSED", "the journal is closed");
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#queue.length > 0) {
      const writes = this.#take();
      const batch = this.#build(writes);
      this.#writing = this.#database.batch(batch.ops, { sync: batch.sync, points: batch.points });
      if (batch.messages.length > 0) this.#events.incoming(batch.messages);
      try {
        await this.#writing;
      } catch (cause) {
        this.#fail(describeWriteFailure(cause), writes);
        break;
      }
      this.batches++;
      for (const write of writes) write.done();
      if (batch.publishes.length > 0) this.#events.publishes(batch.number, batch.publishes);
    }
    this.#busy = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** As many writes as may share a batch. A block is read as a whole, so it must not grow without bound. */
  #take(): Write[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < this.#writesMax && bytes < BATCH_BYTES_MAX) {
      for (const { record } of this.#queue[count++]?.entries ?? []) bytes += record.length;
    }
    return this.#queue.splice(0, count);
  }

  #build(writes: readonly Write[]): Batch {
    const ops: LevelOp[] = [];
    const messages: JournaledMessage[] = [];
    const publishes: Uint8Array[] = [];
    const cursors = new Map<string, Buffer>();
    const points = new Set<WritePoint>();
    const first = this.#nextSeq;
    let sync = false;
    for (const write of writes) {
      sync ||= write.sync;
      if (write.point !== "none") points.add(write.point);
      for (const op of write.ops) ops.push(levelOp(op));
      for (const { topic, time, hops, record } of write.entries) messages.push({ seq: this.#nextSeq++, topic, time, hops, record });
      if (write.cursor !== undefined) cursors.set(write.cursor.consumer, write.cursor.value);
      for (const record of write.publishes) publishes.push(record);
    }
    if (messages.length > 0) {
      ops.push({ type: "put", key: numberKey("j", first), value: Buffer.concat(messages.map((message) => message.record)) });
    }
    for (const [consumer, value] of cursors) ops.push({ type: "put", key: nameKey("c", consumer), value });
    if (this.#delivered.length > 0) points.add("delivered");
    for (const number of this.#delivered.splice(0)) ops.push({ type: "del", key: numberKey("p", number) });
    const number = this.#nextPublish;
    if (publishes.length > 0) {
      this.#nextPublish++;
      ops.push({ type: "put", key: numberKey("p", number), value: Buffer.concat(publishes) });
    }
    return { ops, sync, points, messages, publishes, number };
  }

  #fail(error: MillraceError, writes: readonly Write[]): void {
    this.#failure = error;
    for (const write of writes) write.done(error);
    for (const write of this.#queue.splice(0)) write.done(error);
    this.#events.failed(error);
  }
}

interface Batch {
  readonly ops: LevelOp[];
  readonly sync: boolean;
  readonly points: ReadonlySet<WritePoint>;
  readonly messages: readonly JournaledMessage[];
  readonly publishes: readonly Uint8Array[];
  readonly number: number;
}

function levelOp(op: Op): LevelOp {
  return op.value === undefined ? { type: "del", key: op.key } : { type: "put", key: op.key, value: op.value };
}
