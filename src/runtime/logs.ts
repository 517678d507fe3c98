import { Arrivals } from "../core/arrivals.ts";
import { type LogLevel, LOG_LEVELS, type LogRecord } from "../core/stats.ts";

export interface LogQuery {
  /** Only of this function. */
  readonly function?: string;
  /** This level and everything above it. */
  readonly level: LogLevel;
  /** Only records with a higher `n`, the oldest of them; without it the newest records. */
  readonly after?: number;
  readonly limit: number;
}

/** Of all messages that are kept. */
const CHARS_MAX = 8 * 1024 * 1024;

/** The newest records that functions logged; the oldest give way. */
export class LogRing {
  readonly #records: (LogRecord | undefined)[] = [];
  readonly #max: number;
  readonly #charsMax: number;
  readonly #arrivals = new Arrivals();
  #oldest = 1;
  #next = 1;
  #chars = 0;

  constructor(recordsMax: number, charsMax = CHARS_MAX) {
    this.#max = recordsMax;
    this.#charsMax = charsMax;
  }

  add(record: Omit<LogRecord, "n" | "time">): void {
    const n = this.#next++;
    this.#chars += record.message.length;
    while (this.#oldest < n && (n - this.#oldest >= this.#max || this.#chars > this.#charsMax)) this.#drop(this.#oldest++);
    this.#records[n % this.#max] = { n, time: Date.now(), ...record };
    this.#arrivals.announce();
  }

  #drop(n: number): void {
    this.#chars -= this.#records[n % this.#max]?.message.length ?? 0;
    this.#records[n % this.#max] = undefined;
  }

  /** Oldest first. `next` is the `after` of the query that goes on from here. */
  query(query: LogQuery): { records: readonly LogRecord[]; next: number } {
    const oldest = this.#oldest;
    const records: LogRecord[] = [];
    if (query.after === undefined) {
      for (let n = this.#next - 1; n >= oldest && records.length < query.limit; n--) this.#pick(n, query, records);
      return { records: records.toReversed(), next: this.#next - 1 };
    }
    let n = Math.max(oldest, query.after + 1);
    for (; n < this.#next && records.length < query.limit; n++) this.#pick(n, query, records);
    return { records, next: n - 1 };
  }

  #pick(n: number, query: LogQuery, into: LogRecord[]): void {
    const record = this.#records[n % this.#max];
    if (record === undefined || LOG_LEVELS.indexOf(record.level) < LOG_LEVELS.indexOf(query.level)) return;
    if (query.function === undefined || record.function === query.function) into.push(record);
  }

  /** Resolves once a record with a higher `n` exists; rejects with the signal's reason. */
  async more(after: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.#next - 1 <= after) await this.#arrivals.next(signal);
  }
}
