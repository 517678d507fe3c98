import { watch } from "node:fs/promises";
import { sep } from "node:path";
import { messageOf } from "../../core/errors.ts";

/** Editors write a file in several steps; they are taken as one change. */
const QUIET_MS = 150;

/** Calls `onChange` after something in the folder or below has changed and been quiet for a moment, until the signal aborts. */
export async function watchFolder(
  directory: string,
  { onChange, onError }: { onChange: () => void; onError: (text: string) => void },
  signal: AbortSignal,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    for await (const { filename } of watch(directory, { recursive: true, signal })) {
      if (filename !== null && ignored(filename)) continue;
      clearTimeout(timer);
      timer = setTimeout(onChange, QUIET_MS);
    }
  } catch (error) {
    if (!signal.aborted) onError(`changes in ${directory} are not seen any more: ${messageOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

/** Packages, hidden files and what editors leave beside a file while it is open. */
function ignored(filename: string): boolean {
  return filename.split(sep).some((part) => part === "node_modules" || part.startsWith(".") || part.endsWith("~") || part === "4913");
}
