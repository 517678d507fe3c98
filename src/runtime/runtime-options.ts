import type { Clock } from "../core/clock.ts";
import type { Drops } from "../core/drops.ts";
import type { HostGroups } from "./host-groups.ts";
import type { LogRing } from "./logs.ts";
import type { OutsideOptions } from "./outside.ts";
import type { TraceRecorder } from "./trace-recorder.ts";

export interface RuntimeOptions {
  readonly gateway: string;
  /** Shared host processes, at most. */
  readonly hosts: number;
  /** Host processes with a single owner, at most. */
  readonly ownHostsMax?: number;
  /** Bytes of memory that a host process may take. */
  readonly hostMemoryMax?: number;
  /** Where hosts get control groups of their own, if they can have any. */
  readonly hostGroups?: Pick<HostGroups, "create"> | undefined;
  /** Messages that a function holds in memory; what comes above it is read from the journal later. */
  readonly pendingMax: number;
  /** Messages after which every function writes down how far it has looked, 32,768 by default. */
  readonly milestone?: number;
  /** Counts what functions miss by choice. */
  readonly drops: Drops;
  /** What is said of a function has changed by itself. */
  readonly changed?: () => void;
  /** Takes what functions log and what is said about them; one in memory by default. */
  readonly logs?: LogRing;
  /** Takes what is to be remembered of some messages; nothing is without it. */
  readonly traces?: TraceRecorder | undefined;
  /** What functions reach beyond their messages. */
  readonly outside?: OutsideOptions;
  /** Of the schedules; the machine's by default. */
  readonly clock?: Clock;
}
