import { mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError, messageOf, systemCode } from "./errors.ts";

const TRIES_MAX = 100;
const TRY_MS = 50;

/**
 * Runs `work` while no other process does so for the same file. The lock is a file with the id of the process that has it, so that of one that has
 * died in the middle does not stay.
 * @throws MillraceError DATA_LOCKED, FILE_UNWRITABLE, and what `work` throws
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`;
  for (let tries = 1; !(await taken(lock)); tries++) {
    if (tries >= TRIES_MAX) {
      const text = `${path} is being changed by another process; when there is none, delete ${lock}`;
      throw new MillraceError("DATA_LOCKED", text);
    }
    await sleep(TRY_MS);
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function taken(lock: string): Promise<boolean> {
  try {
    await mkdir(dirname(lock), { recursive: true });
    const file = await open(lock, "wx", 0o600);
    try {
      await file.writeFile(String(process.pid));
    } finally {
      await file.close();
    }
    return true;
  } catch (cause) {
    if (systemCode(cause) !== "EEXIST")
      throw new MillraceError("FILE_UNWRITABLE", `${lock} cannot be written: ${messageOf(cause)}`, { cause });
    const owner = Number.parseInt(await readFile(lock, "utf8").catch(() => ""), 10);
    if (owner > 0 && !isAlive(owner)) await rm(lock, { force: true });
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== "ESRCH";
  }
}
