import { ClassicLevel } from "classic-level";
import { MillraceError, systemCode } from "../core/errors.ts";

export type Database = ClassicLevel<Buffer, Buffer>;

/** A write inside a batch; no value deletes the key. */
export interface Op {
  readonly key: Buffer;
  readonly value?: Buffer;
}

/** @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL, DATA_CORRUPT */
export async function openDatabase(location: string): Promise<Database> {
  const database: Database = new ClassicLevel(location, {
    keyEncoding: "buffer",
    valueEncoding: "buffer",
    writeBufferSize: 16 * 1024 * 1024,
    maxFileSize: 8 * 1024 * 1024,
  });
  try {
    await database.open();
    return database;
  } catch (cause) {
    throw describeOpenFailure(location, cause);
  }
}

function describeOpenFailure(location: string, cause: unknown): MillraceError {
  const code = systemCode(cause);
  const detail = deepestMessage(cause);
  if (code === "LEVEL_LOCKED") return new MillraceError("DATA_LOCKED", `${location} is in use by another process`, { cause });
  if (/No space left/i.test(detail)) return new MillraceError("DISK_FULL", `no space left to open ${location}`, { cause });
  if (/Permission denied|Read-only file system|EACCES|EROFS/i.test(detail)) {
    return new MillraceError("DATA_UNWRITABLE", `${location} cannot be opened for writing: ${detail}`, { cause });
  }
  return new MillraceError("DATA_CORRUPT", `${location} cannot be opened: ${detail}`, { cause });
}

export function describeWriteFailure(cause: unknown): MillraceError {
  const detail = deepestMessage(cause);
  if (/No space left|ENOSPC|File too large|Disk quota/i.test(detail)) {
    return new MillraceError("DISK_FULL", `the journal cannot be written: ${detail}`, { cause });
  }
  return new MillraceError("DATA_UNWRITABLE", `the journal cannot be written: ${detail}`, { cause });
}

function deepestMessage(error: unknown): string {
  let message = String(error);
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) message = at.message;
  return message;
}
