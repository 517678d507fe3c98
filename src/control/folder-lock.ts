import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { MillraceError, messageOf, systemCode } from "../core/errors.ts";

/**
 * PGlite does not notice a second process in its folder, and two of them destroy it. LevelDB locks its folder with the operating system's
 * lock, which goes when the process goes, however it goes, and works where process ids repeat, as in containers. So an empty LevelDB
 * database serves as the lock.
 *
 * @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL
 */
export async function lockFolder(folder: string): Promise<{ release(): Promise<void> }> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw folderError(folder, cause);
  }
  const lock = new ClassicLevel(join(folder, "lock"));
  try {
    await lock.open();
  } catch (cause) {
    throw folderError(folder, cause);
  }
  return { release: () => lock.close() };
}

function folderError(folder: string, cause: unknown): MillraceError {
  const code = systemCode(cause);
  if (code === "LEVEL_LOCKED") return new MillraceError("DATA_LOCKED", `the data folder ${folder} is used by another process`, { cause });
  const reason = cause instanceof Error && cause.cause !== undefined ? messageOf(cause.cause) : messageOf(cause);
  if (code === "ENOSPC" || /no space left/i.test(reason)) {
    return new MillraceError("DISK_FULL", `the data folder ${folder} cannot be used: the disk is full`, { cause });
  }
  return new MillraceError("DATA_UNWRITABLE", `the data folder ${folder} cannot be used: ${reason}`, { cause });
}
