import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { MillraceError, messageOf, systemCode } from "../../core/errors.ts";

export interface PayloadSource {
  readonly text: string | undefined;
  /** `-` is standard input. */
  readonly file: string | undefined;
  readonly stdin: boolean;
}

/**
 * The bytes of the one source that was given.
 * @throws MillraceError USAGE when none or several were, FILE_UNREADABLE
 */
export async function readPayload({ text, file, stdin }: PayloadSource): Promise<Uint8Array> {
  const given = [text !== undefined, file !== undefined, stdin].filter(Boolean).length;
  if (given !== 1) {
    const found = given === 0 ? "the payload is missing" : "the payload is given more than once";
    throw new MillraceError("USAGE", `invoke: ${found}; name it with --payload TEXT, --payload-file FILE or - for standard input`);
  }
  if (text !== undefined) return Buffer.from(text);
  if (stdin || file === "-" || file === undefined) return buffer(process.stdin);
  try {
    return await readFile(file);
  } catch (cause) {
    const reason = systemCode(cause) === "ENOENT" ? "there is no such file" : messageOf(cause);
    throw new MillraceError("FILE_UNREADABLE", `cannot read ${file}: ${reason}`, { cause });
  }
}
