import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import type { Logger } from "../core/log.ts";
import { NO_TOTALS, plus, type Totals, totalsSchema, without } from "../core/totals.ts";
import {
  HOUR_MS,
  HOURS_MS_MAX,
  hourSchema,
  type HourTotals,
  rowSchema,
  SAMPLE_MS,
  SAMPLES_MS_MAX,
  type SampleRow,
  type UsageSample,
} from "../core/usage-history.ts";

/** Functions in one sample; the others still count in their hours. */
const ROWS_MAX = 100;
/** What one question brings into memory; of more the newest. */
const ENTRIES_MAX = 50_000;

/** A function as it stands: its totals go on over versions and begin with the process. */
export interface RecordedFunction {
  readonly name: string;
  readonly version: number;
  readonly backlog: number;
  readonly heapBytes: number;
  readonly totals: Totals;
}

interface Entry {
  readonly time: number;
  readonly name: string;
  readonly value: string;
}

/** What the recorder needs of the journal. */
interface HistoryStore {
  read(kind: "samples" | "hours", from: number, limit: number): Promise<readonly Entry[]>;
  put(kind: "samples" | "hours", entries: readonly Entry[], keptFrom: number): Promise<void>;
}

interface RecorderParts {
  readonly store: HistoryStore;
  readonly clock: Clock;
  readonly logger: Logger;
  functions(): readonly RecordedFunction[];
}

/**
 * Writes down what functions use: a sample every ten seconds, and totals for each hour. Where nothing happens nothing is written. What a kill of
 * the process takes is what came since the last sample, so these are figures to look at and to plan with, and not of the promise that each
 * message counts once.
 */
export class UsageRecorder implements AsyncDisposable {
  readonly close: () => Promise<void>;
  readonly #parts: RecorderParts;
  readonly #before = new Map<string, Totals>();
  readonly #stopping = new AbortController();
  /** When the hour began whose totals are in memory. */
  #hour = -1;
  #totals = new Map<string, Totals>();
  #running: Promise<void> = Promise.resolve();

  constructor(parts: RecorderParts) {
    this.#parts = parts;
    this.close = once(async () => {
      this.#stopping.abort();
      await this.#running;
      await this.#tryRecord();
    });
  }

  start(): void {
    this.#running = this.#run(this.#stopping.signal);
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#parts.clock.sleep(SAMPLE_MS, signal).catch(() => undefined); // Aborted: the loop ends.
      if (!signal.aborted) await this.#tryRecord();
    }
  }

  async #tryRecord(): Promise<void> {
    try {
      await this.record();
    } catch (error) {
      this.#parts.logger.error({ error: messageOf(error) }, "what functions use cannot be written down");
    }
  }

  /** Writes down what has been used since the last time. */
  async record(): Promise<void> {
    const { store, clock } = this.#parts;
    const now = clock.now();
    const rows = this.#rows();
    if (rows.length === 0) return;
    await this.#turnTo(now - (now % HOUR_MS));
    const hours = rows.filter(({ invocations, errors }) => invocations + errors > 0).map((row) => this.#count(row));
    const shown = rows.toSorted((one, other) => other.cpuMs - one.cpuMs).slice(0, ROWS_MAX);
    await store.put("samples", [{ time: now, name: "", value: JSON.stringify(shown) }], now - SAMPLES_MS_MAX);
    if (hours.length > 0) await store.put("hours", hours, now - HOURS_MS_MAX);
  }

  /** Of everybody who did something or has something waiting. */
  #rows(): SampleRow[] {
    const functions = this.#parts.functions();
    const rows = functions.map(({ name, totals, ...about }) => {
      const before = this.#before.get(name) ?? NO_TOTALS;
      // One that was removed and deployed again has begun anew.
      const row = { function: name, ...about, ...without(totals, before.invocations <= totals.invocations ? before : NO_TOTALS) };
      this.#before.set(name, totals);
      return row;
    });
    const names = new Set(functions.map(({ name }) => name));
    for (const name of this.#before.keys()) if (!names.has(name)) this.#before.delete(name);
    return rows.filter(({ invocations, errors, backlog }) => invocations + errors + backlog > 0);
  }

  /** Whichever way the clock went, an hour goes on with what is stored of it. */
  async #turnTo(hour: number): Promise<void> {
    if (hour === this.#hour) return;
    const stored = await this.hours(hour);
    this.#totals = new Map(stored.filter(({ time }) => time === hour).map((each) => [each.function, totalsSchema.parse(each)]));
    this.#hour = hour;
  }

  #count(row: SampleRow): Entry {
    const totals = plus(this.#totals.get(row.function) ?? NO_TOTALS, totalsSchema.parse(row));
    this.#totals.set(row.function, totals);
    return { time: this.#hour, name: row.function, value: JSON.stringify(totals) };
  }

  /** Totals by hour and function, oldest first, from a time in milliseconds since the epoch on. */
  async hours(from: number): Promise<readonly HourTotals[]> {
    const entries = await this.#parts.store.read("hours", from - (from % HOUR_MS), ENTRIES_MAX);
    return entries.map(({ time, name, value }) => hourSchema.parse({ ...(JSON.parse(value) as object), time, function: name }));
  }

  /** Samples, oldest first. */
  async samples(from: number): Promise<readonly UsageSample[]> {
    const entries = await this.#parts.store.read("samples", from, SAMPLES_MS_MAX / SAMPLE_MS);
    return entries.map(({ time, value }) => ({ time, functions: rowSchema.array().parse(JSON.parse(value)) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
