import { randomUUID } from "node:crypto";
import { access, constants, open, readdir, readFile, rm, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { messageOf, systemCode } from "../../core/errors.ts";
import { formatSize } from "../../core/units.ts";
import { fail, type Finding, ok, skipped, warn } from "./finding.ts";

const FREE_BYTES_MIN = 128 * 1024 ** 2;
const FREE_BYTES_GOOD = 1024 ** 3;
const SYNC_TRIES = 20;
const SYNC_BYTES = 4096;
const SYNC_MS_GOOD = 20;
/** `statfs` type of tmpfs, which lives in memory (Linux, statfs(2)). */
const TMPFS = 0x01021994;

export const NOT_LOCKED = "no process uses the data folder";

/** The data folder, or what stands in for it: the nearest folder above it that exists. */
interface Place {
  readonly data: string;
  readonly exists: boolean;
  readonly folder: string;
}

export async function checkDisk(data: string, gateway: string | undefined): Promise<Finding[]> {
  const place = await placeOf(resolve(data));
  const folder = await checkFolder(place);
  if (folder.status === "FAIL") return [folder];
  return [folder, await checkLock(place, gateway), await checkFree(place), await checkSync(place)];
}

async function placeOf(data: string): Promise<Place> {
  let folder = data;
  for (;;) {
    try {
      await stat(folder);
      return { data, exists: folder === data, folder };
    } catch (error) {
      const above = dirname(folder);
      if (systemCode(error) !== "ENOENT" || above === folder) return { data, exists: false, folder };
      folder = above;
    }
  }
}

async function checkFolder({ data, exists, folder }: Place): Promise<Finding> {
  const check = "data folder";
  try {
    if (!(await stat(folder)).isDirectory()) return fail(check, `${folder} is not a folder`, "Set data to a folder.");
    await access(folder, constants.W_OK | constants.X_OK);
    return ok(check, exists ? `${data} is writable` : `${data} is going to be created`);
  } catch (error) {
    return fail(
      check,
      `${folder} is not writable: ${messageOf(error)}`,
      "Give it to the user that runs the gateway, or set data to another folder.",
    );
  }
}

async function checkLock({ data, exists }: Place, gateway: string | undefined): Promise<Finding> {
  const check = "data lock";
  if (!exists) return ok(check, NOT_LOCKED);
  let locks: string;
  try {
    locks = await readFile("/proc/locks", "utf8");
  } catch {
    return skipped(check, "this system does not list file locks; a start says when the folder is in use");
  }
  const holder = lockHolder(locks, await lockInodes(data));
  if (holder === undefined) return ok(check, NOT_LOCKED);
  if (gateway !== undefined) return ok(check, `in use by the running gateway "${gateway}" (process ${holder})`);
  return fail(check, `process ${holder} uses ${data}`, `Stop process ${holder}, or set data to another folder.`);
}

/** The databases of a data folder lie in it or one below, and each keeps a file named LOCK locked while it is open. */
async function lockInodes(data: string): Promise<Set<string>> {
  const inodes = new Set<string>();
  const entries = await readdir(data, { withFileTypes: true });
  for (const folder of [data, ...entries.filter((entry) => entry.isDirectory()).map((entry) => join(data, entry.name))]) {
    try {
      inodes.add(String((await stat(join(folder, "LOCK"))).ino));
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw error;
    }
  }
  return inodes;
}

/** The process that holds a lock on one of the inodes. A line: `1: POSIX  ADVISORY  WRITE 4711 08:01:1311 0 EOF`. */
export function lockHolder(locks: string, inodes: ReadonlySet<string>): string | undefined {
  for (const line of locks.split("\n")) {
    const match = /^\d+: POSIX\s+\S+\s+WRITE\s+(\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line);
    if (match?.[2] !== undefined && inodes.has(match[2])) return match[1];
  }
  return undefined;
}

async function checkFree({ folder }: Place): Promise<Finding> {
  const check = "disk free";
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const remedy = "Free some space; a gateway acknowledges nothing that it cannot write.";
  if (free < FREE_BYTES_MIN) return fail(check, `only ${formatSize(free)} are free at ${folder}`, remedy);
  if (free < FREE_BYTES_GOOD) return warn(check, `${formatSize(free)} are free at ${folder}`, remedy);
  return ok(check, `${formatSize(free)} are free at ${folder}`);
}

async function checkSync({ folder }: Place): Promise<Finding> {
  const check = "disk sync";
  if ((await statfs(folder)).type === TMPFS) {
    return warn(
      check,
      `${folder} is a file system in memory`,
      "Acknowledged messages are lost with the power; set data to a folder on a disk.",
    );
  }
  const times = await syncTimesMs(folder);
  const median = times[Math.floor(times.length / 2)] ?? 0;
  const text = `${SYNC_BYTES} bytes reach the disk in ${median.toFixed(2)} ms (slowest of ${times.length}: ${(times.at(-1) ?? 0).toFixed(2)} ms)`;
  if (median <= SYNC_MS_GOOD) return ok(check, text);
  return warn(
    check,
    text,
    "Each acknowledgement waits for this; throughput holds because messages share a write, latency does not. Use a faster disk.",
  );
}

/** In ascending order. */
async function syncTimesMs(folder: string): Promise<number[]> {
  const file = join(folder, `.millrace-doctor-${randomUUID()}`);
  const handle = await open(file, "wx");
  try {
    const times: number[] = [];
    for (let n = 0; n < SYNC_TRIES; n++) {
      const start = performance.now();
      await handle.write(Buffer.alloc(SYNC_BYTES, n), 0, SYNC_BYTES, n * SYNC_BYTES);
      await handle.datasync();
      times.push(performance.now() - start);
    }
    return times.toSorted((a, b) => a - b);
  } finally {
    await handle.close();
    await rm(file, { force: true });
  }
}
