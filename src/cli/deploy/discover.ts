import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { MillraceError, messageOf, systemCode } from "../../core/errors.ts";
import { MANIFEST_FILE } from "../../runtime/build/build.ts";

/**
 * The function folders that `directory` stands for: itself if it has a manifest, otherwise those directly in it, by name.
 * @throws MillraceError FILE_UNREADABLE when there is none
 */
export async function functionFolders(directory: string): Promise<string[]> {
  if (await isFunction(directory)) return [directory];
  const names = await subfolders(directory);
  const folders: string[] = [];
  for (const name of names) if (await isFunction(join(directory, name))) folders.push(join(directory, name));
  if (folders.length > 0) return folders;
  throw new MillraceError("FILE_UNREADABLE", `neither "${directory}" nor a folder in it holds a ${MANIFEST_FILE}`);
}

async function isFunction(directory: string): Promise<boolean> {
  try {
    return (await stat(join(directory, MANIFEST_FILE))).isFile();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return false;
    throw unreadable(directory, error);
  }
}

async function subfolders(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries
      .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && !entry.name.startsWith(".") && entry.name !== "node_modules")
      .map((entry) => entry.name)
      .toSorted();
  } catch (error) {
    throw unreadable(directory, error);
  }
}

function unreadable(directory: string, cause: unknown): MillraceError {
  const code = systemCode(cause);
  const reason = code === "ENOENT" ? "there is no such folder" : code === "ENOTDIR" ? "it is a file, not a folder" : messageOf(cause);
  return new MillraceError("FILE_UNREADABLE", `cannot read the folder "${directory}": ${reason}`, { cause });
}
