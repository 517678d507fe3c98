import { EMPTY_HISTOGRAM, type HistogramStats } from "./histogram.ts";

/** What a version of a function has taken and done, since it took over in this process. */
export interface UsageStats {
  /** Tries that came to an end, also those that failed. */
  readonly invocations: number;
  /** Tries that failed, by the code of the error. */
  readonly errors: Readonly<Record<string, number>>;
  /** Failed tries that are followed by another. */
  readonly retries: number;
  /** From when the isolate had nothing else to do until the answer was there: the time of a batch, divided by its messages. */
  readonly duration: HistogramStats;
  /** What the isolate computed, divided likewise. */
  readonly cpu: HistogramStats;
  /** Seconds of `duration` times gigabytes (2^30) of `limits.memory`. */
  readonly gbSeconds: number;
  /** Of the messages that were handled, as they stand in the journal. */
  readonly bytesIn: number;
  /** Of what it published, as that stands in the journal, and of the data of its events. */
  readonly bytesOut: number;
  /** Of the heaps of its isolates, each as it was when it was last looked at. */
  readonly heapBytes: number;
}

/** What there is to say of a version that does not run, or of which a gateway does not say it. */
export const NO_USAGE: UsageStats = {
  invocations: 0,
  errors: {},
  retries: 0,
  duration: EMPTY_HISTOGRAM,
  cpu: EMPTY_HISTOGRAM,
  gbSeconds: 0,
  bytesIn: 0,
  bytesOut: 0,
  heapBytes: 0,
};
