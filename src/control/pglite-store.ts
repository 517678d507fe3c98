import { fsyncSync } from "node:fs";
import { PGlite, type Transaction } from "@electric-sql/pglite";
import { NodeFS } from "@electric-sql/pglite/nodefs";
import { z } from "zod";
import { MillraceError } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import { makeOnce } from "./pglite-folder.ts";
import { type Queryable, sqlState, type Store, storeError } from "./store.ts";

/**
 * PGlite starts PostgreSQL with `-F` (no fsync) and its file system has no fsync either, so a commit would be safe from `kill -9` but not
 * from a power cut. An acknowledged event is deleted on its gateway: it must be on the disk. So both are put back.
 */
class SyncedFS extends NodeFS {
  override async init(...args: Parameters<NodeFS["init"]>): ReturnType<NodeFS["init"]> {
    const { emscriptenOpts } = await super.init(...args);
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...(emscriptenOpts.preRun ?? []), withFsync] } };
  }
}

function withFsync(module: unknown): void {
  nodeFs.parse(module).NODEFS.stream_ops["fsync"] = (stream: unknown): number => {
    fsyncSync(openFile.parse(stream).nfd);
    return 0;
  };
}

/** Emscripten's NODEFS, as far as it is touched here; the objects are its own and must not be copied. */
const nodeFs = z.custom<{ NODEFS: { stream_ops: Record<string, unknown> } }>(
  (value) => z.looseObject({ NODEFS: z.looseObject({ stream_ops: z.looseObject({ open: z.unknown() }) }) }).safeParse(value).success,
);
const openFile = z.object({ nfd: z.int() });

/** `fdatasync` is not wired to the file system by Emscripten, `fsync` is. */
const DURABLE = ["-c", "fsync=on", "-c", "wal_sync_method=fsync"];

/**
 * Opens or creates the database in `folder`, which one process may use at a time (see `lockFolder`).
 * @throws MillraceError STORE_FAILED, DISK_FULL
 */
export async function openPGliteStore(folder: string): Promise<Store> {
  try {
    await makeOnce(folder, async (unfinished) => (await openSynced(unfinished)).close());
    return new PGliteStore(await openSynced(folder));
  } catch (cause) {
    throw storeError(cause);
  }
}

function openSynced(folder: string): Promise<PGlite> {
  const startParams = [...PGlite.defaultStartParams.filter((param) => param !== "-F"), ...DURABLE];
  return PGlite.create({ fs: new SyncedFS(folder), startParams });
}

class PGliteStore implements Store {
  readonly #db: PGlite;
  readonly #broken = Promise.withResolvers<MillraceError>();
  #isBroken = false;

  constructor(db: PGlite) {
    this.#db = db;
  }

  get broken(): Promise<MillraceError> {
    return this.#broken.promise;
  }

  query<Row>(row: z.ZodType<Row>, sql: string, params: readonly unknown[] = []): Promise<Row[]> {
    return this.#guard(() => statements(this.#db).query(row, sql, params));
  }

  execute(sql: string, params: readonly unknown[] = []): Promise<number> {
    return this.#guard(() => statements(this.#db).execute(sql, params));
  }

  script(sql: string): Promise<void> {
    return this.#guard(() => statements(this.#db).script(sql));
  }

  copy(sql: string, bytes: Buffer<ArrayBuffer>): Promise<void> {
    return this.#guard(() => statements(this.#db).copy(sql, bytes));
  }

  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return this.#guard(() => this.#db.transaction((tx) => work(statements(tx))));
  }

  readonly close = once(async () => {
    // A broken engine cannot flush anything; its folder is repaired from the write-ahead log when it is opened again.
    if (!this.#db.closed && !this.#isBroken) await this.#guard(() => this.#db.close());
  });

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #break(error: MillraceError): void {
    this.#isBroken = true;
    this.#broken.resolve(error);
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof MillraceError || cause instanceof z.ZodError) throw cause;
      const error = storeError(cause);
      if (isFatal(cause)) this.#break(error);
      throw error;
    }
  }
}

/** The engine is WebAssembly in this process: a trap or a PANIC leaves its memory in an unknown state. */
function isFatal(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  if (sqlState(cause) !== undefined) return "severity" in cause && cause.severity === "PANIC";
  return cause.name === "RuntimeError" || /^Aborted\(|program terminated/i.test(cause.message);
}

function statements(db: PGlite | Transaction): Queryable {
  return {
    async query(row, sql, params = []) {
      const { rows } = await db.query(sql, [...params]);
      return z.array(row).parse(rows);
    },
    async execute(sql, params = []) {
      const { affectedRows } = await db.query(sql, [...params]);
      return affectedRows ?? 0;
    },
    async script(sql) {
      await db.exec(sql);
    },
    async copy(sql, bytes) {
      // PGlite has no standard input; what it is given with a statement is this device.
      await db.query(sql.replace(/\bfrom stdin\b/, "from '/dev/blob'"), [], { blob: new Blob([bytes]) });
    },
  };
}
