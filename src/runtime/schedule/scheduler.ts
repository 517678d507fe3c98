import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { once } from "../../core/lifecycle.ts";
import type { Logger } from "../../core/log.ts";
import type { TriggerSpec } from "../../core/triggers.ts";
import type { LogRing } from "../logs.ts";
import type { Wake } from "../route.ts";
import { Ticker, type TickJournal } from "./ticker.ts";

/** The clock may be set at any time without a word, so it is looked at at least that often. */
const LOOK_MS_MAX = 15_000;

export interface SchedulerParts {
  readonly clock: Clock;
  readonly ticks: TickJournal;
  readonly logs: LogRing;
  readonly logger: Logger;
  /** What a message with this topic wakes. */
  wakes(topic: string): Wake;
}

interface Scheduled {
  readonly name: string;
  readonly version: number;
  readonly manifest: { readonly triggers: readonly TriggerSpec[] };
}

/**
 * Puts the ticks of all schedules into the journal when they are due. How far a schedule has come is written in the same batch as its tick, so
 * after a crash no time is missed and none comes twice.
 */
export class Scheduler implements AsyncDisposable {
  readonly close: () => Promise<void>;
  readonly #parts: SchedulerParts;
  readonly #tickers = new Map<string, readonly Ticker[]>();
  readonly #stop = new AbortController();
  #begun = false;
  #wake = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
    this.close = once(async () => {
      this.#stop.abort();
      this.#wake.abort();
      await this.#running;
    });
  }

  /** From here on ticks come, those first that were due while nothing ran. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#running = this.#run();
  }

  /**
   * These are the schedules of the function from now on. One that it had before goes on where it was; one that is new or has changed begins now,
   * which is written down, so that what is missed from here on is known.
   */
  async set(owner: Scheduled): Promise<void> {
    const { ticks } = this.#parts;
    const now = this.#parts.clock.now();
    const wanted = owner.manifest.triggers.flatMap((trigger) =>
      "schedule" in trigger ? [new Ticker({ function: owner.name, version: owner.version, trigger }, this.#parts, now)] : [],
    );
    await ticks.keep(
      owner.name,
      wanted.map(({ mark }) => mark),
    );
    if (wanted.length === 0) this.#tickers.delete(owner.name);
    else this.#tickers.set(owner.name, wanted);
    this.#wake.abort();
  }

  async remove(functionName: string): Promise<void> {
    this.#tickers.delete(functionName);
    await this.#parts.ticks.keep(functionName, []);
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      const now = this.#parts.clock.now();
      let next = now + LOOK_MS_MAX;
      for (const tickers of this.#tickers.values()) {
        for (const ticker of tickers) next = Math.min(next, this.#look(ticker, now));
      }
      try {
        await this.#parts.clock.sleep(Math.max(1, next - now), this.#wake.signal);
      } catch (error) {
        if (!this.#wake.signal.aborted) throw error;
      }
    }
  }

  /** Answers with the time at which to look again. */
  #look(ticker: Ticker, now: number): number {
    try {
      return ticker.look(now, () => this.#wake.abort());
    } catch (error) {
      this.#parts.logger.error({ function: ticker.mark.function, error: messageOf(error) }, "a schedule cannot go on");
      return Infinity;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
