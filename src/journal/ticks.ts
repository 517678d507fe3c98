import { z } from "zod";
import type { MillraceError } from "../core/errors.ts";
import type { Database, Op } from "./database.ts";
import { prefixRange } from "./keys.ts";
import type { Entry, Writer } from "./writer.ts";

const valueSchema = z.object({ schedule: z.string(), last: z.number(), missed: z.int().default(0) });

/** How far a schedule of a function has come. */
export interface TickMark {
  readonly function: string;
  /** Of the schedule. */
  readonly name: string;
  /** What it says; with other words it is another one. */
  readonly schedule: string;
  /** Up to when nothing is due any more, in milliseconds since the epoch. */
  readonly last: number;
  /** Ticks that were left out since the last one. */
  readonly missed: number;
}

/** Oldest names first; what cannot be read is as if the schedule had never ticked. */
export async function readTickMarks(database: Database): Promise<readonly TickMark[]> {
  const entries = await database.iterator(prefixRange("t")).all();
  return entries.flatMap(([key, value]) => {
    const [functionName = "", name = ""] = key.toString("utf8", 1).split("\0");
    const mark = valueSchema.safeParse(jsonOf(value));
    return mark.success ? [{ function: functionName, name, ...mark.data }] : [];
  });
}

function jsonOf(value: Buffer): unknown {
  try {
    return JSON.parse(value.toString());
  } catch {
    return undefined; // The caller passes it over.
  }
}

/**
 * The ticks of schedules. How far one has come is written in the same batch as the message of its tick: after a crash either both are there or
 * neither.
 */
export class Ticks {
  readonly #writer: Writer;
  /** As of everything that was submitted. */
  readonly #marks = new Map<string, Map<string, TickMark>>();

  constructor(writer: Writer, found: readonly TickMark[]) {
    this.#writer = writer;
    for (const mark of found) this.#note(mark);
  }

  mark(functionName: string, name: string): TickMark | undefined {
    return this.#marks.get(functionName)?.get(name);
  }

  /** Whether the journal takes no new messages for now. */
  get held(): boolean {
    return this.#writer.holds.length > 0;
  }

  /** A message and how far its schedule has come with it, synced; or only the latter, when nobody wants the message. */
  append(entry: Entry | undefined, mark: TickMark, done: (error?: MillraceError) => void): void {
    this.#note(mark);
    const entries = entry === undefined ? [] : [entry];
    this.#writer.submit({ point: "tick", entries, ops: [putOp(mark)], publishes: [], sync: true, done });
  }

  /** These are the schedules that a function has; all others of it are forgotten. Resolves when that is on disk. */
  async keep(functionName: string, marks: readonly TickMark[]): Promise<void> {
    const known = this.#marks.get(functionName) ?? new Map<string, TickMark>();
    const gone = [...known.keys()].filter((name) => !marks.some((mark) => mark.name === name));
    const changed = marks.filter((mark) => JSON.stringify(known.get(mark.name)) !== JSON.stringify(mark));
    for (const name of gone) known.delete(name);
    for (const mark of changed) this.#note(mark);
    const ops: Op[] = [...gone.map((name) => ({ key: tickKey(functionName, name) })), ...changed.map(putOp)];
    if (ops.length === 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const done = (error?: MillraceError): void => (error === undefined ? resolve() : reject(error));
    this.#writer.submit({ point: "tick", entries: [], ops, publishes: [], sync: true, done });
    await promise;
  }

  #note(mark: TickMark): void {
    const known = this.#marks.get(mark.function) ?? new Map<string, TickMark>();
    this.#marks.set(mark.function, known.set(mark.name, mark));
  }
}

function putOp({ function: functionName, name, schedule, last, missed }: TickMark): Op {
  return { key: tickKey(functionName, name), value: Buffer.from(JSON.stringify({ schedule, last, missed })) };
}

function tickKey(functionName: string, name: string): Buffer {
  return Buffer.from(`t${functionName}\0${name}`);
}
