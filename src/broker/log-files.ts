import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../core/errors.ts";

/**
 * Syncs the log files of a LevelDB from outside. A synced write of LevelDB itself secures only what is in the same log: when its buffer is full it
 * goes on in a new one and does not sync the old one (db_impl.cc, `MakeRoomForWrite`). What is in no log any more is in a table, and those
 * it syncs.
 */
export class LogFiles {
  readonly #location: string;
  /** There is one log most of the time, two while LevelDB makes a table of the older one. */
  readonly #open = new Map<string, FileHandle>();

  constructor(location: string) {
    this.#location = location;
  }

  /** What was written to the database before is on disk when it resolves. One at a time. */
  async sync(): Promise<void> {
    const names = (await readdir(this.#location)).filter((name) => name.endsWith(".log"));
    for (const name of this.#open.keys()) if (!names.includes(name)) await this.#forget(name);
    for (const name of names) await (await this.#file(name))?.datasync();
  }

  async close(): Promise<void> {
    for (const name of this.#open.keys()) await this.#forget(name);
  }

  /** Undefined when LevelDB has deleted it meanwhile: all of it is in a table. */
  async #file(name: string): Promise<FileHandle | undefined> {
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    try {
      const file = await open(join(this.#location, name));
      this.#open.set(name, file);
      return file;
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw error;
      return undefined;
    }
  }

  async #forget(name: string): Promise<void> {
    const file = this.#open.get(name);
    this.#open.delete(name);
    await file?.close();
  }
}
