import { closeSync, copyFileSync, mkdirSync, openSync, readSync, statSync, truncateSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { MillraceError, messageOf } from "../../core/errors.ts";

const logLine = z.object({ level: z.number(), msg: z.string().default(""), err: z.object({ message: z.string() }).optional() });
/** In the numbers of the log: 40 is a warning. */
const WARNING = 40;

const BYTES_MAX = 10 * 1024 * 1024;
const CHECK_MS = 30_000;
const TAIL_BYTES = 16 * 1024;

/** The log of one child, which writes into it directly, so that its last words are there however it ends. */
export class LogFile implements Disposable {
  readonly path: string;
  readonly #timer: NodeJS.Timeout;

  /** @throws MillraceError DATA_UNWRITABLE */
  constructor(path: string) {
    this.path = path;
    try {
      mkdirSync(dirname(path), { recursive: true });
      closeSync(openSync(path, "a"));
    } catch (cause) {
      throw new MillraceError("DATA_UNWRITABLE", `cannot write ${path}: ${messageOf(cause)}`, { cause });
    }
    this.#rotate();
    this.#timer = setInterval(() => this.#rotate(), CHECK_MS).unref();
  }

  /** A descriptor to hand to a child; the caller closes it. Appending is what makes emptying the file under a writer safe. */
  open(): number {
    return openSync(this.path, "a");
  }

  size(): number {
    return statSync(this.path).size;
  }

  /** The last lines that were written behind `from`, at most `count`. */
  tail(count: number, from = 0): string[] {
    const fd = openSync(this.path, "r");
    try {
      const size = this.size();
      const start = Math.max(from > size ? 0 : from, size - TAIL_BYTES);
      const bytes = Buffer.alloc(size - start);
      const read = readSync(fd, bytes, 0, bytes.length, start);
      return bytes
        .toString("utf8", 0, read)
        .split("\n")
        .filter((line) => line.trim() !== "")
        .slice(-count);
    } finally {
      closeSync(fd);
    }
  }

  /** One older file is kept. What is written between the two steps is lost, which a log can bear. */
  #rotate(): void {
    if (this.size() < BYTES_MAX) return;
    copyFileSync(this.path, `${this.path}.1`);
    truncateSync(this.path);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** What a line of a log tells a person: a warning or worse in words, anything that is no log record as it is, the rest not at all. */
export function readableLine(line: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // Frames of a stack and what V8 says when it dies are worth reading as they are.
    return line;
  }
  const record = logLine.safeParse(value);
  if (!record.success) return line;
  const { level, msg, err } = record.data;
  if (level < WARNING) return undefined;
  return err === undefined ? msg : `${msg}: ${err.message}`;
}
