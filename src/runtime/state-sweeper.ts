import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";

const LOOK_INTERVAL_MS = 1_000;

/** What one step has deleted. */
interface Swept {
  /** Of keys, names and values. */
  readonly bytes: number;
  readonly more: boolean;
}

/** What is stored and expires. */
export interface ExpiringState {
  /** Functions of which something may be due by `time`, in milliseconds since the epoch. */
  due(time: number): Promise<readonly string[]>;
  /** Deletes some of what a function keeps and has expired by `until`. */
  step(functionName: string, until: number): Promise<Swept>;
}

/** A function, deployed or not, as the sweeper has to know it. */
export interface SweptFunction {
  /** Messages below this seq are done with. */
  readonly floor: number;
  /** When the oldest message arrived that is in memory and not done with. */
  readonly oldest?: number | undefined;
  /** Takes the step, and takes what it frees off the account. */
  freeState?(step: () => Promise<Swept>): Promise<Swept>;
}

interface SweeperParts {
  readonly state: ExpiringState;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The seq of the next message to come in. */
  nextSeq(): number;
  find(name: string): SweptFunction;
}

/**
 * Deletes expired state in the background, a bounded step at a time. A value goes when every message of its function is done with that came in before it
 * expired, and none that is older than that is under way or waits for its retry: whatever is handled again finds what it found before.
 */
export class StateSweeper implements AsyncDisposable {
  readonly #parts: SweeperParts;
  readonly #stopping = new AbortController();
  /** By function: a time, and the seq that the first message after it gets. */
  readonly #marks = new Map<string, { readonly time: number; readonly seq: number }>();
  #running: Promise<void> = Promise.resolve();
  #failing = false;

  constructor(parts: SweeperParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // Rejects only when it is to stop.
      await clock.sleep(LOOK_INTERVAL_MS, signal).catch(() => undefined);
      try {
        if (!signal.aborted) await this.sweep();
        this.#failing = false;
      } catch (error) {
        if (!signal.aborted && !this.#failing)
          logger.error({ error: messageOf(error) }, "expired state cannot be deleted; it is tried again");
        this.#failing = true;
      }
    }
  }

  /** Deletes what can be deleted now. */
  async sweep(): Promise<void> {
    const now = this.#parts.clock.now();
    for (const name of await this.#parts.state.due(now)) await this.#sweep(name, now);
  }

  async #sweep(name: string, now: number): Promise<void> {
    const mark = this.#marks.get(name) ?? { time: now, seq: this.#parts.nextSeq() };
    if (this.#parts.find(name).floor < mark.seq) {
      this.#marks.set(name, mark);
      return;
    }
    this.#marks.delete(name);
    for (let more = true; more && !this.#stopping.signal.aborted;) {
      const owner = this.#parts.find(name);
      const step = (): Promise<Swept> => this.#parts.state.step(name, Math.min(mark.time, now, owner.oldest ?? Infinity));
      ({ more } = await (owner.freeState?.(step) ?? step()));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }
}
