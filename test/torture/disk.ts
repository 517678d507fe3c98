import { execFile, spawnSync } from "node:child_process";
import { cp, mkdir, open, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const SIZE_MB = 256;
const PIECE = Buffer.alloc(1024 * 1024);

/** A small disk for a gateway's data that can be filled; an ordinary folder where this user cannot mount one. */
export class SmallDisk implements AsyncDisposable {
  readonly path: string;
  /** Why it cannot be filled; undefined when it can. */
  readonly problem: string | undefined;

  private constructor(path: string, problem: string | undefined) {
    this.path = path;
    this.problem = problem;
    if (problem === undefined) process.on("exit", this.#unmountNow);
  }

  readonly #unmountNow = (): void => void spawnSync("umount", ["-l", this.path]);

  static async make(path: string): Promise<SmallDisk> {
    await mkdir(path, { recursive: true });
    const problem = await run("mount", ["-t", "tmpfs", "-o", `size=${SIZE_MB}m`, "tmpfs", path]).then(
      () => undefined,
      (error: unknown) => `no file system can be mounted here: ${String(error).split("\n").join(" ").slice(0, 120)}`,
    );
    return new SmallDisk(path, problem);
  }

  /** Takes all the space that is left. */
  async fill(): Promise<void> {
    const file = await open(join(this.path, "ballast"), "a");
    try {
      for (let size = PIECE.length; size >= 1; size = size > 1 ? Math.max(1, size >> 4) : 0) await writeAll(file, size);
    } finally {
      await file.close();
    }
  }

  async free(): Promise<void> {
    await rm(join(this.path, "ballast"), { force: true });
  }

  async usedBytes(): Promise<number> {
    const { blocks, bfree, bsize } = await statfs(this.path);
    return (blocks - bfree) * bsize;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.problem !== undefined) return;
    // What was on it is gone with it, and a run that broke a promise has to be looked into.
    await cp(this.path, `${this.path}-after`, { recursive: true });
    await run("umount", ["-l", this.path]);
    process.off("exit", this.#unmountNow);
  }
}

async function writeAll(file: Awaited<ReturnType<typeof open>>, size: number): Promise<void> {
  try {
    for (;;) if ((await file.write(PIECE, 0, size)).bytesWritten < size) return;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
  }
}
