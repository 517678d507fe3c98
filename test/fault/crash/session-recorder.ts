import { ClassicLevel } from "classic-level";
import { vi } from "vitest";

type Stored = string | Buffer;
type Op = { readonly type: "put"; readonly key: Stored; readonly value: Stored } | { readonly type: "del"; readonly key: Stored };

/** What can be seen of a broker: when each write of its database began and was done, counted from 0, and what the world outside was told. */
export type SessionMoment =
  | { readonly kind: "started" | "ended"; readonly write: number }
  | { readonly kind: "told"; readonly what: string };

/**
 * Keeps a record of all writes to LevelDB until it is disposed. Those of a broker's sessions are not written one after the other: of what is on its
 * way to the disk at the same time, any part may be there after a crash.
 */
export class SessionRecorder implements Disposable {
  readonly moments: SessionMoment[] = [];
  readonly #writes: (readonly Op[])[] = [];

  constructor() {
    const record = (ops: readonly Op[], run: () => Promise<unknown>): Promise<unknown> => this.#record(ops, run);
    const { _put: put, _del: del, _batch: batch } = internals(ClassicLevel.prototype);
    replace("_put", function (this: unknown, ...args) {
      const [key, value] = args as [Stored, Stored];
      return record([{ type: "put", key, value }], () => put.apply(this, args));
    });
    replace("_del", function (this: unknown, ...args) {
      return record([{ type: "del", key: args[0] as Stored }], () => del.apply(this, args));
    });
    replace("_batch", function (this: unknown, ...args) {
      return record([...(args[0] as Op[])], () => batch.apply(this, args));
    });
    replace("_clear", () => {
      throw new Error("the record knows nothing of deleted ranges");
    });
  }

  tell(what: string): void {
    this.moments.push({ kind: "told", what });
  }

  /** Makes a database in which exactly these writes are. */
  async rebuild(location: string, writes: readonly number[]): Promise<void> {
    const rows = new Map<string, Op>();
    for (const op of writes.flatMap((write) => this.#writes[write] ?? [])) rows.set(op.key.toString(), op);
    const database = new ClassicLevel<Buffer, Buffer>(location, { keyEncoding: "buffer", valueEncoding: "buffer" });
    await database.batch(
      [...rows.values()].map((op) => {
        const key = Buffer.from(op.key);
        return op.type === "del" ? { type: "del", key } : { type: "put", key, value: Buffer.from(op.value) };
      }),
    );
    await database.close();
  }

  [Symbol.dispose](): void {
    vi.restoreAllMocks();
  }

  async #record(ops: readonly Op[], run: () => Promise<unknown>): Promise<unknown> {
    const write = this.#writes.push(ops) - 1;
    this.moments.push({ kind: "started", write });
    const result = await run();
    this.moments.push({ kind: "ended", write });
    return result;
  }
}

type Internal = (this: unknown, ...args: unknown[]) => Promise<unknown>;
type Internals = Record<"_put" | "_del" | "_batch" | "_clear", Internal>;

/** What LevelDB's class is told to do in the end, whatever way it was called. */
function internals(prototype: object): Internals {
  return prototype as Internals;
}

function replace(name: keyof Internals, by: Internal): void {
  vi.spyOn(internals(ClassicLevel.prototype), name).mockImplementation(by);
}
