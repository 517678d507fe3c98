import { type FileHandle, open } from "node:fs/promises";
import { MillraceError, messageOf, systemCode } from "../../core/errors.ts";

/** Where the lines of a recording go. */
export interface Output extends AsyncDisposable {
  write(text: string): Promise<void>;
  /** Resolves when everything that was written is on disk. */
  finish(): Promise<void>;
}

/** `-` is `stdout`. @throws MillraceError FILE_UNWRITABLE */
export async function openOutput(path: string, options: { force: boolean; stdout: (text: string) => void }): Promise<Output> {
  if (path === "-") {
    return {
      write: (text) => {
        options.stdout(text);
        return Promise.resolve();
      },
      finish: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const file = await openFile(path, options.force);
  const guarded = (work: Promise<unknown>): Promise<void> =>
    work.then(
      () => undefined,
      (cause: unknown) => {
        throw unwritable(path, cause);
      },
    );
  return {
    write: (text) => guarded(file.writeFile(text)),
    finish: () => guarded(file.sync()),
    [Symbol.asyncDispose]: () => file.close(),
  };
}

async function openFile(path: string, force: boolean): Promise<FileHandle> {
  try {
    return await open(path, force ? "w" : "wx");
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

function unwritable(path: string, cause: unknown): MillraceError {
  const reasons: Readonly<Record<string, string>> = {
    EEXIST: "the file exists",
    ENOENT: "its folder does not exist",
    ENOSPC: "no space left",
  };
  return new MillraceError("FILE_UNWRITABLE", `cannot write ${path}: ${reasons[systemCode(cause) ?? ""] ?? messageOf(cause)}`, { cause });
}
