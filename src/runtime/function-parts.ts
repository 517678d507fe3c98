import type { Clock } from "../core/clock.ts";
import type { Drops } from "../core/drops.ts";
import type { Logger } from "../core/log.ts";
import type { HostPool } from "./hosts.ts";
import type { LogRing } from "./logs.ts";
import type { Outside } from "./outside.ts";
import type { PendingBytes } from "./pending-bytes.ts";
import type { SourceMaps } from "./places.ts";
import type { Route } from "./route.ts";
import type { RuntimeJournal } from "./runtime-journal.ts";
import type { Inside } from "./settling.ts";
import type { TraceRecorder } from "./trace-recorder.ts";
import type { Unwritten } from "./unwritten.ts";

/** What is the same for all functions; `Owner` is one of them. */
export interface FunctionParts<Owner> extends Inside {
  readonly gateway: string;
  readonly clock: Clock;
  readonly hosts: Pick<HostPool, "load" | "hasRoom" | "retire">;
  readonly journal: RuntimeJournal;
  /** What all of them have handled and the journal has not written. */
  readonly unwritten: Unwritten;
  readonly logs: LogRing;
  readonly outside: Outside;
  readonly traces?: TraceRecorder | undefined;
  readonly sourceMaps: SourceMaps;
  readonly logger: Logger;
  readonly drops: Drops;
  /** Messages that a function holds in memory. */
  readonly pendingMax: number;
  readonly memory: PendingBytes;
  /** A lane that is going to need longer than this, in milliseconds, for what queues up is split; 20 without it. */
  readonly behindMs?: number;
  /** Seq after the newest message that came in. */
  head(): number;
  /** Whether the function of this name may begin nothing new, because of the gateway or of who gets what it publishes. */
  held(name: string): boolean;
  /** Where the outbox has no room, see `pressureOf`. */
  outboxPressure(): number;
  /** Where nothing for the function comes before, from `from` on. */
  next(owner: Owner, from: number, looked: (upTo: number) => void): Promise<number>;
  route(owner: Owner, topic: string): Route<Owner> | undefined;
  /** Whether this version has shown that it can be trusted with others. */
  isProven(target: { readonly name: string; readonly version: number; readonly digest: string }): boolean;
  proved(owner: Owner, proven: boolean): void;
  /** What is said of the function has changed by itself. */
  changed(): void;
}
