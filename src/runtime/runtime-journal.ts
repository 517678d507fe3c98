import type { Cursor } from "../core/cursor.ts";
import type { EmittedEvent } from "../core/event.ts";
import type { Overflow } from "../core/manifest.ts";
import type { JournaledMessage } from "../core/message.ts";
import type { DeadLetter } from "../core/stats.ts";
import type { Derived } from "./derived.ts";
import type { MarkWrite } from "./idempotency.ts";

export interface FunctionCommit {
  readonly consumer: string;
  readonly cursor: Cursor;
  readonly state: readonly { readonly key: string; readonly name: string; readonly value?: Buffer; readonly due?: number }[];
  readonly events: readonly EmittedEvent[];
  readonly publishes: readonly Uint8Array[];
  readonly derived: readonly Derived[];
  readonly deadLetters: readonly DeadLetter[];
  readonly marks: readonly MarkWrite[];
  /** Whether it has to be on disk before anybody sees anything of it. */
  readonly sync: boolean;
  /** What happens when there is no room for dead letters. */
  readonly overflow: Overflow;
}

/** What the functions need of the journal. */
export interface RuntimeJournal {
  commit(commit: FunctionCommit, done: (error?: Error) => void): void;
  read(from: number, max: number): Promise<readonly JournaledMessage[]>;
  loadState(functionName: string, key: string): Promise<readonly { name: string; value: Buffer }[]>;
  readonly state: {
    marks(functionName: string): Promise<readonly Required<MarkWrite>[]>;
    bytes(functionName: string): Promise<number>;
    sizes(functionName: string, values: readonly { readonly key: string; readonly name: string }[]): Promise<readonly number[]>;
  };
  /** A function that would rather wait than lose a dead letter has to. */
  readonly deadLettersFull: boolean;
  /** Forgets which idempotency keys the function has handled. */
  dropMarks(functionName: string): Promise<void>;
}
