import type { HistogramStats } from "./histogram.ts";

/** How a fetch can end: by the class of its status, or without an answer. */
export const FETCH_OUTCOMES = ["2xx", "3xx", "4xx", "5xx", "failed", "forbidden", "limited", "aborted"] as const;
export type FetchOutcome = (typeof FETCH_OUTCOMES)[number];

/** The fetches of a version of a function, since it took over in this process. */
export interface FetchStats {
  /** How many ended how. */
  readonly outcomes: Readonly<Partial<Record<FetchOutcome, number>>>;
  /** From the asking to the end of the answer, waiting for room included. */
  readonly duration: HistogramStats;
  /** Of bodies, as the function has sent and received them. */
  readonly bytesOut: number;
  readonly bytesIn: number;
}
