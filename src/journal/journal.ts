import { Cursor } from "../core/cursor.ts";
import type { MillraceError } from "../core/errors.ts";
import type { EmittedEvent } from "../core/event.ts";
import { once } from "../core/lifecycle.ts";
import type { JournaledMessage } from "../core/message.ts";
import type { Overflow } from "../core/manifest.ts";
import type { DeadLetter, JournalOpened } from "../core/stats.ts";
import { decodeBlock, splitRecords } from "./block.ts";
import { type Database, type Op, type OpenDatabase, openDatabase, type WritePoint } from "./database.ts";
import { nameKey, numberKey, numberOf, prefixRange, stateKey } from "./keys.ts";
import { DeadLetters } from "./dead-letters.ts";
import type { Stock } from "./freed.ts";
import { History } from "./history.ts";
import type { Hold } from "./held.ts";
import { type Consumers, Keeper } from "./keeper.ts";
import { type Found, type FunctionRecord, openJournal } from "./opening.ts";
import { complete, type JournalOptions } from "./options.ts";
import type { Outbox } from "./outbox.ts";
import { publisherOf } from "./parcels.ts";
import { Qos2Ledger } from "./qos2.ts";
import type { Segments } from "./segments.ts";
import { Seqs } from "./seqs.ts";
import { StateExpiry } from "./state-expiry.ts";
import { type Mark, markOp, StateReader } from "./state.ts";
import { Ticks } from "./ticks.ts";
import { TraceRing } from "./traces.ts";
import { type Entry, Writer } from "./writer.ts";

/** What one read brings into memory. */
const READ_BYTES_MAX = 8 * 1024 * 1024;

export type { JournalOptions } from "./options.ts";
export type { Entry } from "./writer.ts";

/** What the handling of some messages of one function brings about; written as a whole or not at all. */
export interface Commit {
  readonly consumer: string;
  readonly cursor: Cursor;
  readonly state: readonly StateWrite[];
  readonly events: readonly EmittedEvent[];
  /** Records for the broker to deliver. */
  readonly publishes: readonly Uint8Array[];
  /** Those of the publishes that wake functions here: they enter the journal in the same write. */
  readonly derived: readonly Entry[];
  readonly deadLetters: readonly DeadLetter[];
  /** Idempotency keys that were handled, and those that may be forgotten. */
  readonly marks?: readonly Mark[];
  /** What happens when there is no room for dead letters; `block` without it. */
  readonly overflow?: Overflow;
  /** Whether it has to be on disk before anybody sees anything of it; it is when it brings messages. */
  readonly sync?: boolean;
}

export interface StateWrite {
  readonly key: string;
  readonly name: string;
  /** No value deletes. */
  readonly value?: Buffer;
  /** When to look whether the value has expired, in milliseconds since the epoch; without it nobody looks. */
  readonly due?: number;
}

export interface JournalEvents {
  /** New messages are being written, in order; they may be handled at once, because every commit is written after them. */
  incoming(messages: readonly JournaledMessage[]): void;
  /** Publishes of a consumer are committed; answer with `delivered(number)` when the broker has taken them all. */
  publishes(number: number, records: readonly Uint8Array[], consumer: string): void;
  /** There is room for dead letters again. */
  deadLettersFree?(): void;
}

/** The ordered, durable log of messages on the gateway, and everything that is committed together with a position in it. */
export class Journal implements AsyncDisposable {
  readonly outbox: Outbox;
  readonly state: StateReader;
  readonly expiry: StateExpiry;
  readonly history: History;
  readonly traces: TraceRing;
  readonly qos2: Qos2Ledger;
  readonly ticks: Ticks;
  readonly close: () => Promise<void>;
  /** How it was found. */
  readonly opened: JournalOpened;
  /** Rejects when the disk refuses a write: nothing can be acknowledged any more. */
  readonly stopped: Promise<void>;
  readonly #database: Database;
  readonly #writer: Writer;
  readonly #functions: Map<string, FunctionRecord>;
  readonly #floors: ReadonlyMap<string, number>;
  readonly #segments: Segments;
  readonly #keeper: Keeper;
  readonly #deadLetters: DeadLetters;
  #events: JournalEvents = { incoming: () => undefined, publishes: () => undefined };
  #appended = 0;

  private constructor(database: Database, found: Found, options: Required<JournalOptions>) {
    this.#database = database;
    this.opened = found.opened;
    this.#functions = found.functions;
    this.#floors = found.floors;
    this.outbox = found.outbox;
    this.state = new StateReader(database);
    this.#segments = found.segments;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined); // Whoever waits for it sees the rejection; it must not end the process before that.
    this.stopped = promise;
    this.#writer = new Writer(
      database,
      {
        seqs: new Seqs(found.nextSeq),
        nextPublish: found.nextPublish,
        writesMax: options.batchMax,
        segments: found.segments,
        durability: options.durability,
        compression: options.compression,
        syncIntervalMs: options.syncIntervalMs,
      },
      {
        incoming: (messages) => {
          this.#appended += messages.length;
          this.#events.incoming(messages);
          this.#keeper.grown();
        },
        publishes: (number, records, consumer) => this.#events.publishes(number, records, consumer),
        failed: reject,
      },
    );
    this.#keeper = new Keeper(
      {
        database,
        writer: this.#writer,
        segments: found.segments,
        freed: found.outbox.freed,
        stocks: () => this.#stocks(),
        failed: (error) => this.#writer.fail(error),
      },
      options,
    );
    this.#deadLetters = new DeadLetters(
      {
        database,
        writer: this.#writer,
        drops: options.drops,
        freed: found.outbox.freed,
        bytesMax: options.deadLettersBytesMax,
        free: () => this.#events.deadLettersFree?.(),
      },
      found.deadLetters,
    );
    this.outbox.attach((point, ops, usage) => this.#write(point, ops, { sync: false, usage }));
    const write = (point: WritePoint) => (ops: readonly Op[]) => this.#write(point, ops, { sync: false });
    this.expiry = new StateExpiry(database, { settled: () => this.#writer.settled(), write: write("expire") });
    this.history = new History(database, write("history"));
    this.traces = new TraceRing(database, write("history"));
    this.qos2 = new Qos2Ledger(this.#writer, found.qos2);
    this.ticks = new Ticks(this.#writer, found.ticks);
    this.close = once(async () => {
      await this.#keeper.stop();
      await this.outbox.close();
      await this.#writer.close();
      await database.close();
      resolve();
    });
  }

  /** @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL, DATA_CORRUPT */
  static async open(options: JournalOptions, open: OpenDatabase = openDatabase): Promise<Journal> {
    const all = complete(options);
    const { database, found } = await openJournal(all, open);
    return new Journal(database, found, all);
  }

  /** Who is told of new messages and publishes. Set once, before anything is appended. */
  subscribe(events: JournalEvents): void {
    this.#events = events;
  }

  /**
   * `done` is called when the message is as safe as the journal's durability makes it, or with the error that kept it from getting there. A
   * volatile entry is announced and forgotten.
   */
  append(entry: Entry, done: (error?: MillraceError) => void): void {
    if (entry.volatile === true) return this.#writer.pass(entry, done);
    this.#writer.submit({ point: "append", entries: [entry], ops: [], publishes: [], sync: true, done });
  }

  commit(commit: Commit, done: (error?: MillraceError) => void): void {
    const ops: Op[] = commit.state.map(({ key, name, value }) => {
      const at = stateKey(commit.consumer, key, name);
      return value === undefined ? { key: at } : { key: at, value };
    });
    ops.push(...this.expiry.stage(commit.consumer, commit.state));
    if (commit.deadLetters.length > 0) ops.push(...this.#deadLetters.stage(commit.deadLetters, commit.overflow ?? "block"));
    for (const mark of commit.marks ?? []) ops.push(markOp(commit.consumer, mark));
    const staged = commit.events.length > 0 ? this.outbox.stage(commit.events) : undefined;
    if (staged !== undefined) ops.push(...staged.ops);
    this.#writer.submit({
      point: "commit",
      ops,
      entries: commit.derived,
      cursor: { consumer: commit.consumer, value: commit.cursor.encode() },
      ...(staged === undefined ? {} : { usage: staged.usage }),
      publishes: commit.publishes,
      // What a message causes is never seen before the message is on disk, also when it comes from a function.
      sync: commit.sync === true || commit.derived.some((entry) => entry.volatile !== true),
      done: (error) => {
        if (error === undefined && staged !== undefined) this.outbox.added(staged);
        done(error);
      },
    });
  }

  /** The broker has taken every record of these publishes. */
  delivered(number: number): void {
    this.#writer.delivered(number);
  }

  /** Hands out again what was committed but perhaps not delivered when the process ended. */
  async redeliver(): Promise<void> {
    const entries = await this.#database.iterator(prefixRange("p")).all();
    for (const [key, value] of entries) {
      const records = splitRecords(value);
      // In data of earlier versions several functions may share an entry; it counts as that of the first.
      const [first] = records;
      if (first !== undefined) this.#events.publishes(numberOf(key), records, publisherOf(first));
    }
  }

  /**
   * Messages from `from` on, everything that was announced before included, at most about `max` and READ_BYTES_MAX (whole blocks are read). Empty at the
   * end of the journal.
   */
  async read(from: number, max: number): Promise<readonly JournaledMessage[]> {
    await this.#writer.announced();
    const [before] = await this.#database.keys({ gte: numberKey("j", 0), lte: numberKey("j", from), reverse: true, limit: 1 }).all();
    const messages: JournaledMessage[] = [];
    const iterator = this.#database.iterator({ gte: before ?? numberKey("j", from), lt: Buffer.from("k") });
    try {
      for (let bytes = 0; messages.length < max && bytes < READ_BYTES_MAX;) {
        const entry = await iterator.next();
        if (entry === undefined) break;
        bytes += entry[1].length;
        messages.push(...decodeBlock(numberOf(entry[0]), entry[1]).filter((message) => message.seq >= from));
      }
    } finally {
      await iterator.close();
    }
    return messages;
  }

  /** The seq of the next message to be appended. */
  get nextSeq(): number {
    return this.#writer.nextSeq;
  }

  get appended(): number {
    return this.#appended;
  }

  get commits(): number {
    return this.#writer.batches;
  }

  /** The lowest cursor, as it was when the journal was opened, of the functions that `running` does not answer for. */
  restingFloor(running: (name: string) => boolean): number {
    let floor = Infinity;
    for (const [name, found] of this.#floors) {
      if (this.#functions.has(name) && !running(name)) floor = Math.min(floor, found);
    }
    return floor;
  }

  functionRecord(name: string): FunctionRecord | undefined {
    return this.#functions.get(name);
  }

  /** By name. */
  get functionRecords(): ReadonlyMap<string, FunctionRecord> {
    return this.#functions;
  }

  /** Makes durable that this version handles messages from `record.from` on, with the cursor as it stands then. */
  async saveFunction(name: string, record: FunctionRecord, cursor: Cursor): Promise<void> {
    await this.#write("switch", [
      { key: nameKey("f", name), value: Buffer.from(JSON.stringify(record)) },
      { key: nameKey("c", name), value: cursor.encode() },
    ]);
    this.#functions.set(name, record);
  }

  /** Remembers whether the version on record does its host no harm. */
  async saveProof(name: string, proven: boolean): Promise<void> {
    const known = this.#functions.get(name);
    if (known === undefined) return;
    const record = { ...known, proven };
    this.#functions.set(name, record);
    await this.#write("switch", [{ key: nameKey("f", name), value: Buffer.from(JSON.stringify(record)) }], { sync: false });
  }

  /** The function's state stays, for the day it is deployed again. */
  async removeFunction(name: string): Promise<void> {
    await this.#write("remove", [{ key: nameKey("f", name) }, { key: nameKey("c", name) }]);
    this.#functions.delete(name);
  }

  async cursor(consumer: string): Promise<Cursor | undefined> {
    const value = await this.#database.get(nameKey("c", consumer));
    return value === undefined ? undefined : Cursor.decode(value);
  }

  /** Forgets which idempotency keys the function has handled. */
  async dropMarks(functionName: string): Promise<void> {
    const range = prefixRange(`k${functionName}\0`);
    const [first] = await this.#database.keys({ ...range, limit: 1 }).all();
    if (first !== undefined) await this.#database.clear({ ...range, point: "remove" });
  }

  loadState(functionName: string, key: string): Promise<readonly { name: string; value: Buffer }[]> {
    return this.state.load(functionName, key);
  }

  deadLetters(functionName: string | undefined, limit: number): Promise<readonly DeadLetter[]> {
    return this.#deadLetters.list(functionName, limit);
  }

  deadLetter(functionName: string, seq: number): Promise<DeadLetter | undefined> {
    return this.#deadLetters.get(functionName, seq);
  }

  /** Deletes the dead letters of one function or all; resolves with their number when that is on disk. */
  clearDeadLetters(functionName: string | undefined): Promise<number> {
    return this.#deadLetters.clear(functionName);
  }

  /** At the quota. A function whose overflow is `block` waits until `deadLettersFree` before it gives up another message. */
  get deadLettersFull(): boolean {
    return this.#deadLetters.full;
  }

  get deadLettersUsage(): { readonly count: number; readonly bytes: number; readonly full: boolean } {
    const { count, bytes, full } = this.#deadLetters;
    return { count, bytes, full };
  }

  /** Deletes, whole segment by whole segment, what is below `consumed` and kept neither by age nor by bytes. The last segment stays. */
  trim(consumed: number): Promise<void> {
    return this.#keeper.trim(consumed);
  }

  /** From here on the journal trims itself, keeps to its quota and watches the free space. Resolves when it has looked for the first time. */
  keep(consumers: Consumers): Promise<void> {
    return this.#keeper.start(consumers);
  }

  /** A seq at or before the first message that arrived at `timeMs` or later; the next seq when none has. */
  seqAt(timeMs: number): Promise<number> {
    return Promise.resolve(this.#segments.seqAt(timeMs) ?? this.#writer.nextSeq);
  }

  /** Why messages from clients wait at the moment, if they do. */
  get waiting(): readonly Hold[] {
    return this.#writer.holds;
  }

  /** The oldest message that is kept, and the bytes of all of them as they are on disk. */
  get kept(): { readonly first: number; readonly bytes: number } {
    return { first: this.#segments.list[0]?.first ?? this.#writer.nextSeq, bytes: this.#segments.bytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #stocks(): readonly Stock[] {
    return [
      { ...bounds("j"), bytes: this.#segments.bytes },
      { ...bounds("o"), bytes: this.outbox.bytes },
      { ...bounds("d"), bytes: this.#deadLetters.bytes },
    ];
  }

  #write(point: WritePoint, ops: readonly Op[], more: { sync: boolean; usage?: Op } = { sync: true }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writer.submit({ ...more, point, ops, entries: [], publishes: [], done: (error) => (error ? reject(error) : resolve()) });
    });
  }
}

function bounds(kind: "j" | "o" | "d"): Pick<Stock, "from" | "to"> {
  const { gte, lt } = prefixRange(kind);
  return { from: gte, to: lt };
}
