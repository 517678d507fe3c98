import type { CallStats } from "./call-stats.ts";
import type { Dropped } from "./drops.ts";
import type { FetchStats } from "./fetch-stats.ts";
import type { ListenerStats } from "./listener-stats.ts";
import type { StartStats } from "./starts.ts";
import type { StoredStats } from "./stored-stats.ts";
import type { UsageStats } from "./usage.ts";

/** What the gateway says of itself at `/v1/stats`. Counters start at zero with the process; positions are of the journal. */
export interface GatewayStats {
  readonly gateway: string;
  readonly version: string;
  readonly startedAt: string;
  readonly pid: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly broker: {
    readonly clients: number;
    readonly received: number;
    readonly delivered: number;
    readonly refused: number;
    /** Wills that were due and that their clients might not publish. */
    readonly willsRefused: number;
    /** Of what clients have sent and the broker is not done with. */
    readonly inflightBytes: number;
    /** How often a client was not read any further because that was too much. */
    readonly inflightWaits: number;
    readonly listeners: readonly ListenerStats[];
    readonly stored: StoredStats;
  };
  readonly calls: CallStats;
  readonly journal: JournalStats;
  /** What was given up and is kept; `full` at the quota. */
  readonly deadLetters: { readonly count: number; readonly bytes: number; readonly full: boolean };
  readonly runtime: {
    readonly hosts: number;
    readonly hostRestarts: number;
    /** Idle isolates that ended to make room for others in their host process. */
    readonly isolatesEvicted: number;
    /** Who holds host processes to `runtime.host_memory_max`: the kernel, or only the gateway, which looks at them from time to time. */
    readonly memoryCap: "kernel" | "watch";
  };
  readonly outbox: { readonly pending: number; readonly uploaded: number; readonly rejected: number };
  readonly link: { readonly connected: boolean; readonly url: string; readonly since?: string; readonly error?: string };
  readonly drops: readonly Dropped[];
  readonly functions: readonly FunctionStats[];
}

export interface JournalStats {
  readonly appended: number;
  /** The newest position. */
  readonly seq: number;
  /** Every function is done with what is below. */
  readonly floor: number;
  readonly commits: number;
  /** The oldest position that is kept. */
  readonly first: number;
  /** Of the messages that are kept, as they are on disk. */
  readonly bytes: number;
  /** Why messages from clients have to wait: the journal has its `bytes_max`, or the disk is nearly full. */
  readonly waiting: readonly ("quota" | "space")[];
  /** How it was found at the start. */
  readonly opened: JournalOpened;
}

/** How a journal was found when it was opened. */
export interface JournalOpened {
  /** `new`: there was none. `unclean`: the process was killed or the power failed. */
  readonly end: "new" | "clean" | "unclean";
  readonly tookMs: number;
  /** Publishes that are handed to the broker again. */
  readonly publishes: number;
  /** QoS 2 messages that their clients have not released. */
  readonly qos2: number;
  /** What was wrong and what was done about it. Empty when everything was as it should be. */
  readonly problems: readonly string[];
}

export interface FunctionStats {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
  /**
   * `active`; `failed` with the error while an earlier version may go on; `quarantined` with the error while nothing of it runs, because host
   * processes keep dying of it.
   */
  readonly state: "active" | "failed" | "quarantined";
  readonly error?: string;
  /** Journal position from which this version handles messages. */
  readonly from: number;
  readonly handled: number;
  readonly failed: number;
  readonly retried: number;
  readonly deadLettered: number;
  /** Left out because a message with the same idempotency key was handled before. */
  readonly duplicates: number;
  readonly emitted: number;
  readonly published: number;
  readonly backlog: number;
  /** Why it begins nothing new at the moment: subscribers are too far behind with what it publishes. Absent when it does not wait. */
  readonly waitsFor?: "subscribers";
  /** Isolates that it has. */
  readonly instances: number;
  readonly starts: StartStats;
  /** Age of the oldest message that waits. Absent when none waits or it is not read from the journal yet. */
  readonly oldestAgeMs?: number;
  /** Of keys, names and values that it keeps, as they were not long ago. Absent until that was looked at for the first time. */
  readonly stateBytes?: number;
  /** Of the version that runs; the counters above go on over versions. */
  readonly usage: UsageStats;
  /** Likewise; absent as long as it has fetched nothing. */
  readonly fetches?: FetchStats;
  /** What keeps it from secrets that it names, with the remedy. Absent when it can have all of them. */
  readonly secretProblems?: readonly string[];
}

/** One line that a function logged, or that the gateway says about it. */
export interface LogRecord {
  /** Increases with each record, also over restarts when they are kept on disk; `after` of the next query. */
  readonly n: number;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly level: LogLevel;
  readonly function: string;
  readonly version: number;
  /** `SEQ.ATTEMPT` of the message that was being handled. */
  readonly invocation?: string;
  /** W3C trace id of that message, when it named one. */
  readonly trace?: string;
  readonly message: string;
  /** What the function gave beside the message. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

export type LogLevel = "debug" | "info" | "warn" | "error";
export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** A message that was given up, with what is needed to understand it. */
export interface DeadLetter {
  readonly seq: number;
  readonly function: string;
  readonly version: number;
  readonly topic: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly attempts: number;
  readonly code: string;
  readonly error: string;
  /** Base64. */
  readonly payload: string;
  /** W3C trace id, when the message named one. */
  readonly trace?: string;
}

/** What one recorded message would do to a function that is handed it again. Nothing of it is committed. */
export interface ReplayResult extends InvokeResult {
  readonly seq: number;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly topic: string;
  readonly key: string;
}

/** What one handled message would do, printed by `millrace invoke`. Nothing of it is committed. */
export interface InvokeResult {
  readonly ok: boolean;
  readonly error?: { readonly code: string; readonly message: string; readonly stack?: string };
  /** `key` is empty for what belongs to the function. */
  readonly state: readonly { readonly key: string; readonly name: string; readonly value: unknown }[];
  readonly publishes: readonly { readonly topic: string; readonly payload: string; readonly qos: number; readonly retain: boolean }[];
  readonly events: readonly { readonly type: string; readonly subject: string; readonly data: unknown }[];
  readonly logs: readonly Pick<LogRecord, "level" | "message" | "fields">[];
  /** What the caller of a route would get. */
  readonly answer?: { readonly status: number; readonly headers: readonly (readonly [string, string])[]; readonly body: string };
  readonly durationMs: number;
}
