import { expiryOf } from "../core/state-value.ts";
import type { Database, Op } from "./database.ts";
import { prefixRange, stateKey } from "./keys.ts";

/** What one step looks at. */
const STEP_MAX = 256;
const DUE_BYTES = 6;

/** A state value that is being written. */
interface Written {
  readonly key: string;
  readonly name: string;
  /** When to look whether it has expired, in milliseconds since the epoch. */
  readonly due?: number;
}

export interface ExpiryStep {
  /** Keys, names and values that were deleted. */
  readonly bytes: number;
  readonly deleted: number;
  /** Whether there may be more to be deleted. */
  readonly more: boolean;
}

interface Ways {
  /** Resolves when everything that was submitted before is on disk. */
  settled(): Promise<void>;
  /** Submitted at once. */
  write(ops: readonly Op[]): Promise<void>;
}

/**
 * Deletes state values that have expired. Each write of a value that expires leaves a place where it is looked for when it is due; what is found there then may
 * be another value by now, which has a place of its own.
 */
export class StateExpiry {
  readonly #database: Database;
  readonly #ways: Ways;
  /** State that was written since the step at hand began; it may not know what is stored now. */
  #written: Set<string> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** Functions with values that expire, and a time before which none of them is due. */
  readonly #due = new Map<string, number>();
  #looking: Promise<void> | undefined;

  constructor(database: Database, ways: Ways) {
    this.#database = database;
    this.#ways = ways;
  }

  /** What goes with a commit that writes these values. */
  stage(functionName: string, writes: readonly Written[]): Op[] {
    const ops: Op[] = [];
    for (const { key, name, due } of writes) {
      this.#written?.add(stateKey(functionName, key, name).toString("latin1"));
      if (due === undefined) continue;
      ops.push({ key: dueKey(functionName, due, Buffer.from(`${key}\0${name}`)), value: Buffer.alloc(0) });
      this.#dueFrom(functionName, due);
    }
    return ops;
  }

  /** The functions of which something may be due by `time`. */
  async due(time: number): Promise<readonly string[]> {
    this.#looking ??= this.#look();
    await this.#looking.catch((error: unknown) => {
      this.#looking = undefined;
      throw error;
    });
    return [...this.#due].filter(([, first]) => first <= time).map(([name]) => name);
  }

  /** Deletes some of what a function keeps and has expired by `until`, in milliseconds since the epoch. One step at a time. */
  step(functionName: string, until: number): Promise<ExpiryStep> {
    const run = (): Promise<ExpiryStep> => this.#step(functionName, until);
    const step = this.#last.then(run, run);
    this.#last = step;
    return step;
  }

  async #step(functionName: string, until: number): Promise<ExpiryStep> {
    const written = new Set<string>();
    this.#written = written;
    try {
      await this.#ways.settled();
      const range = { gte: dueKey(functionName, 0), lt: dueKey(functionName, until + 1) };
      const places = await this.#database.keys({ ...range, limit: STEP_MAX }).all();
      const found = await Promise.all(places.map((place) => this.#find(functionName, place, until)));
      const more = places.length === STEP_MAX;
      const next = more ? 0 : await this.#firstDue(functionName, until + 1);
      const there = found.filter(({ at }) => !written.has(at.toString("latin1")));
      const expired = there.filter(({ bytes }) => bytes > 0);
      const ops = [...expired.map(({ at }) => ({ key: at })), ...there.map(({ place }) => ({ key: place }))];
      const writing = ops.length === 0 ? undefined : this.#ways.write(ops);
      // What was written meanwhile may be due before what was found.
      this.#known(functionName, written.size > 0 ? Math.min(next, this.#due.get(functionName) ?? next) : next);
      this.#written = undefined;
      await writing;
      return { bytes: expired.reduce((sum, { bytes }) => sum + bytes, 0), deleted: expired.length, more: more && there.length > 0 };
    } finally {
      if (this.#written === written) this.#written = undefined;
    }
  }

  /** The bytes that a value at this place has, key and name included, when it has expired; 0 when there is none that has. */
  async #find(functionName: string, place: Buffer, until: number): Promise<{ place: Buffer; at: Buffer; bytes: number }> {
    const prefix = `s${functionName}\0`;
    const at = Buffer.concat([Buffer.from(prefix), place.subarray(Buffer.byteLength(prefix) + DUE_BYTES)]);
    const value = await this.#database.get(at);
    const expires = value === undefined ? undefined : expiryOf(value);
    const isOver = value !== undefined && expires !== undefined && expires <= until;
    return { place, at, bytes: isOver ? at.length - Buffer.byteLength(prefix) - 1 + value.length : 0 };
  }

  #known(functionName: string, first: number): void {
    if (first === Infinity) this.#due.delete(functionName);
    else this.#due.set(functionName, first);
  }

  #dueFrom(functionName: string, due: number): void {
    this.#due.set(functionName, Math.min(this.#due.get(functionName) ?? Infinity, due));
  }

  async #firstDue(functionName: string, from: number): Promise<number> {
    const { lt } = prefixRange(`e${functionName}\0`);
    const [first] = await this.#database.keys({ gte: dueKey(functionName, from), lt, limit: 1 }).all();
    return first === undefined ? Infinity : first.readUIntBE(Buffer.byteLength(functionName) + 2, DUE_BYTES);
  }

  /** What was there before the journal was opened. */
  async #look(): Promise<void> {
    const { gte, lt } = prefixRange("e");
    for (let from = gte; ;) {
      const [place] = await this.#database.keys({ gte: from, lt, limit: 1 }).all();
      if (place === undefined) return;
      const name = place.toString("utf8", 1, place.indexOf(0));
      this.#dueFrom(name, place.readUIntBE(place.indexOf(0) + 1, DUE_BYTES));
      from = prefixRange(`e${name}\0`).lt;
    }
  }
}

function dueKey(functionName: string, due: number, rest: Uint8Array = Buffer.alloc(0)): Buffer {
  const time = Buffer.allocUnsafe(DUE_BYTES);
  time.writeUIntBE(Math.min(due, 2 ** 48 - 1), 0, DUE_BYTES);
  return Buffer.concat([Buffer.from(`e${functionName}\0`), time, rest]);
}
