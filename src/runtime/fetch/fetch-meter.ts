import { MillraceError } from "../../core/errors.ts";
import { FETCH_OUTCOMES, type FetchOutcome, type FetchStats } from "../../core/fetch-stats.ts";
import { Histogram } from "../../core/histogram.ts";

interface Sent {
  /** Of the body. */
  readonly bytes: number;
  /** Since it was asked for. */
  ms(): number;
}

/** Counts the fetches of a version of a function. */
export class FetchMeter {
  readonly #outcomes = new Map<FetchOutcome, number>();
  readonly #duration = new Histogram();
  #bytesOut = 0;
  #bytesIn = 0;

  answered(status: number, { received, ...sent }: Sent & { readonly received: number }): void {
    this.#bytesIn += received;
    this.#count(FETCH_OUTCOMES.find((outcome) => outcome.startsWith(String(Math.trunc(status / 100)))) ?? "failed", sent);
  }

  /** `error`: what the function is told. */
  failed(error: unknown, sent: Sent): void {
    this.#count(error === "aborted" ? error : outcomeOf(error), sent);
  }

  /** Undefined as long as there was none. */
  get stats(): FetchStats | undefined {
    if (this.#outcomes.size === 0) return undefined;
    const outcomes = Object.fromEntries(this.#outcomes);
    return { outcomes, duration: this.#duration.stats, bytesOut: this.#bytesOut, bytesIn: this.#bytesIn };
  }

  #count(outcome: FetchOutcome, sent: Sent): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
    this.#duration.observe(sent.ms(), 1);
    if (outcome !== "forbidden") this.#bytesOut += sent.bytes;
  }
}

function outcomeOf(error: unknown): FetchOutcome {
  const code = error instanceof MillraceError ? error.code : undefined;
  if (code === "FETCH_FORBIDDEN") return "forbidden";
  return code === "LIMIT_FETCH" ? "limited" : "failed";
}
