import type { SessionDatabase } from "../session-database.ts";
import type { SessionWrites } from "../session-writes.ts";
import { decodeWill, encodeWill, type StoredWill, WILLS, willKey } from "./stored-will.ts";
import type { WillShelf } from "./wills.ts";

interface Parts {
  readonly database: SessionDatabase;
  readonly writes: SessionWrites;
  /** Something was written that the next sync has to secure. */
  written(): void;
  secure(): Promise<void>;
}

/** Wills in the database of the sessions. */
export class WillRecords implements WillShelf {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async store(will: StoredWill): Promise<void> {
    await this.#parts.writes.write({ type: "put", key: willKey(will), value: encodeWill(will) });
    this.#parts.written();
  }

  /** Behind everything that was written before, so that no power cut takes what was published and leaves it forgotten here. */
  async delete(will: StoredWill): Promise<void> {
    await this.#parts.writes.write({ type: "del", key: willKey(will) });
    this.#parts.written();
  }

  async secure(): Promise<void> {
    await this.#parts.secure();
  }

  /** One that an earlier version has left is deleted: whether it may be published cannot be known. */
  async *all(): AsyncGenerator<StoredWill> {
    for await (const [key, value] of this.#parts.database.iterator(WILLS)) {
      const will = decodeWill(key, value);
      if (will === undefined) void this.#parts.writes.write({ type: "del", key });
      else yield will;
    }
  }
}
