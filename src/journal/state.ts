import type { Database } from "./database.ts";
import { markKey, prefixRange, stateKey } from "./keys.ts";

/** That a function has handled a message with some idempotency key. */
export interface Mark {
  /** A digest of the key; without NUL. */
  readonly mark: string;
  /** Of the message: when it arrived, in milliseconds since the epoch, and its seq. No time deletes the mark. */
  readonly time?: number;
  readonly seq: number;
}

/** The write of a mark, for the batch in which the effects of its message are written. */
export function markOp(functionName: string, { mark, time, seq }: Mark): { key: Buffer; value?: Buffer } {
  const key = markKey(functionName, mark);
  if (time === undefined) return { key };
  const value = Buffer.allocUnsafe(12);
  value.writeUIntBE(time, 0, 6);
  value.writeUIntBE(seq, 6, 6);
  return { key, value };
}

/** Reads what functions keep. */
export class StateReader {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Everything that a function keeps under one key. */
  async load(functionName: string, key: string): Promise<readonly { name: string; value: Buffer }[]> {
    const prefix = `s${functionName}\0${key}\0`;
    const entries = await this.#database.iterator(prefixRange(prefix)).all();
    const skip = Buffer.byteLength(prefix);
    return entries.map(([at, value]) => ({ name: at.toString("utf8", skip), value }));
  }

  /** The bytes of all keys, names and values of a function. Reads all of it. */
  async bytes(functionName: string): Promise<number> {
    const prefix = `s${functionName}\0`;
    const skip = Buffer.byteLength(prefix) + 1;
    let bytes = 0;
    for await (const [key, value] of this.#database.iterator(prefixRange(prefix))) bytes += key.length - skip + value.length;
    return bytes;
  }

  /** For each of these values the bytes of its key, name and value; 0 when there is none. */
  async sizes(functionName: string, values: readonly { readonly key: string; readonly name: string }[]): Promise<readonly number[]> {
    return Promise.all(
      values.map(async ({ key, name }) => {
        const value = await this.#database.get(stateKey(functionName, key, name));
        return value === undefined ? 0 : Buffer.byteLength(key) + Buffer.byteLength(name) + value.length;
      }),
    );
  }

  /** Oldest first. */
  async marks(functionName: string): Promise<readonly Required<Mark>[]> {
    const prefix = `k${functionName}\0`;
    const entries = await this.#database.iterator(prefixRange(prefix)).all();
    const skip = Buffer.byteLength(prefix);
    const marks = entries.map(([key, value]) => ({
      mark: key.toString("utf8", skip),
      time: value.readUIntBE(0, 6),
      seq: value.readUIntBE(6, 6),
    }));
    return marks.toSorted((a, b) => a.seq - b.seq);
  }
}
