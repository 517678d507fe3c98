import { statSync } from "node:fs";
import { messageOf } from "../../core/errors.ts";

/** A file that is read when it is another one than the last time. What was read before stays when the file is gone or has a mistake. */
export class WatchedFile<T> {
  readonly path: string;
  readonly #read: (path: string) => T | undefined;
  #seen: string;
  #value: T | undefined;

  /** @throws what `read` throws */
  constructor(path: string, read: (path: string) => T | undefined) {
    this.path = path;
    this.#read = read;
    this.#seen = lookAt(path);
    this.#value = read(path);
  }

  /** Undefined when there has never been a file. */
  get value(): T | undefined {
    return this.#value;
  }

  /** Whether there is something new. A mistake is told of once for each change of the file. @throws what `read` throws */
  look(): boolean {
    const seen = lookAt(this.path);
    if (seen === this.#seen) return false;
    this.#seen = seen;
    const value = this.#read(this.path);
    if (value === undefined) throw new Error("it is not there any more");
    this.#value = value;
    return true;
  }
}

/** Something else whenever the file has changed. */
function lookAt(file: string): string {
  try {
    const found = statSync(file, { bigint: true, throwIfNoEntry: false });
    return found === undefined ? "none" : `${found.ino} ${found.mtimeNs} ${found.size} ${found.mode}`;
  } catch (error) {
    return messageOf(error); // Whoever reads it then says what is wrong.
  }
}
