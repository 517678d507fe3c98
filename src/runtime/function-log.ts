import type { Drops } from "../core/drops.ts";
import type { GuestLog } from "./effects.ts";
import type { LogRing } from "./logs.ts";
import type { Places } from "./places.ts";

/** What a function may log for long, and at once. The ring is for all functions, and a flood of one would wash away the others. */
const LINES_PER_SECOND = 1_000;
const LINES_AT_ONCE = 2_000;

interface FunctionLogOptions {
  readonly function: string;
  readonly version: number;
  readonly ring: LogRing;
  readonly drops: Drops;
  readonly places: Pick<Places, "inText">;
  /** Takes out what must not be kept. */
  readonly redact?: (text: string) => string;
  /** Milliseconds that never go back. */
  readonly now?: () => number;
}

/** What a line was logged for. */
interface LoggedFor {
  readonly invocation: string;
  /** W3C trace id of the message. */
  readonly trace?: string | undefined;
}

/** What is logged about a version of a function. Lines beyond its share are left out, counted, and told of once. */
export class FunctionLog {
  readonly #options: FunctionLogOptions;
  readonly #now: () => number;
  #left = LINES_AT_ONCE;
  #at: number;
  #told = false;

  constructor(options: FunctionLogOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#at = this.#now();
  }

  add({ leftOut = 0, ...line }: GuestLog, about?: LoggedFor): void {
    this.#options.drops.count("log-overflow", this.#options.function, leftOut);
    if (this.#left < 1) this.#refill();
    if (this.#left >= 1) {
      this.#left--;
      this.#write(line, about);
      return;
    }
    this.#options.drops.count("log-overflow", this.#options.function, 1);
    if (this.#told) return;
    this.#told = true;
    this.#write({ level: "warn", message: `LIMIT_LOG: lines are left out, a function may log ${LINES_PER_SECOND} a second` });
  }

  #refill(): void {
    const now = this.#now();
    this.#left = Math.min(LINES_AT_ONCE, this.#left + ((now - this.#at) * LINES_PER_SECOND) / 1_000);
    this.#at = now;
    // Within one flood it is said once.
    if (this.#left >= LINES_AT_ONCE / 2) this.#told = false;
  }

  #write({ message, fields, ...line }: GuestLog, about?: LoggedFor): void {
    const { ring, function: name, version, places, redact = (text) => text } = this.#options;
    const { invocation, trace } = about ?? {};
    const ids = { ...(invocation === undefined ? {} : { invocation }), ...(trace === undefined ? {} : { trace }) };
    const more = fields === undefined ? {} : { fields: redact(fields) };
    ring.add({ ...line, ...more, function: name, version, message: places.inText(redact(message)), ...ids });
  }
}
