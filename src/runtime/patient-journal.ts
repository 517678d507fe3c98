import { backoffMs, type Clock } from "../core/clock.ts";
import type { RuntimeJournal } from "./runtime-journal.ts";

const BACKOFF = { minMs: 50, maxMs: 5_000 };

interface PatientParts {
  readonly clock: Clock;
  /** Aborts when the function stops: what cannot be read then is not tried again. */
  readonly stopping: AbortSignal;
  /** A read has failed and is tried again, after a time in which none has. */
  failed(error: unknown): void;
  /** Everything can be read again. */
  recovered(): void;
}

/**
 * The journal as a function sees it. A read that fails is tried again, with growing pauses, until it succeeds: what waits for it has no other
 * way to go on. It rejects only when the function stops. Forgetting idempotency keys counts as one: it begins with looking for them.
 */
export class PatientJournal implements RuntimeJournal {
  readonly state: RuntimeJournal["state"];
  readonly #journal: RuntimeJournal;
  readonly #parts: PatientParts;
  /** Reads that have failed and have not succeeded since. */
  #failing = 0;

  constructor(journal: RuntimeJournal, parts: PatientParts) {
    this.#journal = journal;
    this.#parts = parts;
    const { state } = journal;
    this.state = {
      marks: (name) => this.#again(() => state.marks(name)),
      bytes: (name) => this.#again(() => state.bytes(name)),
      sizes: (name, values) => this.#again(() => state.sizes(name, values)),
    };
  }

  /** Whether something cannot be read at the moment. */
  get isFailing(): boolean {
    return this.#failing > 0;
  }
  get deadLettersFull(): boolean {
    return this.#journal.deadLettersFull;
  }

  commit(...[commit, done]: Parameters<RuntimeJournal["commit"]>): void {
    this.#journal.commit(commit, done);
  }
  read(from: number, max: number): ReturnType<RuntimeJournal["read"]> {
    return this.#again(() => this.#journal.read(from, max));
  }
  loadState(functionName: string, key: string): ReturnType<RuntimeJournal["loadState"]> {
    return this.#again(() => this.#journal.loadState(functionName, key));
  }
  dropMarks(functionName: string): Promise<void> {
    return this.#again(() => this.#journal.dropMarks(functionName));
  }

  async #again<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      return this.#untilRead(read, error);
    }
  }

  async #untilRead<T>(read: () => Promise<T>, first: unknown): Promise<T> {
    const { clock, stopping } = this.#parts;
    let last = first;
    if (this.#failing++ === 0 && !stopping.aborted) this.#parts.failed(first);
    try {
      for (let attempt = 1; !stopping.aborted; attempt++) {
        await clock.sleep(backoffMs(attempt, BACKOFF), stopping);
        try {
          return await read();
        } catch (error) {
          last = error;
        }
      }
      throw last;
    } finally {
      if (--this.#failing === 0 && !stopping.aborted) this.#parts.recovered();
    }
  }
}
