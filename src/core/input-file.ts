import { type FileHandle, open } from "node:fs/promises";
import { MillraceError, messageOf, systemCode } from "./errors.ts";

export interface InputFile {
  readonly handle: FileHandle;
  /** 0 for what has no size, such as a pipe. */
  readonly bytes: number;
}

/**
 * Opens a file that the user named, for reading.
 * @throws MillraceError FILE_UNREADABLE
 */
export async function openInput(file: string): Promise<InputFile> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file);
    const stats = await handle.stat();
    if (stats.isDirectory()) throw new MillraceError("FILE_UNREADABLE", `${file} is a folder, not a file`);
    return { handle, bytes: stats.isFile() ? stats.size : 0 };
  } catch (error) {
    await handle?.close();
    throw error instanceof MillraceError ? error : unreadable(file, error);
  }
}

export function unreadable(file: string, cause: unknown): MillraceError {
  const reason = systemCode(cause) === "ENOENT" ? "there is no such file" : messageOf(cause);
  return new MillraceError("FILE_UNREADABLE", `cannot read ${file}: ${reason}`, { cause });
}
