import { type Clock, backoffMs, systemClock } from "../core/clock.ts";
import type { Drops } from "../core/drops.ts";
import { messageOf } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import type { Logger } from "../core/log.ts";
import type { LogPage, LogQuery } from "../core/logs.ts";
import { LogDatabase, type LogScan } from "./log-database.ts";
import { type LogEntry, logFilter, toRecord } from "./log-query.ts";
import type { LogRing } from "./logs.ts";

/** Records are written together: when there are so many, or after this time. */
const BLOCK_RECORDS = 256;
const BLOCK_MS = 100;
/** After a failed write. */
const RETRY = { minMs: 1_000, maxMs: 60_000 };
/** More than can be in memory and lost with the process, so that no `n` comes twice. */
const SKIPPED = 20_000;

interface LogStoreOptions {
  readonly location: string;
  readonly bytesMax: number;
  readonly ring: LogRing;
  readonly drops: Drops;
  readonly logger: Logger;
  readonly clock?: Clock;
}

/**
 * Keeps the records of a ring on disk, so that there are more of them and a restart does not take them. The journal never waits for it: the
 * ring is the queue, and what it has to let go before it is written is dropped and counted as `log-unwritten`. A disk that fails is tried
 * again after a while; until then there is what the ring has.
 */
export class LogStore implements AsyncDisposable {
  readonly close: () => Promise<void>;
  readonly #options: LogStoreOptions;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #database: LogDatabase | undefined;
  /** Everything up to this `n` is written, being written or dropped. */
  #taken: number;
  #work: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #held = false;
  #scans: Promise<unknown> = Promise.resolve();

  private constructor(options: LogStoreOptions, database: LogDatabase | undefined) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#database = database;
    const { ring } = options;
    ring.keep(
      { added: () => this.#added(), evicted: (entry) => this.#evicted(entry) },
      database === undefined || database.last === 0 ? 1 : database.last + SKIPPED,
    );
    this.#taken = ring.oldest - 1;
    this.close = once(() => this.#close());
  }

  /** Never fails: without a usable disk there is what the ring has, and the process log says why. */
  static async open(options: LogStoreOptions): Promise<LogStore> {
    const { location, bytesMax, logger } = options;
    const database = await LogDatabase.open(location, bytesMax).catch((error: unknown) => {
      logger.error({ err: error }, "logs of functions are kept in memory only");
      return undefined;
    });
    return new LogStore(options, database);
  }

  /** Nothing is written while the disk has no space to spare. */
  hold(on: boolean): void {
    this.#held = on;
    if (!on) this.#flush();
  }

  get #pending(): number {
    return this.#options.ring.next - 1 - this.#taken;
  }
  /** Records that are not on disk yet, as far as there is one. */
  get unwritten(): number {
    return this.#work === undefined ? this.#pending : Math.max(1, this.#pending);
  }
  /** On disk, uncompressed. */
  get bytes(): number {
    return this.#database?.bytes ?? 0;
  }

  #added(): void {
    if (this.#database === undefined || this.#held || this.#work !== undefined) return;
    if (this.#pending >= BLOCK_RECORDS) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), BLOCK_MS).unref();
  }

  #evicted(entry: LogEntry): void {
    if (entry.n <= this.#taken || this.#database === undefined) return;
    this.#taken = entry.n;
    this.#options.drops.count("log-unwritten", entry.function, 1);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#work !== undefined || this.#held) return;
    this.#work = this.#write().finally(() => {
      this.#work = undefined;
      if (this.#pending > 0) this.#added();
    });
  }

  /** Writes until there is less than a block, or nothing when it is the end; never rejects. */
  async #write(): Promise<void> {
    const { ring, logger } = this.#options;
    let failures = 0;
    do {
      const entries = ring.slice(this.#taken + 1, BLOCK_RECORDS);
      const last = entries.at(-1)?.n;
      if (last === undefined || this.#database === undefined) return;
      this.#taken = last;
      try {
        await this.#database.write(entries);
        if (failures > 0) logger.info("logs of functions are kept on disk again");
        failures = 0;
      } catch (error) {
        this.#giveBack(entries);
        if (failures++ === 0) logger.error({ err: error }, "logs of functions cannot be kept on disk for now");
        if (this.#stop.signal.aborted || !(await this.#reopen(failures))) return;
      }
    } while (!this.#held && (failures > 0 || this.#stop.signal.aborted || this.#pending >= BLOCK_RECORDS));
  }

  /** They are written later if they are still there then. */
  #giveBack(entries: readonly LogEntry[]): void {
    const { ring, drops } = this.#options;
    for (const entry of entries) if (entry.n < ring.oldest) drops.count("log-unwritten", entry.function, 1);
    this.#taken = Math.max((entries[0]?.n ?? 1) - 1, ring.oldest - 1);
  }

  /** LevelDB takes nothing more after a failed write. Waits and opens it again, until that succeeds; false when told to stop. */
  async #reopen(failures: number): Promise<boolean> {
    const { location, bytesMax } = this.#options;
    for (let attempt = failures; ; attempt++) {
      try {
        await this.#clock.sleep(backoffMs(attempt, RETRY), this.#stop.signal);
      } catch {
        // The signal is the only reason; what is not written stays unwritten.
        return false;
      }
      try {
        await this.#inTurn(async () => {
          await this.#database?.close();
          this.#database = await LogDatabase.open(location, bytesMax);
        });
        return true;
      } catch (error) {
        this.#options.logger.warn({ error: messageOf(error) }, "logs of functions still cannot be kept on disk");
      }
    }
  }

  /** @throws MillraceError DATA_CORRUPT; the signal's reason */
  async query(query: LogQuery, signal: AbortSignal): Promise<LogPage> {
    const { ring } = this.#options;
    if (query.after === undefined) return this.#newest(query, signal);
    for (let at = query.after; ;) {
      if (at + 1 >= ring.oldest || this.#database === undefined) return ring.query({ ...query, after: at });
      const before = ring.oldest;
      const found = await this.#scan(query, { from: at + 1, before, reverse: false, signal });
      const last = found.at(-1)?.n;
      if (last !== undefined && found.length >= query.limit) return { records: found.map(toRecord), next: last };
      if (last !== undefined) {
        const rest = ring.query({ ...query, after: before - 1, limit: query.limit - found.length });
        // What the ring has let go meanwhile is on disk by now: the next query begins there.
        return ring.oldest > before
          ? { records: found.map(toRecord), next: before - 1 }
          : { records: [...found.map(toRecord), ...rest.records], next: rest.next };
      }
      at = before - 1;
    }
  }

  async #newest(query: LogQuery, signal: AbortSignal): Promise<LogPage> {
    const { ring } = this.#options;
    const before = ring.oldest;
    const { records, next } = ring.query(query);
    if (records.length >= query.limit || this.#database === undefined) return { records, next };
    const limit = query.limit - records.length;
    const older = await this.#scan({ ...query, limit }, { from: 0, before, reverse: true, signal });
    return { records: [...older.toReversed().map(toRecord), ...records], next };
  }

  /** One after another: however many ask, the gateway has to read and to decode for one of them. */
  #scan(query: LogQuery, range: Pick<LogScan, "from" | "before" | "reverse" | "signal">): Promise<LogEntry[]> {
    return this.#inTurn(() => this.#read(query, range));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#scans.then(work);
    this.#scans = result.catch(() => undefined); // Whoever asked gets the error.
    return result;
  }

  async #read(query: LogQuery, range: Pick<LogScan, "from" | "before" | "reverse" | "signal">): Promise<LogEntry[]> {
    const found: LogEntry[] = [];
    const wanted = logFilter(query);
    const database = this.#database;
    if (database?.isOpen !== true || range.before <= 1) return found;
    const signal = AbortSignal.any([range.signal, this.#stop.signal]);
    for await (const entries of database.scan({ ...range, signal, since: query.since, until: query.until, contains: contained(query) })) {
      for (const entry of entries) {
        if (wanted(entry)) found.push(entry);
        if (found.length >= query.limit) return found;
      }
    }
    return found;
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    await this.#work;
    this.#flush();
    await this.#work;
    clearTimeout(this.#timer);
    const database = this.#database;
    this.#database = undefined;
    await this.#scans;
    await database?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What a block is searched for before it is decoded, which takes many times as long. */
function contained({ function: name, version, level, invocation, trace }: LogQuery): Buffer[] {
  const parts: string[] = [];
  if (name !== undefined) parts.push(`"function":${JSON.stringify(name)}`);
  if (version !== undefined) parts.push(`"version":${version}`);
  if (level === "error") parts.push(`"level":"error"`);
  if (invocation !== undefined) parts.push(`"invocation":${JSON.stringify(invocation).slice(0, -1)}`);
  if (trace !== undefined) parts.push(`"trace":"${trace}"`);
  return parts.map((part) => Buffer.from(part));
}
