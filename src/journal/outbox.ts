import { decode, Encoder } from "cbor-x";
import { type Clock, systemClock } from "../core/clock.ts";
import type { DropReason } from "../core/drops.ts";
import type { EmittedEvent, OutboxEvent } from "../core/event.ts";
import { EVENT_BYTES_MAX } from "../core/link.ts";
import { laneOfRule, LANES, overflowOf, priorityOf } from "../core/outbox-lanes.ts";
import { DEFAULT_RULE } from "../core/outbox-rules.ts";
import type { Database, Op, WritePoint } from "./database.ts";
import { Freed } from "./freed.ts";
import { nameKey } from "./keys.ts";
import { eventKey, expiryKey, parseEventKey, parseExpiryKey } from "./outbox-keys.ts";
import { LatestIndex } from "./outbox-latest.ts";
import { type OutboxLimits, OutboxQuota } from "./outbox-quota.ts";
import { OutboxUsage } from "./outbox-usage.ts";
import { Waiting } from "./waiting.ts";

const encoder = new Encoder({ useRecords: false });
const NOTHING = Buffer.alloc(0);
const USAGE_KEY = nameKey("m", "outbox");
/** Events that one step of dropping reads. */
const DROP_EVENTS = 1_000;
/** Where each lane begins. */
const STARTS = Array.from({ length: LANES }, (_, lane) => eventKey(lane, 0));
const EXPIRIES = expiryKey(0, 0, 0);
const READ_AHEAD_BYTES = 256 * 1024;

export interface OutboxOptions extends OutboxLimits {
  readonly drops: { count(reason: DropReason, functionName: string, amount: number): void };
  readonly clock?: Clock;
}

/** An event that waits, in the encoding in which it travels. Positions increase over all lanes and are never used again. */
export interface OutboxRow {
  readonly lane: number;
  readonly position: number;
  readonly key: Buffer;
  readonly event: Buffer;
  /** Milliseconds since the epoch; it may not be sent from then on. */
  readonly expiresAt?: number;
}

/** What adds events, to be written with whatever caused them. */
export interface Staged {
  readonly ops: readonly Op[];
  /** The sizes after that; of several in a batch only the last needs to be written. */
  readonly usage: Op;
  /** The last position in each lane. */
  readonly tails: ReadonlyMap<number, number>;
}

/** Hands a write to the journal's writer; resolves when it is written. */
export type WriteOutbox = (point: WritePoint, ops: readonly Op[], usage: Op) => Promise<void>;

/** The events that the cloud has not confirmed yet, in lanes (see core/outbox-lanes.ts), in each lane in the order in which they were committed. */
export class Outbox {
  /** What was deleted; others may add to it. */
  readonly freed = new Freed();
  readonly #database: Database;
  readonly #options: OutboxOptions;
  readonly #clock: Clock;
  readonly #usage: OutboxUsage;
  readonly #quota: OutboxQuota;
  readonly #latest = new Map<number, LatestIndex>();
  readonly #waiting = new Waiting();
  /** The newest position on disk of each lane, and the one below which nothing is left. */
  readonly #tails = new Float64Array(LANES);
  readonly #heads = new Float64Array(LANES).fill(1);
  #write: WriteOutbox = () => Promise.reject(new Error("the outbox is not attached to a writer"));
  #pressureChanged: (pressure: number) => void = () => undefined;
  /** Whoever takes events away waits for the one before, so that each finds what is really there. */
  #removing: Promise<unknown> = Promise.resolve();
  #shedding = false;
  #closed = false;

  private constructor(database: Database, usage: OutboxUsage, options: OutboxOptions) {
    this.#database = database;
    this.#usage = usage;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#quota = new OutboxQuota(options, usage);
    this.#quota.refresh();
  }

  /** `recount`: the record of the sizes may not be right, because the database had to be repaired. */
  static async open(database: Database, options: OutboxOptions, recount = false): Promise<Outbox> {
    const record = await database.get(USAGE_KEY);
    const usage = recount ? await OutboxUsage.counted(database, record) : OutboxUsage.decode(record);
    const outbox = new Outbox(database, usage, options);
    for (let lane = 0; lane < LANES; lane++) {
      if (outbox.#usage.countOf(lane) > 0) await outbox.#lookAt(lane);
    }
    outbox.#waiting.reached(Math.max(...outbox.#tails));
    return outbox;
  }

  async #lookAt(lane: number): Promise<void> {
    const [last] = await this.#database.keys({ gte: eventKey(lane, 0), lt: eventKey(lane + 1, 0), reverse: true, limit: 1 }).all();
    this.#tails[lane] = last === undefined ? 0 : parseEventKey(last).position;
    if (overflowOf(lane) !== "keep-latest") return;
    for await (const [key, event] of this.#database.iterator({ gte: eventKey(lane, 0), lt: eventKey(lane + 1, 0) })) {
      const decoded = decode(event) as OutboxEvent;
      this.#index(lane).set(decoded, { function: decoded.function, key, bytes: key.length + event.length });
    }
  }

  /** Who writes, and who is told where the outbox is full (see `pressureOf`): at once and whenever that changes. */
  attach(write: WriteOutbox): void {
    this.#write = write;
  }

  onPressure(changed: (pressure: number) => void): void {
    this.#pressureChanged = changed;
    changed(this.#quota.pressure);
  }

  /** Events that wait, and their size on disk. */
  get pending(): number {
    return this.#usage.count;
  }

  get bytes(): number {
    return this.#usage.bytes;
  }

  /** The newest position of each lane; 0 where there was never one. */
  tails(): readonly number[] {
    return [...this.#tails];
  }

  /** The writes that add those of the `events` for which there is room; `added` has to follow when they are on disk. */
  stage(events: readonly EmittedEvent[]): Staged {
    const ops: Op[] = [];
    const tails = new Map<number, number>();
    for (const event of events) this.#stage(event, ops, tails);
    this.#refresh();
    return { ops, usage: this.#usageOp(), tails };
  }

  #stage(event: EmittedEvent, ops: Op[], tails: Map<number, number>): void {
    const { rule = DEFAULT_RULE, placed, ...sent } = event;
    const { function: name } = sent;
    const value = encoder.encode(sent);
    if (value.length > EVENT_BYTES_MAX) return this.#options.drops.count("outbox-too-large", name, 1);
    const lane = laneOfRule(rule);
    const full = this.#quota.isFull(rule);
    if (full && rule.overflow === "drop-newest") return this.#options.drops.count("outbox-overflow", name, 1);
    if (rule.overflow === "keep-latest" && !this.#replace(lane, event, full, ops)) return;
    const position = this.#usage.next++;
    const expiresAt = rule.ttlMs === undefined ? undefined : this.#clock.now() + rule.ttlMs;
    const key = eventKey(lane, position, expiresAt);
    const bytes = key.length + value.length;
    ops.push({ key, value });
    if (expiresAt !== undefined) ops.push({ key: expiryKey(expiresAt, lane, position), value: NOTHING });
    this.#usage.change(lane, 1, bytes);
    if (rule.overflow === "keep-latest") this.#index(lane).set(event, { function: name, key, bytes });
    if (full) this.#quota.owe(rule, bytes);
    tails.set(lane, position);
    placed?.(key);
  }

  /** Takes away the event that this one makes old, or when there is no room the one whose subject was silent longest. False without room. */
  #replace(lane: number, event: EmittedEvent, full: boolean, ops: Op[]): boolean {
    const index = this.#index(lane);
    const replaced = index.take(event);
    const gone = replaced ?? (full || index.isFull ? index.takeOldest() : undefined);
    if (gone === undefined && full) {
      this.#options.drops.count("outbox-overflow", event.function, 1);
      return false;
    }
    if (gone === undefined) return true;
    this.#options.drops.count(replaced === undefined ? "outbox-overflow" : "outbox-replaced", gone.function, 1);
    this.#usage.change(lane, -1, -gone.bytes);
    ops.push(...deletesOf(gone.key).filter((op) => op !== undefined));
    return true;
  }

  added({ tails }: Staged): void {
    if (tails.size === 0) return;
    for (const [lane, position] of tails) this.#tails[lane] = position;
    this.#waiting.reached(Math.max(...tails.values()));
    if (this.#quota.owing().length > 0) void this.#shed().catch(() => undefined); // A write that fails ends the journal, which says so.
  }

  /**
   * The oldest events of a lane behind `after`, at most `max.events` and, unless it is a single one, about `max.bytes`. What may not be sent
   * any more is among them.
   */
  async rows(lane: number, after: number, max: { events: number; bytes: number }): Promise<OutboxRow[]> {
    const head = this.#heads[lane] ?? 1;
    // Not from zero: what was deleted before is still in the way of an iterator.
    const from = Math.max(after + 1, head);
    const rows: OutboxRow[] = [];
    const range = { gte: eventKey(lane, from), lt: eventKey(lane + 1, 0), limit: max.events, highWaterMarkBytes: READ_AHEAD_BYTES };
    const iterator = this.#database.iterator(range);
    try {
      for (let bytes = 0; bytes < max.bytes;) {
        const entry = await iterator.next();
        if (entry === undefined) break;
        const [key, event] = entry;
        bytes += event.length;
        rows.push({ ...parseEventKey(key), key, event });
      }
    } finally {
      await iterator.close();
    }
    if (from <= head && rows[0] !== undefined) this.#heads[lane] = rows[0].position;
    return rows;
  }

  /** The events with positions above `after`, in the order of their commits, at most `max`: for looking at them. */
  async read(after: number, max: number): Promise<readonly { position: number; event: OutboxEvent }[]> {
    const entries = await this.#database.iterator({ gte: eventKey(0, 0), lt: eventKey(LANES, 0) }).all();
    return entries
      .map(([key, event]) => ({ position: parseEventKey(key).position, event: decode(event) as OutboxEvent }))
      .filter(({ position }) => position > after)
      .toSorted((a, b) => a.position - b.position)
      .slice(0, max);
  }

  /** What has become of the event that was placed under a key. */
  async fateOf(key: Buffer): Promise<"waiting" | "uploaded" | "gone"> {
    if ((await this.#database.get(key)) !== undefined) return "waiting";
    const { lane, expiresAt } = parseEventKey(key);
    const mayGo = expiresAt !== undefined || overflowOf(lane) === "drop-oldest" || overflowOf(lane) === "keep-latest";
    return mayGo ? "gone" : "uploaded";
  }

  /** Forgets events that the cloud has; those that are gone already do not matter. */
  remove(rows: readonly OutboxRow[]): Promise<void> {
    return this.#exclusively(async () => void (await this.#delete("upload", rows)));
  }

  /** Drops events that have expired. */
  expire(rows: readonly OutboxRow[]): Promise<void> {
    return this.#exclusively(async () => void (await this.#drop(rows, "outbox-expired")));
  }

  /** Drops everything that has expired by now. */
  async sweep(): Promise<void> {
    let found = DROP_EVENTS;
    while (found === DROP_EVENTS && !this.#closed) found = await this.#exclusively(() => this.#dropExpired());
  }

  async #dropExpired(): Promise<number> {
    const range = { gte: expiryKey(0, 0, 0), lt: expiryKey(this.#clock.now() + 1, 0, 0), limit: DROP_EVENTS };
    const expired = await this.#database.keys(range).all();
    const rows = await Promise.all(expired.map((at) => this.#expired(at)));
    await this.#drop(
      rows.filter((row) => row !== undefined),
      "outbox-expired",
    );
    // After a repair there may be times of events that were lost.
    const lost = expired.filter((_, index) => rows[index] === undefined).map((key): Op => ({ key }));
    if (lost.length > 0) await this.#write("shed", lost, this.#usageOp());
    return expired.length;
  }

  /** Resolves once there is an event above `after` on disk; rejects with the signal's reason. */
  waitForMore(after: number, signal: AbortSignal): Promise<void> {
    return this.#waiting.forMore(after, signal);
  }

  /** Finishes what is under way; to be called before the database is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#removing;
  }

  async #expired(at: Buffer): Promise<OutboxRow | undefined> {
    const { lane, position, expiresAt } = parseExpiryKey(at);
    const key = eventKey(lane, position, expiresAt);
    const event = await this.#database.get(key);
    return event === undefined ? undefined : { lane, position, key, event, expiresAt };
  }

  /** Drops the oldest events of lanes that are over their quota and may. */
  async #shed(): Promise<void> {
    if (this.#shedding) return;
    this.#shedding = true;
    try {
      for (let lanes = this.#quota.owing(); lanes.length > 0 && !this.#closed; lanes = this.#quota.owing()) {
        for (const lane of lanes) await this.#exclusively(() => this.#shedLane(lane));
      }
    } finally {
      this.#shedding = false;
    }
  }

  async #shedLane(lane: number): Promise<void> {
    const owed = this.#quota.isFull({ priority: priorityOf(lane), overflow: overflowOf(lane) }) ? this.#quota.owed(lane) : 0;
    const rows = owed === 0 ? [] : await this.rows(lane, 0, { events: DROP_EVENTS, bytes: owed });
    let bytes = 0;
    const oldest = rows.filter(({ key, event }) => bytes < owed && (bytes += key.length + event.length) > 0);
    const gone = await this.#drop(oldest, "outbox-overflow");
    // What is owed and not there any more went another way: to the cloud, or by its time.
    this.#quota.pay(lane, oldest.length === 0 ? Infinity : gone.reduce((sum, { key, event }) => sum + key.length + event.length, 0));
    this.#refresh();
  }

  async #drop(rows: readonly OutboxRow[], reason: DropReason): Promise<readonly OutboxRow[]> {
    const gone = await this.#delete("shed", rows);
    for (const { event } of gone) this.#options.drops.count(reason, (decode(event) as OutboxEvent).function, 1);
    return gone;
  }

  /** Deletes those of the rows that still wait, and returns them. */
  async #delete(point: "upload" | "shed", rows: readonly OutboxRow[]): Promise<readonly OutboxRow[]> {
    const found = await this.#found(rows);
    // An event is replaced without waiting for anyone, so whether it was has to be asked now.
    const present = found.filter((row) => overflowOf(row.lane) !== "keep-latest" || this.#index(row.lane).takeExactly(row));
    if (present.length === 0) return present;
    const ops: Op[] = [];
    for (const { lane, key, event } of present) {
      const [deleted, expiry] = deletesOf(key);
      ops.push(deleted);
      if (expiry !== undefined) ops.push(expiry);
      this.#free(lane, key, key.length + event.length, expiry?.key);
      this.#usage.change(lane, -1, -(key.length + event.length));
    }
    const written = this.#write(point, ops, this.#usageOp());
    this.#refresh();
    await written;
    return present;
  }

  #free(lane: number, key: Buffer, bytes: number, expiry?: Buffer): void {
    const start = STARTS[lane];
    if (start !== undefined) this.freed.add(start, key, bytes);
    if (expiry !== undefined) this.freed.add(EXPIRIES, expiry, expiry.length);
  }

  /** Those of the rows that are on disk. Only what may go in another way than to the cloud has to be looked for. */
  async #found(rows: readonly OutboxRow[]): Promise<readonly OutboxRow[]> {
    const doubtful = rows.filter(({ lane, expiresAt }) => overflowOf(lane) === "drop-oldest" || expiresAt !== undefined);
    if (doubtful.length === 0) return rows;
    const missing = new Set<OutboxRow>();
    await Promise.all(
      doubtful.map(async (row) => {
        if ((await this.#database.get(row.key)) === undefined) missing.add(row);
      }),
    );
    return rows.filter((row) => !missing.has(row));
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#removing.then(work);
    this.#removing = result.catch(() => undefined); // The caller gets the error; the next one does not depend on it.
    return result;
  }

  #index(lane: number): LatestIndex {
    let index = this.#latest.get(lane);
    if (index === undefined) this.#latest.set(lane, (index = new LatestIndex()));
    return index;
  }

  #usageOp(): Op {
    return { key: USAGE_KEY, value: this.#usage.encode() };
  }

  #refresh(): void {
    if (this.#quota.refresh()) this.#pressureChanged(this.#quota.pressure);
  }
}

function deletesOf(key: Buffer): [Op, Op?] {
  const { lane, position, expiresAt } = parseEventKey(key);
  return expiresAt === undefined ? [{ key }] : [{ key }, { key: expiryKey(expiresAt, lane, position) }];
}
