import { Arrivals } from "../core/arrivals.ts";
import type { LogPage, LogQuery } from "../core/logs.ts";
import { type LogEntry, logFilter, toRecord } from "./log-query.ts";

/** Of all messages and fields that are kept. */
const CHARS_MAX = 8 * 1024 * 1024;
/** Of one message. What functions log is cut in the isolate, well below this. */
const MESSAGE_CHARS_MAX = 16 * 1024;
/** Of what is taken at once, but for the last record of it. */
const SLICE_CHARS_MAX = 256 * 1024;

/** Where the records go on to from the memory. Neither may throw. */
interface LogKeeper {
  /** There is a record more. */
  added(): void;
  /** The oldest record gives way to newer ones. */
  evicted(entry: LogEntry): void;
}

/** The newest records that functions logged and that the gateway says about them, in memory; the oldest give way. */
export class LogRing {
  readonly #entries: (LogEntry | undefined)[] = [];
  readonly #max: number;
  readonly #charsMax: number;
  readonly #arrivals = new Arrivals();
  #keeper: LogKeeper | undefined;
  #oldest = 1;
  #next = 1;
  #chars = 0;

  constructor(recordsMax = 10_000, charsMax = CHARS_MAX) {
    this.#max = recordsMax;
    this.#charsMax = charsMax;
  }

  /** Gives everything on to a keeper. An empty ring goes on behind what that one has: `next` is the `n` of the next record. */
  keep(keeper: LogKeeper, next: number): void {
    this.#keeper = keeper;
    if (this.#next === 1) this.#oldest = this.#next = next;
  }

  /** The `n` of the oldest record, and that of the next to come. */
  get oldest(): number {
    return this.#oldest;
  }
  get next(): number {
    return this.#next;
  }

  add(record: Omit<LogEntry, "n" | "time">): void {
    const n = this.#next++;
    const entry = { n, time: Date.now(), ...record, message: cut(record.message) };
    this.#chars += charsOf(entry);
    while (this.#oldest < n && (n - this.#oldest >= this.#max || this.#chars > this.#charsMax)) this.#drop(this.#oldest++);
    this.#entries[n % this.#max] = entry;
    this.#keeper?.added();
    this.#arrivals.announce();
  }

  #drop(n: number): void {
    const entry = this.#entries[n % this.#max];
    this.#entries[n % this.#max] = undefined;
    if (entry === undefined) return;
    this.#chars -= charsOf(entry);
    this.#keeper?.evicted(entry);
  }

  /** At most `max` entries from `from` on, which has to be no earlier than the oldest. */
  slice(from: number, max: number): LogEntry[] {
    const entries: LogEntry[] = [];
    let chars = 0;
    for (let n = from; n < this.#next && entries.length < max && chars < SLICE_CHARS_MAX; n++) {
      const entry = this.#entries[n % this.#max];
      if (entry === undefined) continue;
      entries.push(entry);
      chars += charsOf(entry);
    }
    return entries;
  }

  query(query: LogQuery): LogPage {
    const wanted = logFilter(query);
    const found: LogEntry[] = [];
    const pick = (n: number): void => {
      const entry = this.#entries[n % this.#max];
      if (entry !== undefined && wanted(entry)) found.push(entry);
    };
    if (query.after === undefined) {
      for (let n = this.#next - 1; n >= this.#oldest && found.length < query.limit; n--) pick(n);
      return { records: found.toReversed().map(toRecord), next: this.#next - 1 };
    }
    let n = Math.max(this.#oldest, query.after + 1);
    for (; n < this.#next && found.length < query.limit; n++) pick(n);
    return { records: found.map(toRecord), next: n - 1 };
  }

  /** Resolves once a record with a higher `n` exists; rejects with the signal's reason. */
  async more(after: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.#next - 1 <= after) await this.#arrivals.next(signal);
  }
}

function cut(message: string): string {
  const surplus = message.length - MESSAGE_CHARS_MAX;
  return surplus <= 0 ? message : `${message.slice(0, MESSAGE_CHARS_MAX)} … (LIMIT_LOG: ${surplus} more characters are left out)`;
}

function charsOf({ message, fields = "" }: LogEntry): number {
  return message.length + fields.length;
}
