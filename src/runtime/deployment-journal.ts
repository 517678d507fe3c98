import type { Cursor } from "../core/cursor.ts";
import type { Derived } from "./derived.ts";
import type { RuntimeJournal } from "./runtime-journal.ts";
import type { ExpiringState } from "./state-sweeper.ts";
import type { TickJournal } from "./schedule/ticker.ts";

interface FunctionRecord {
  readonly version: number;
  readonly digest: string;
  readonly from: number;
  /** `state.version` of its manifest; absent when that is 1. */
  readonly stateVersion?: number;
  readonly filters?: readonly string[];
  readonly proven?: boolean;
}

/** What the runtime needs of the journal beside what its functions need. */
export interface DeploymentJournal extends RuntimeJournal {
  readonly nextSeq: number;
  readonly expiry: ExpiringState;
  readonly ticks: TickJournal;
  append(entry: Derived & { readonly placed: (seq: number) => void }, done: (error?: Error) => void): void;
  /** The lowest seq that a function has to handle which was at work before the last start and for which `running` does not answer. */
  restingFloor(running: (name: string) => boolean): number;
  functionRecord(name: string): FunctionRecord | undefined;
  readonly functionRecords: ReadonlyMap<string, FunctionRecord>;
  saveFunction(name: string, record: FunctionRecord, cursor: Cursor): Promise<void>;
  removeFunction(name: string): Promise<void>;
  /** Remembers whether the version that is on record for the function can be trusted with others. */
  saveProof(name: string, proven: boolean): Promise<void>;
  cursor(consumer: string): Promise<Cursor | undefined>;
}
