import { mkdir, open, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { MillraceError, messageOf } from "./errors.ts";

/** Replaces a file that only this user may read, on disk when it resolves. @throws MillraceError FILE_UNWRITABLE */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(temporary, "w", 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await keepOwner(path, temporary);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    throw new MillraceError("FILE_UNWRITABLE", `${path} cannot be written: ${messageOf(cause)}`, { cause });
  }
}

/** An administrator who changes a secret must not take the file away from the user that the gateway runs as. */
async function keepOwner(path: string, temporary: string): Promise<void> {
  const before = await stat(path).catch(() => stat(dirname(path)));
  if (process.getuid?.() !== 0 || before.uid === 0) return;
  const file = await open(temporary, "r+");
  try {
    await file.chown(before.uid, before.gid);
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
