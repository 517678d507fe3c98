import type { Logger } from "../../core/log.ts";
import type { BrokerDropped, BrokerDropReason } from "../../core/stored-stats.ts";

const LOG_INTERVAL_MS = 60_000;

/** Counts what the broker does not keep because a setting says so, and tells of it in the log: at once, then at most once a minute. */
export class BrokerDrops {
  readonly #logger: Logger;
  readonly #counts = new Map<BrokerDropReason, number>();
  /** Since the last line in the log. */
  #untold = new Map<BrokerDropReason, number>();
  #about: object = {};
  #timer: NodeJS.Timeout | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** `about` says whose it was; of many the last is told. */
  count(reason: BrokerDropReason, about: { readonly client?: string; readonly topic?: string }, amount = 1): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + amount);
    this.#untold.set(reason, (this.#untold.get(reason) ?? 0) + amount);
    this.#about = about;
    // Of what goes together one line tells.
    this.#timer ??= setTimeout(() => this.#tell(), 0).unref();
  }

  all(): readonly BrokerDropped[] {
    return Array.from(this.#counts, ([reason, count]) => ({ reason, count }));
  }

  close(): void {
    clearTimeout(this.#timer);
    if (this.#untold.size > 0) this.#tell();
    clearTimeout(this.#timer);
  }

  #tell(): void {
    if (this.#untold.size === 0) {
      this.#timer = undefined;
      return;
    }
    const dropped = Object.fromEntries(this.#untold);
    this.#untold = new Map();
    this.#timer = setTimeout(() => this.#tell(), LOG_INTERVAL_MS).unref();
    this.#logger.warn({ dropped, last: this.#about }, "a bound of what the broker keeps for clients is reached, and something was dropped");
  }
}
