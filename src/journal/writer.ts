import type { JournaledMessage } from "../core/message.ts";
import { MillraceError } from "../core/errors.ts";
import { type Compression, encodeBlock } from "./block.ts";
import { type Database, describeWriteFailure, levelOp, type LevelOp, type Op, type WritePoint } from "./database.ts";
import { Held, type Hold } from "./held.ts";
import { CLEAN, nameKey, numberKey } from "./keys.ts";
import { type Parcel, Parcels } from "./parcels.ts";
import type { Segments } from "./segments.ts";
import type { Seqs } from "./seqs.ts";

/** A batch takes no more writes once what they write has this size. */
const BATCH_BYTES_MAX = 8 * 1024 * 1024;

/** A record on its way into the journal; it gets its seq when its batch is built. */
export interface Entry {
  readonly topic: string;
  readonly time: number;
  readonly hops: number;
  readonly record: Uint8Array;
  /** It gets a seq and is announced like the others, but is never written. */
  readonly volatile?: true;
  /** Told of its seq, before anybody learns of the message. */
  placed?(seq: number): void;
}

/** Something to be written with others. Either all of it is written or nothing. */
export interface Write {
  /** "none" is for a write that only waits for those before it. */
  readonly point: WritePoint | "none";
  readonly ops: readonly Op[];
  readonly entries: readonly Entry[];
  /** Only the newest value of a consumer is written, however many commits share a batch. */
  readonly cursor?: { readonly consumer: string; readonly value: Buffer };
  /** The sizes of the outbox; of those that share a batch only the newest is written. */
  readonly usage?: Op;
  /** Records for the broker; they stay in the database until it has taken them. */
  readonly publishes: readonly Uint8Array[];
  /** Called once: with an error when nothing of this is written, without when all of it is. */
  readonly done: (error?: MillraceError) => void;
  readonly sync: boolean;
  /** The QoS 2 key of a message that has one; whoever gave it can withdraw the message while it waits for room. */
  readonly once?: string;
}

/**
 * When a write is safe from a power cut. `fsync`: before its `done`. `interval`: `syncIntervalMs` after that at the latest. `os`: when the
 * operating system gets to it. A process that is killed loses nothing in any of them.
 */
export type Durability = "fsync" | "interval" | "os";

export interface WriterOptions {
  readonly seqs: Seqs;
  readonly segments: Segments;
  readonly nextPublish: number;
  readonly writesMax: number;
  readonly durability: Durability;
  readonly compression: Compression;
  readonly syncIntervalMs: number;
}

export interface WriterEvents {
  /**
   * New messages are being written, in the order of their seqs. They may be handled at once: whatever is submitted because of them is written
   * after them, and when their write fails nothing is written any more. Their `done` follows when they are on disk.
   */
  incoming(messages: readonly JournaledMessage[]): void;
  /** Publishes of a consumer are on disk under `number`; to be answered with `delivered(number)`. Called after `done`. */
  publishes(number: number, records: readonly Uint8Array[], consumer: string): void;
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
  readonly #options: WriterOptions;
  readonly #seqs: Seqs;
  #queue: Write[] = [];
  #busy = false;
  #scheduled = false;
  #failure: MillraceError | undefined;
  #idle: (() => void)[] = [];
  #delivered: number[] = [];
  readonly #held = new Held<Write>();
  /** Entries in the queue: a volatile message must not overtake them. */
  #queuedEntries = 0;
  /** Volatile messages that are announced at the end of this turn. */
  #passing: { readonly entry: Entry; readonly done: () => void }[] = [];
  /** Whether the next batch has to raise the mark above the seqs that are handed out. */
  #marking = false;
  /** Whether the next batch is synced because an earlier one was not. */
  #syncDue = false;
  #syncTimer: NodeJS.Timeout | undefined;
  #writing: Promise<unknown> = Promise.resolve();
  #nextPublish: number;
  batches = 0;

  constructor(database: Database, options: WriterOptions, events: WriterEvents) {
    this.#database = database;
    this.#events = events;
    this.#options = options;
    this.#seqs = options.seqs;
    this.#nextPublish = options.nextPublish;
    // From here on messages may be lost whose effects are known outside.
    this.#marking = options.durability !== "fsync";
  }

  /** The seq that the next message will get. */
  get nextSeq(): number {
    return this.#seqs.next;
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
    if (this.#held.takes(write)) return;
    this.#queue.push(write);
    this.#queuedEntries += write.entries.length;
    this.#wake();
  }

  /**
   * A volatile message: announced in the order in which it came, never written. `done` follows when it is announced, or when what came before
   * it is written.
   */
  pass(entry: Entry, done: (error?: MillraceError) => void): void {
    if (this.#failure !== undefined || this.#queuedEntries > 0) {
      this.submit({ point: "none", ops: [], entries: [entry], publishes: [], sync: false, done });
      return;
    }
    this.#passing.push({ entry, done });
    if (this.#passing.length === 1) setImmediate(() => this.#pass());
  }

  /** Messages from clients wait while there is a reason. Commits go on, because they are what makes room; so do volatile messages. */
  hold(why: Hold, on: boolean): void {
    for (const write of this.#held.change(why, on)) this.submit(write);
  }

  get holds(): readonly Hold[] {
    return this.#held.reasons;
  }

  /** Refuses those of the waiting messages whose QoS 2 keys are wanted. */
  withdraw(wanted: (key: string) => boolean): void {
    this.#held.withdraw(wanted);
  }

  /** Nothing is written any more. */
  fail(error: MillraceError): void {
    if (this.#failure === undefined) this.#fail(error, []);
  }

  #wake(): void {
    if (this.#busy || this.#scheduled) return;
    // Waiting for the end of this turn of the event loop lets every socket that is ready now share the batch.
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#busy) void this.#run();
    });
  }

  /** What was passed before anything that is in the queue. */
  #pass(): void {
    const passing = this.#passing.splice(0);
    if (passing.length === 0) return;
    this.#events.incoming(passing.map(({ entry }) => this.#message(entry)));
    for (const { done } of passing) done();
    // Before or with the first commit that comes of them, also when nothing else is written.
    if (this.#seqs.isLow) this.#nudge();
  }

  /** Has the next batch built, also when there is nothing else to be written. */
  #nudge(): void {
    this.submit({ point: "none", ops: [], entries: [], publishes: [], sync: false, done: () => undefined });
  }

  /** The broker has taken the publishes of a batch; their record goes with the next batch. */
  delivered(number: number): void {
    this.#delivered.push(number);
  }

  /** Resolves when everything that was submitted before is written. @throws MillraceError when it is not */
  settled(): Promise<void> {
    this.#pass();
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
    this.#pass();
    if (this.#delivered.length > 0) await this.settled().catch(() => undefined); // After a failed write there is nothing to be written.
    if (this.#queue.length > 0 || this.#busy) await new Promise<void>((resolve) => this.#idle.push(resolve));
    clearTimeout(this.#syncTimer);
    const failed = this.#failure !== undefined;
    this.#failure ??= new MillraceError("JOURNAL_CLOSED", "the journal is closed");
    this.#held.refuse(this.#failure);
    if (failed) return;
    const exact = this.#seqs.marked ? [levelOp(this.#seqs.exact())] : [];
    const clean: LevelOp = { type: "put", key: CLEAN, value: Buffer.alloc(0) };
    // When it cannot be written, the next start finds an unclean end and deals with that.
    await this.#write({ ops: [...exact, clean], sync: true, points: new Set(["mark"]) }).catch(() => undefined);
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#queue.length > 0) {
      this.#pass();
      const writes = this.#take();
      const batch = this.#build(writes);
      this.#writing = this.#write(batch);
      if (batch.messages.length > 0) this.#events.incoming(batch.messages);
      try {
        await this.#writing;
      } catch (cause) {
        this.#fail(describeWriteFailure(cause), writes);
        break;
      }
      this.batches++;
      for (const write of writes) write.done();
      for (const { number, records, consumer } of batch.parcels) this.#events.publishes(number, records, consumer);
    }
    this.#busy = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #write({ ops, sync, points }: Pick<Batch, "ops" | "sync" | "points">): Promise<void> {
    return ops.length === 0 ? Promise.resolve() : this.#database.batch(ops, { sync, points });
  }

  /** As many writes as may share a batch. A block is read as a whole, and LevelDB holds a batch in memory, so neither may grow without bound. */
  #take(): Write[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < this.#options.writesMax && bytes < BATCH_BYTES_MAX) {
      const write = this.#queue[count++];
      for (const { record } of write?.entries ?? []) bytes += record.length;
      for (const { value } of write?.ops ?? []) bytes += value?.length ?? 0;
      for (const record of write?.publishes ?? []) bytes += record.length;
    }
    const writes = this.#queue.splice(0, count);
    for (const { entries } of writes) this.#queuedEntries -= entries.length;
    return writes;
  }

  #build(writes: readonly Write[]): Batch {
    const ops: LevelOp[] = [];
    const messages: JournaledMessage[] = [];
    const parcels = new Parcels();
    const cursors = new Map<string, Buffer>();
    const points = new Set<WritePoint>();
    let usage: Op | undefined;
    let wanted = false;
    for (const write of writes) {
      wanted ||= write.sync;
      if (write.point !== "none") points.add(write.point);
      for (const op of write.ops) ops.push(levelOp(op));
      for (const entry of write.entries) messages.push(this.#message(entry));
      usage = write.usage ?? usage;
      if (write.cursor !== undefined) cursors.set(write.cursor.consumer, write.cursor.value);
      parcels.add(write.cursor?.consumer ?? "", write.publishes);
    }
    const block = encodeBlock(messages, this.#options.compression);
    if (block !== undefined) {
      ops.push({ type: "put", key: numberKey("j", block.first), value: block.value });
      const entry = this.#options.segments.add(block, messages);
      if (entry !== undefined) ops.push(levelOp(entry));
    }
    for (const [consumer, value] of cursors) ops.push({ type: "put", key: nameKey("c", consumer), value });
    if (usage !== undefined) ops.push(levelOp(usage));
    if (this.#delivered.length > 0) points.add("delivered");
    for (const number of this.#delivered.splice(0)) ops.push({ type: "del", key: numberKey("p", number) });
    const numbered = parcels.numbered(this.#nextPublish);
    this.#nextPublish += numbered.length;
    for (const { number, records } of numbered) ops.push({ type: "put", key: numberKey("p", number), value: Buffer.concat(records) });
    const sync = this.#secure(wanted, ops, points);
    return { ops, sync, points, messages, parcels: numbered };
  }

  #message({ topic, time, hops, record, volatile, ...entry }: Entry): JournaledMessage {
    const seq = this.#seqs.take();
    entry.placed?.(seq);
    // No block will say that this seq was handed out.
    if (volatile === true) this.#marking = true;
    return volatile === true ? { seq, topic, time, hops, record, volatile } : { seq, topic, time, hops, record };
  }

  /** Whether a batch is synced. Adds the mark of the seqs when it has to be raised; that counts only when it is on disk. */
  #secure(wanted: boolean, ops: LevelOp[], points: Set<WritePoint>): boolean {
    const due = this.#syncDue;
    const mark = this.#marking ? (this.#seqs.raise() ?? (due ? this.#seqs.mark : undefined)) : undefined;
    if (mark !== undefined) {
      ops.push(levelOp(mark));
      points.add("mark");
    }
    const { durability, syncIntervalMs } = this.#options;
    const sync = mark !== undefined || (wanted && durability === "fsync");
    if (sync) {
      this.#syncDue = false;
      clearTimeout(this.#syncTimer);
      this.#syncTimer = undefined;
    } else if (wanted && durability === "interval") {
      this.#syncTimer ??= setTimeout(() => {
        this.#syncTimer = undefined;
        this.#syncDue = true;
        this.#nudge();
      }, syncIntervalMs);
    }
    return sync;
  }

  #fail(error: MillraceError, writes: readonly Write[]): void {
    this.#failure = error;
    for (const write of writes) write.done(error);
    for (const write of this.#queue.splice(0)) write.done(error);
    this.#held.refuse(error);
    this.#events.failed(error);
  }
}

interface Batch {
  readonly ops: LevelOp[];
  readonly sync: boolean;
  readonly points: ReadonlySet<WritePoint>;
  readonly messages: readonly JournaledMessage[];
  readonly parcels: readonly Parcel[];
}
