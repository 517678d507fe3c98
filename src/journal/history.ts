import type { Database, Op } from "./database.ts";
import { numberOf, prefixRange } from "./keys.ts";

/** What one write deletes of what is too old, so that no write grows large. */
const DELETED_AT_ONCE = 100;

/** One value for a time. */
interface HistoryEntry {
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Empty where there is one value for each time. */
  readonly name: string;
  readonly value: string;
}

export type HistoryKind = "samples" | "hours";

const PREFIXES: Readonly<Record<HistoryKind, string>> = { samples: "hs", hours: "hh" };

/** What functions have used, by time. Written without a sync, behind what it speaks of. */
export class History {
  readonly #database: Database;
  readonly #write: (ops: readonly Op[]) => Promise<void>;

  constructor(database: Database, write: (ops: readonly Op[]) => Promise<void>) {
    this.#database = database;
    this.#write = write;
  }

  /** The newest of what there is from a time on, at most `limit`; oldest first. */
  async read(kind: HistoryKind, from: number, limit: number): Promise<readonly HistoryEntry[]> {
    const prefix = PREFIXES[kind];
    const entries = await this.#database.iterator({ gte: keyOf(prefix, from), lt: prefixRange(prefix).lt, reverse: true, limit }).all();
    return entries.toReversed().map(([at, value]) => {
      const end = prefix.length + 8;
      return { time: numberOf(at.subarray(0, end)), name: at.toString("utf8", end), value: value.toString() };
    });
  }

  /** Puts values in their places, and deletes some of what is older than `keptFrom`. */
  async put(kind: HistoryKind, entries: readonly HistoryEntry[], keptFrom: number): Promise<void> {
    const prefix = PREFIXES[kind];
    const { gte } = prefixRange(prefix);
    const old = await this.#database.keys({ gte, lt: keyOf(prefix, keptFrom), limit: DELETED_AT_ONCE }).all();
    const puts = entries.map(({ time, name, value }) => ({ key: keyOf(prefix, time, name), value: Buffer.from(value) }));
    if (old.length + puts.length > 0) await this.#write([...old.map((at) => ({ key: at })), ...puts]);
  }
}

/** Of everything at a time, or of one thing at it. */
function keyOf(prefix: string, time: number, name = ""): Buffer {
  const at = Buffer.allocUnsafe(8);
  at.writeBigUInt64BE(BigInt(Math.max(0, Math.trunc(time))));
  return Buffer.concat([Buffer.from(prefix), at, Buffer.from(name)]);
}
