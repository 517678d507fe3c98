import { ClassicLevel } from "classic-level";
import { copyFile, mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { MillraceError, messageOf, systemCode } from "../core/errors.ts";

/** Files up to this size are copied before anything is changed: what LevelDB knows about the others, and its logs. */
const COPY_BYTES_MAX = 32 * 1024 * 1024;

/**
 * LevelDB makes a new, empty database where CURRENT is missing, and deletes whatever else is there. So that file is looked for first.
 * @throws MillraceError DATA_CORRUPT
 */
export async function repairWithoutCurrent(location: string): Promise<string[]> {
  const names = await filesIn(location);
  const data = names.filter((name) => /\.(ldb|sst|log)$/.test(name));
  if (names.includes("CURRENT") || data.length === 0) return [];
  return repair(location, `CURRENT is missing beside ${data.length} data files`);
}

/** Whether LevelDB could not open the folder for a reason that its repair deals with. A disk that cannot be read is none. */
export function isRepairable(error: unknown): error is MillraceError {
  return error instanceof MillraceError && error.code === "DATA_CORRUPT" && /Corruption|CURRENT|MANIFEST/.test(error.message);
}

/**
 * Has LevelDB put together what can be read; the small files are copied to a folder beside it before. Returns what was done, for the log.
 * @throws MillraceError DATA_CORRUPT when that fails too
 */
export async function repair(location: string, why: string): Promise<string[]> {
  try {
    const copy = await keepCopy(location);
    const lostBefore = await lostTables(location);
    await ClassicLevel.repair(location);
    const lost = (await lostTables(location)) - lostBefore;
    const outcome = lost === 0 ? "every table could be read" : `${lost} tables could not be read and lie in ${join(location, "lost")}`;
    return [`${why}: LevelDB repaired it, ${outcome}; a copy of the small files from before is in ${copy}`];
  } catch (cause) {
    throw new MillraceError("DATA_CORRUPT", `${location} cannot be repaired: ${messageOf(cause)}; ${why}`, { cause });
  }
}

/** What LevelDB said while it read its own log at the last opening: bytes that it had to leave out. */
export async function recoveryProblems(location: string): Promise<string[]> {
  const text = await readFile(join(location, "LOG"), "utf8").catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return "";
    throw error;
  });
  return [...text.matchAll(/([^/\s]+): dropping (\d+) bytes; (.*)/g)].map(
    ([, file = "", bytes = "", reason = ""]) => `${bytes} bytes of ${file} were unreadable (${reason}) and are left out`,
  );
}

async function keepCopy(location: string): Promise<string> {
  const copy = `${location}-before-repair-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
  await mkdir(copy);
  for (const name of await filesIn(location)) {
    const from = join(location, name);
    const about = await stat(from);
    if (about.isFile() && about.size <= COPY_BYTES_MAX && !/\.(ldb|sst)$/.test(name)) await copyFile(from, join(copy, name));
  }
  return copy;
}

async function lostTables(location: string): Promise<number> {
  return (await filesIn(join(location, "lost"))).filter((name) => /\.(ldb|sst)$/.test(name)).length;
}

async function filesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}
