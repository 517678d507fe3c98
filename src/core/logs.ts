import type { LogLevel, LogRecord } from "./stats.ts";

export interface LogQuery {
  /** Only of this function, this version. */
  readonly function?: string | undefined;
  readonly version?: number | undefined;
  /** `SEQ.ATTEMPT`, or `SEQ` for every try of that message. */
  readonly invocation?: string | undefined;
  /** W3C trace id of the message. */
  readonly trace?: string | undefined;
  /** This level and everything above it. */
  readonly level: LogLevel;
  /** Milliseconds since the epoch; both are part of the answer. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Occurs in the message or in the JSON of the fields, in capitals or not. */
  readonly text?: string | undefined;
  /** Only records with a higher `n`, the oldest of them; without it the newest records. */
  readonly after?: number | undefined;
  readonly limit: number;
}

export interface LogPage {
  /** Oldest first. */
  readonly records: readonly LogRecord[];
  /** `after` of the query that goes on from here: everything up to it has been looked at, whether it was wanted or not. */
  readonly next: number;
}
