import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { MillraceError, messageOf } from "../core/errors.ts";
import { z } from "zod";
import { syncFolder } from "./artifacts.ts";

const appliedSchema = z.object({
  revision: z.int(),
  functions: z.array(z.object({ name: z.string(), version: z.int(), digest: z.string() })),
});

/**
 * What this gateway runs, written down whenever it changes: the last desired state as far as it could be reached. A function whose new
 * version could not be had stands here with the version that works, so that a restart without a network runs it again.
 */
export type Applied = z.infer<typeof appliedSchema>;

export const NOTHING_APPLIED: Applied = { revision: 0, functions: [] };

/** Undefined when there is no such file, "corrupt" when it does not hold what it should. @throws MillraceError FILE_UNREADABLE */
export async function readApplied(path: string): Promise<Applied | "corrupt" | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new MillraceError("FILE_UNREADABLE", `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  try {
    return appliedSchema.parse(JSON.parse(text));
  } catch {
    // The caller says so in the log; the control plane knows the state and sends it again.
    return "corrupt";
  }
}

/** Replaces the file as a whole, so that a crash leaves the old or the new one. */
export async function writeApplied(path: string, applied: Applied): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.tmp`;
  const file = await open(temporary, "w");
  try {
    await file.writeFile(`${JSON.stringify(applied, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncFolder(dirname(path));
}
