import type { JournaledMessage } from "../../../src/core/message.ts";
import type { MarkWrite } from "../../../src/runtime/idempotency.ts";
import type { FunctionCommit, RuntimeJournal } from "../../../src/runtime/runtime-journal.ts";

type Write = Pick<FunctionCommit, "events" | "deadLetters" | "state" | "marks">;

interface Pending {
  succeed(): void;
  fail(): void;
}

interface Queued {
  readonly write: Write;
  readonly cursor: Buffer;
  done(): void;
}

/** Far less than is asked for, so that there are many reads. */
const READ_MESSAGES = 6;

/** A journal that writes and reads when a test says so. What was not written is gone with a crash. */
export class ModelJournal {
  readonly messages: JournaledMessage[] = [];
  readonly state = new Map<string, Map<string, Buffer>>();
  cursor: Buffer | undefined;
  deadLettersFull = false;
  readonly #marks = new Map<string, Required<MarkWrite>>();
  #queue: Queued[] = [];
  #reads: Pending[] = [];
  #looks: Pending[] = [];

  /** The journal as one run of the gateway sees it: after a crash, nothing of that run reaches it. */
  open(isAlive: () => boolean): RuntimeJournal {
    const look = <T>(found: () => T): Promise<T> => later(this.#looks, found);
    const full = (): boolean => this.deadLettersFull;
    return {
      commit: (commit, done) => {
        if (isAlive()) this.#queue.push({ write: commit, cursor: commit.cursor.encode(), done: () => done() });
      },
      read: (from, max) =>
        later(this.#reads, () =>
          this.messages.filter(({ seq, volatile }) => seq >= from && volatile !== true).slice(0, Math.min(max, READ_MESSAGES)),
        ),
      loadState: (_name, key) => look(() => [...(this.state.get(key) ?? [])].map(([name, value]) => ({ name, value }))),
      state: {
        marks: () => look(() => [...this.#marks.values()].toSorted((a, b) => a.seq - b.seq)),
        bytes: () => look(() => this.#bytes()),
        sizes: (_name, values) => look(() => values.map(({ key, name }) => sizeOf(key, name, this.state.get(key)?.get(name)))),
      },
      get deadLettersFull() {
        return full();
      },
      dropMarks: () => Promise.resolve(),
    };
  }

  /** Where a version begins is written behind everything before it. */
  save(cursor: Buffer): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#queue.push({ write: { events: [], deadLetters: [], state: [], marks: [] }, cursor, done: resolve });
    return promise;
  }

  /** A read of messages is answered. */
  read(pick: number, succeeds: boolean): void {
    answer(this.#reads, pick, succeeds);
  }

  /** A read of anything else is answered. */
  look(pick: number, succeeds: boolean): void {
    answer(this.#looks, pick, succeeds);
  }

  /** The first `count` commits reach the disk; each is shown to `check` before. */
  flush(count: number, check: (write: Write) => void): void {
    for (const queued of this.#queue.splice(0, count)) {
      const { write, cursor } = queued;
      check(write);
      this.cursor = cursor;
      for (const { key, name, value } of write.state) this.#store(key, name, value);
      for (const { mark, time, seq } of write.marks) {
        if (time === undefined) this.#marks.delete(mark);
        else this.#marks.set(mark, { mark, time, seq });
      }
      queued.done();
    }
  }

  crash(): void {
    this.#queue = [];
    this.#reads = [];
    this.#looks = [];
  }

  #store(key: string, name: string, value: Buffer | undefined): void {
    const values = this.state.get(key) ?? new Map<string, Buffer>();
    this.state.set(key, values);
    if (value === undefined) values.delete(name);
    else values.set(name, value);
  }

  #bytes(): number {
    let bytes = 0;
    for (const [key, values] of this.state) for (const [name, value] of values) bytes += sizeOf(key, name, value);
    return bytes;
  }
}

function later<T>(pending: Pending[], result: () => T): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  pending.push({ succeed: () => resolve(result()), fail: () => reject(new Error("it cannot be read")) });
  return promise;
}

function answer(pending: Pending[], pick: number, succeeds: boolean): void {
  const [one] = pending.splice(pick % Math.max(1, pending.length), 1);
  if (succeeds) one?.succeed();
  else one?.fail();
}

function sizeOf(key: string, name: string, value: Buffer | undefined): number {
  return value === undefined ? 0 : key.length + name.length + value.length;
}
