import type { Drops } from "../core/drops.ts";
import { messageOf } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import type { Logger } from "../core/log.ts";
import type { JournaledMessage } from "../core/message.ts";
import type { TraceRecord } from "../core/traces.ts";
import { isSampled } from "../core/trace-context.ts";
import type { Item } from "./item.ts";
import { Tokens } from "./tokens.ts";
import type { TraceNote } from "./trace-note.ts";

/** Records are written together after this time, or when there are so many. */
const WRITE_MS = 250;
const WRITE_RECORDS = 256;
/** Records that may wait for the disk. */
const PENDING_MAX = 1_024;
/** Messages that came of recorded ones and are going to be recorded as well. */
const CHAIN_MAX = 1_024;

/** Where records go. Rejects when the disk refuses them. */
export interface TraceStore {
  put(records: readonly TraceRecord[], bytesMax: number): Promise<void>;
}

export interface TraceRecorderOptions {
  readonly store: TraceStore;
  readonly bytesMax: number;
  /** Records a second of failures, and as many of messages whose sender wants it and of what came of recorded ones. */
  readonly rateMax: number;
  /** Records a second of all other messages. */
  readonly sampleMax: number;
  readonly drops: Drops;
  readonly logger: Logger;
  /** Milliseconds that never go back. */
  readonly now?: () => number;
}

/**
 * Chooses which tries of messages are recorded, and has the records written, in the background and without a sync: nobody waits for it. What is
 * chosen is a question of rates, so that a flood costs no more than a trickle. A chain of functions is recorded as a whole: what a
 * recorded message leads to is recorded too.
 */
export class TraceRecorder implements AsyncDisposable {
  readonly close: () => Promise<void>;
  readonly #options: TraceRecorderOptions;
  readonly #now: () => number;
  readonly #failures: Tokens;
  readonly #wanted: Tokens;
  readonly #samples: Tokens;
  /** By the record of a derived message that has no seq yet. */
  readonly #expected = new Map<Uint8Array, TraceNote>();
  readonly #chain = new Set<number>();
  #pending: TraceRecord[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #held = false;
  #closed = false;

  constructor(options: TraceRecorderOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    const at = this.#now();
    this.#failures = new Tokens(options.rateMax, at);
    this.#wanted = new Tokens(options.rateMax, at);
    this.#samples = new Tokens(options.sampleMax, at);
    this.close = once(async () => {
      this.#closed = true;
      clearTimeout(this.#timer);
      await this.#writing;
      if (!this.#held) await this.#write();
    });
  }

  /** To be called before `wants`, for many messages at once. */
  tick(): void {
    const now = this.#now();
    this.#failures.refill(now);
    this.#wanted.refill(now);
    this.#samples.refill(now);
  }

  /** Whether a try is to be recorded; it counts then. */
  wants({ message, trace }: Item, failed: boolean, functionName: string): boolean {
    if (failed) return this.#spend(this.#failures, functionName);
    if (trace !== undefined && trace !== null && isSampled(trace.context)) return this.#spend(this.#wanted, functionName);
    if (message.hops > 0 && this.#chain.has(message.seq)) return this.#spend(this.#wanted, functionName);
    return this.#samples.take();
  }

  #spend(tokens: Tokens, functionName: string): boolean {
    if (tokens.take()) return true;
    this.#options.drops.count("trace-overflow", functionName, 1);
    return false;
  }

  /** The messages that come of it are going to get their seqs before it is `committed`. */
  expect(note: TraceNote): void {
    for (const { record } of note.derived) this.#expected.set(record, note);
  }

  /** New messages have their seqs. */
  arrived(messages: readonly JournaledMessage[]): void {
    if (this.#expected.size === 0) return;
    for (const { hops, record, seq } of messages) {
      const note = hops === 0 ? undefined : this.#expected.get(record);
      if (note === undefined) continue;
      this.#expected.delete(record);
      note.becomes(seq);
      this.#chain.add(seq);
      const [oldest] = this.#chain;
      if (this.#chain.size > CHAIN_MAX && oldest !== undefined) this.#chain.delete(oldest);
    }
  }

  /** What came of it is written, or cannot be any more. */
  committed(notes: readonly TraceNote[]): void {
    for (const note of notes) {
      for (const { record } of note.derived) this.#expected.delete(record);
      this.add(note.committed(), note.function);
    }
  }

  add(record: TraceRecord, functionName: string): void {
    if (this.#pending.length >= PENDING_MAX) return this.#options.drops.count("trace-overflow", functionName, 1);
    this.#pending.push(record);
    if (this.#closed || this.#held || this.#writing !== undefined) return;
    if (this.#pending.length >= WRITE_RECORDS) this.#begin();
    else this.#timer ??= setTimeout(() => this.#begin(), WRITE_MS).unref();
  }

  /** Nothing is written while the disk has no space to spare. */
  hold(on: boolean): void {
    this.#held = on;
    if (!on && this.#pending.length > 0) this.#begin();
  }

  /** Resolves when everything that was recorded so far is written, as far as it can be. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#pending.length > 0 && !this.#held) this.#begin();
    await this.#writing;
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#writing !== undefined || this.#held) return;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#pending.length > 0 && !this.#closed) this.#timer ??= setTimeout(() => this.#begin(), WRITE_MS).unref();
    });
  }

  async #write(): Promise<void> {
    const records = this.#pending;
    this.#pending = [];
    if (records.length === 0) return;
    const { store, bytesMax, drops, logger } = this.#options;
    try {
      await store.put(records, bytesMax);
    } catch (error) {
      // A disk that refuses writes ends the gateway; the records are what is lost least.
      for (const record of records) drops.count("trace-overflow", record.function, 1);
      logger.error({ error: messageOf(error) }, "what became of messages cannot be written down");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
