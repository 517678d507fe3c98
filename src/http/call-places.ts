import type { CallStats } from "../core/call-stats.ts";
import { CALLS_MAX } from "../core/http-call.ts";
import { MillraceError } from "../core/errors.ts";

/** The place of one request, from its first line to the end of its answer. */
export interface CallPlace {
  /**
   * Its body takes that much memory, in bytes, instead of what was said before.
   * @throws MillraceError TOO_MANY_CALLS when there is not so much beside the bodies of others
   */
  hold(bytes: number): void;
  /** Once, however often it is called. */
  free(): void;
}

/** Requests for functions that are open at once, and the memory of their bodies. */
export class CallPlaces {
  readonly #bytesMax: number;
  #open = 0;
  #bytes = 0;
  #refused = 0;
  #late = 0;

  /** `bytesMax` counts the bodies of all requests together; a single one may be larger, when there is no other. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get stats(): CallStats {
    return { open: this.#open, bodyBytes: this.#bytes, refused: this.#refused, late: this.#late };
  }

  /** A request did not come in time. */
  countLate(): void {
    this.#late++;
  }

  /** @throws MillraceError TOO_MANY_CALLS */
  take(): CallPlace {
    if (this.#open >= CALLS_MAX) throw this.#refuse(`${CALLS_MAX} requests for functions are open already`);
    this.#open++;
    let own = 0;
    let taken = true;
    return {
      hold: (bytes) => {
        const others = this.#bytes - own;
        if (others > 0 && others + bytes > this.#bytesMax) {
          throw this.#refuse(`the bodies of other requests take ${others} of ${this.#bytesMax} bytes`);
        }
        if (!taken) return;
        this.#bytes = others + bytes;
        own = bytes;
      },
      free: () => {
        if (!taken) return;
        taken = false;
        this.#open--;
        this.#bytes -= own;
      },
    };
  }

  #refuse(why: string): MillraceError {
    this.#refused++;
    return new MillraceError("TOO_MANY_CALLS", why);
  }
}
