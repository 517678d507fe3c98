import { decode, encode } from "cbor-x";
import { mkdir } from "node:fs/promises";
import { Cursor } from "../core/cursor.ts";
import { MillraceError, systemCode } from "../core/errors.ts";
import type { OutboxEvent } from "../core/event.ts";
import { once } from "../core/lifecycle.ts";
import type { JournaledMessage } from "../core/message.ts";
import type { DeadLetter } from "../core/stats.ts";
import { decodeBlock, endOfBlock, splitRecords } from "./block.ts";
import { type Database, type Op, type OpenDatabase, openDatabase, type WritePoint } from "./database.ts";
import { deadLetterKey, nameKey, nameOf, numberKey, numberOf, prefixRange, stateKey } from "./keys.ts";
import { Outbox } from "./outbox.ts";
import { Qos2Ledger } from "./qos2.ts";
import { Seqs } from "./seqs.ts";
import { type Durability, type Entry, Writer } from "./writer.ts";

export type { Entry } from "./writer.ts";

const SYNC_INTERVAL_MS = 100;

export interface JournalOptions {
  /** Folder of the database; made when it is missing. */
  readonly location: string;
  /** Writes that may share one batch. */
  readonly batchMax: number;
  /** `fsync` without it. */
  readonly durability?: Durability;
  /** How long after an append its sync follows when durability is `interval`; 100 ms without it. */
  readonly syncIntervalMs?: number;
}

/** What the handling of some messages of one function brings about; written as a whole or not at all. */
export interface Commit {
  readonly consumer: string;
  readonly cursor: Cursor;
  readonly state: readonly StateWrite[];
  readonly events: readonly OutboxEvent[];
  /** Records for the broker to deliver. */
  readonly publishes: readonly Uint8Array[];
  /** Those of the publishes that wake functions here: they enter the journal in the same write. */
  readonly derived: readonly Entry[];
  readonly deadLetters: readonly DeadLetter[];
}

export interface StateWrite {
  readonly key: string;
  readonly name: string;
  /** No value deletes. */
  readonly value?: Buffer;
}

/** Which version of a function handles messages, and from where on. */
export interface FunctionRecord {
  readonly version: number;
  readonly digest: string;
  readonly from: number;
}

export interface JournalEvents {
  /** New messages are being written, in order; they may be handled at once, because every commit is written after them. */
  incoming(messages: readonly JournaledMessage[]): void;
  /** Publishes are committed; answer with `delivered(number)` when the broker has taken them all. */
  publishes(number: number, records: readonly Uint8Array[]): void;
}

/** The ordered, durable log of messages on the gateway, and everything that is committed together with a position in it. */
export class Journal implements AsyncDisposable {
  readonly outbox: Outbox;
  readonly qos2: Qos2Ledger;
  readonly close: () => Promise<void>;
  /** Rejects when the disk refuses a write: nothing can be acknowledged any more. */
  readonly stopped: Promise<void>;
  readonly #database: Database;
  readonly #writer: Writer;
  readonly #functions: Map<string, FunctionRecord>;
  readonly #floors: ReadonlyMap<string, number>;
  #events: JournalEvents = { incoming: () => undefined, publishes: () => undefined };
  #appended = 0;
  #trimmed = 0;

  private constructor(database: Database, found: Found, options: JournalOptions) {
    this.#database = database;
    this.#functions = found.functions;
    this.#floors = found.floors;
    this.outbox = found.outbox;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined); // Whoever waits for it sees the rejection; it must not end the process before that.
    this.stopped = promise;
    this.#writer = new Writer(
      database,
      {
        seqs: new Seqs(found.nextSeq),
        nextPublish: found.nextPublish,
        writesMax: options.batchMax,
        durability: options.durability ?? "fsync",
        syncIntervalMs: options.syncIntervalMs ?? SYNC_INTERVAL_MS,
      },
      {
        incoming: (messages) => {
          this.#appended += messages.length;
          this.#events.incoming(messages);
        },
        publishes: (number, records) => this.#events.publishes(number, records),
        failed: reject,
      },
    );
    this.qos2 = new Qos2Ledger(this.#writer, found.qos2);
    this.close = once(async () => {
      await this.#writer.close();
      await database.close();
      resolve();
    });
  }

  /** @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL, DATA_CORRUPT */
  static async open(options: JournalOptions, open: OpenDatabase = openDatabase): Promise<Journal> {
    await makeFolder(options.location);
    const database = await open(options.location);
    return new Journal(database, await look(database), options);
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
    for (const letter of commit.deadLetters) ops.push({ key: deadLetterKey(letter.function, letter.seq), value: encode(letter) });
    if (commit.events.length > 0) ops.push(...this.outbox.stage(commit.events));
    this.#writer.submit({
      point: "commit",
      ops,
      entries: commit.derived,
      cursor: { consumer: commit.consumer, value: commit.cursor.encode() },
      publishes: commit.publishes,
      // What a message causes is never seen before the message is on disk, also when it comes from a function.
      sync: commit.derived.some((entry) => entry.volatile !== true),
      done: (error) => {
        if (error === undefined) this.outbox.added(commit.events.length);
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
    for (const [key, value] of entries) this.#events.publishes(numberOf(key), splitRecords(value));
  }

  /** Messages from `from` on, everything that was announced before included, at most about `max` (whole blocks are read). Empty at the end of the journal. */
  async read(from: number, max: number): Promise<readonly JournaledMessage[]> {
    await this.#writer.announced();
    const [before] = await this.#database.keys({ gte: numberKey("j", 0), lte: numberKey("j", from), reverse: true, limit: 1 }).all();
    const messages: JournaledMessage[] = [];
    const iterator = this.#database.iterator({ gte: before ?? numberKey("j", from), lt: Buffer.from("k") });
    try {
      while (messages.length < max) {
        const entry = await iterator.next();
        if (entry === undefined) break;
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

  /** Makes durable that this version handles messages from `record.from` on, with the cursor as it stands then. */
  async saveFunction(name: string, record: FunctionRecord, cursor: Cursor): Promise<void> {
    await this.#write("switch", [
      { key: nameKey("f", name), value: Buffer.from(JSON.stringify(record)) },
      { key: nameKey("c", name), value: cursor.encode() },
    ]);
    this.#functions.set(name, record);
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

  /** Everything that a function keeps under one key. */
  async loadState(functionName: string, key: string): Promise<readonly { name: string; value: Buffer }[]> {
    const prefix = `s${functionName}\0${key}\0`;
    const entries = await this.#database.iterator(prefixRange(prefix)).all();
    const skip = Buffer.byteLength(prefix);
    return entries.map(([at, value]) => ({ name: at.toString("utf8", skip), value }));
  }

  async deadLetters(functionName: string | undefined, limit: number): Promise<readonly DeadLetter[]> {
    const range = prefixRange(functionName === undefined ? "d" : `d${functionName}\0`);
    const values = await this.#database.values({ ...range, limit, reverse: true }).all();
    return values.map((value) => decode(value) as DeadLetter);
  }

  /** Deletes the blocks in which every message is below `floor`. The last block stays, so that seqs go on from it. */
  async trim(floor: number): Promise<void> {
    if (floor <= this.#trimmed) return;
    // The floor was read from memory. What the messages below it brought about must be on disk before they are gone.
    await this.#writer.settled();
    const [keep] = await this.#database.keys({ gte: numberKey("j", 0), lte: numberKey("j", floor), reverse: true, limit: 1 }).all();
    if (keep !== undefined) await this.#database.clear({ gte: numberKey("j", 0), lt: keep, point: "trim" });
    this.#trimmed = floor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #write(point: WritePoint, ops: readonly Op[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writer.submit({ point, ops, entries: [], publishes: [], sync: true, done: (error) => (error ? reject(error) : resolve()) });
    });
  }
}

interface Found {
  readonly nextSeq: number;
  readonly nextPublish: number;
  readonly functions: Map<string, FunctionRecord>;
  readonly floors: ReadonlyMap<string, number>;
  readonly qos2: Set<string>;
  readonly outbox: Outbox;
}

async function look(database: Database): Promise<Found> {
  const [block] = await database.iterator({ ...prefixRange("j"), reverse: true, limit: 1 }).all();
  const [publish] = await database.keys({ ...prefixRange("p"), reverse: true, limit: 1 }).all();
  const functions = new Map<string, FunctionRecord>();
  for await (const [key, value] of database.iterator(prefixRange("f"))) {
    functions.set(nameOf(key), JSON.parse(value.toString()) as FunctionRecord);
  }
  const floors = new Map<string, number>();
  for await (const [key, value] of database.iterator(prefixRange("c"))) floors.set(nameOf(key), Cursor.decode(value).floor);
  const qos2 = new Set<string>();
  for await (const key of database.keys(prefixRange("q"))) qos2.add(key.toString("latin1"));
  return {
    nextSeq: Math.max(Seqs.read(await database.get(Seqs.key)), block === undefined ? 1 : endOfBlock(numberOf(block[0]), block[1])),
    nextPublish: publish === undefined ? 1 : numberOf(publish) + 1,
    functions,
    floors,
    qos2,
    outbox: await Outbox.open(database),
  };
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new MillraceError("DATA_UNWRITABLE", `the data folder ${folder} cannot be made: ${systemCode(cause) ?? "unknown reason"}`, {
      cause,
    });
  }
}
