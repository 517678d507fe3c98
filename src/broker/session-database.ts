import { ClassicLevel } from "classic-level";
import { MillraceError, messageOf, systemCode } from "../core/errors.ts";

export type SessionDatabase = ClassicLevel<string, Buffer>;

type Call<T> = (...args: readonly unknown[]) => T;
type Write = Call<Promise<unknown>>;

/**
 * Opens the database of the sessions. `failed` is called with the first write that the disk refuses, and none is taken after that: LevelDB would
 * write on behind a record that was cut off, where the next start finds nothing, and the protocol engine would go on as if nothing had
 * happened. A write that was under way at the same time fails too, because nobody knows which of the two came first. Once closing has begun there is
 * nothing more to be read: the engine goes on reading for clients that are being cut off, and catches no errors in some places.
 * @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL
 */
export async function openSessionDatabase(location: string, failed: (error: MillraceError) => void): Promise<SessionDatabase> {
  const database: SessionDatabase = new ClassicLevel(location, { keyEncoding: "utf8", valueEncoding: "buffer" });
  try {
    await database.open();
  } catch (cause) {
    throw describeFailure(location, cause);
  }
  let refused: { readonly cause: unknown } | undefined;
  for (const name of ["_put", "_del", "_batch"]) {
    const write: Write = methodOf(database, name);
    const watched: Write = async (...args) => {
      if (refused !== undefined) throw refused.cause;
      try {
        await write(...args);
      } catch (cause) {
        refused ??= { cause };
        failed(describeFailure(location, cause));
      }
      if (refused !== undefined) throw refused.cause;
    };
    Object.defineProperty(database, name, { value: watched });
  }
  endReads(database);
  return database;
}

function endReads(database: SessionDatabase): void {
  const isOpen = (): boolean => database.status === "open";
  const get: Call<Promise<unknown>> = methodOf(database, "get");
  const values: Call<AsyncIterable<unknown>> = methodOf(database, "values");
  Object.defineProperty(database, "get", {
    value: (...args: readonly unknown[]) =>
      get(...args).catch((error: unknown) => {
        if (isOpen()) throw error;
      }),
  });
  Object.defineProperty(database, "values", {
    value: async function* (...args: readonly unknown[]) {
      try {
        if (isOpen()) yield* values(...args);
      } catch (error) {
        if (isOpen()) throw error;
      }
    },
  });
}

function methodOf<T>(database: SessionDatabase, name: string): Call<T> {
  return Reflect.get(database, name).bind(database);
}

export function describeFailure(location: string, cause: unknown): MillraceError {
  const inner = cause instanceof Error ? (cause.cause ?? cause) : cause;
  if (systemCode(inner) === "LEVEL_LOCKED") return new MillraceError("DATA_LOCKED", `${location} is in use by another process`, { cause });
  const reason = messageOf(inner);
  const code = /No space left|ENOSPC|File too large|Disk quota/i.test(reason) ? "DISK_FULL" : "DATA_UNWRITABLE";
  return new MillraceError(code, `the session store ${location} cannot be written: ${reason}`, { cause });
}
