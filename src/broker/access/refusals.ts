import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/log.ts";

/** What is logged of a client. Nothing that it proves itself with. */
export interface About {
  readonly client?: string;
  readonly user?: string | undefined;
  readonly address?: string | undefined;
  readonly listener?: string;
  readonly topic?: string;
}

const MINUTE_MS = 60_000;
const LINES_MAX = 60;
const TEXT_MAX = 200;

/** Logs who was refused and why, at most sixty lines a minute; the first line of the next minute says how many were left out. */
export class Refusals {
  readonly #logger: Logger;
  readonly #clock: Pick<Clock, "elapsed">;
  readonly #also: (about: About, reason: string) => void;
  #since = -Infinity;
  #lines = 0;
  #leftOut = 0;

  /** `also` hears of what is logged. */
  constructor(logger: Logger, clock: Pick<Clock, "elapsed">, also: (about: About, reason: string) => void = () => undefined) {
    this.#logger = logger;
    this.#clock = clock;
    this.#also = also;
  }

  log(about: About, reason: string, what: string): void {
    const now = this.#clock.elapsed();
    if (now - this.#since >= MINUTE_MS) {
      if (this.#leftOut > 0) this.#logger.warn({ leftOut: this.#leftOut }, "more clients were refused than are logged");
      this.#since = now;
      this.#lines = 0;
      this.#leftOut = 0;
    }
    if (this.#lines >= LINES_MAX) this.#leftOut++;
    else {
      this.#lines++;
      this.#also(about, reason);
      this.#logger.warn({ ...shortened(about), reason }, what);
    }
  }
}

/** Clients choose these, at any length. */
function shortened(about: About): Record<string, string> {
  return Object.fromEntries(
    Object.entries(about)
      .filter((entry): entry is [string, string] => entry[1] !== undefined)
      .map(([name, text]) => [name, text.slice(0, TEXT_MAX)]),
  );
}
