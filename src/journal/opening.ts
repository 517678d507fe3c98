import { mkdir } from "node:fs/promises";
import { Cursor } from "../core/cursor.ts";
import { MillraceError, systemCode } from "../core/errors.ts";
import { endOfBlock } from "./block.ts";
import type { Database } from "./database.ts";
import { DeadLetters } from "./dead-letters.ts";
import { nameOf, numberOf, prefixRange } from "./keys.ts";
import { Outbox } from "./outbox.ts";
import { type SegmentLimits, Segments } from "./segments.ts";
import { Seqs } from "./seqs.ts";

/** Which version of a function handles messages, and from where on. */
export interface FunctionRecord {
  readonly version: number;
  readonly digest: string;
  readonly from: number;
}

/** What a journal has to know before it goes on. */
export interface Found {
  readonly nextSeq: number;
  readonly nextPublish: number;
  readonly functions: Map<string, FunctionRecord>;
  readonly floors: ReadonlyMap<string, number>;
  readonly qos2: Set<string>;
  readonly outbox: Outbox;
  readonly segments: Segments;
  readonly deadLetters: Awaited<ReturnType<typeof DeadLetters.usage>>;
}

export async function look(database: Database, limits: SegmentLimits): Promise<Found> {
  const [block] = await database.iterator({ ...prefixRange("j"), reverse: true, limit: 1 }).all();
  const [publish] = await database.keys({ ...prefixRange("p"), reverse: true, limit: 1 }).all();
  const functions = new Map<string, FunctionRecord>();
  for await (const [key, value] of database.iterator(prefixRange("f"))) {
    functions.set(nameOf(key), JSON.parse(value.toString()) as FunctionRecord);
  }
  const floors = new Map<string, number>();
  for await (const [key, value] of database.iterator(prefixRange("c"))) floors.set(nameOf(key), Cursor.decode(value).floor);
  const qos2 = new Set<string>();
  for await (const key of database.keys(prefixRange("q"))) qos2.add(key.toString("latin1"));
  const mark = Seqs.read(await database.get(Seqs.key));
  return {
    nextSeq: Math.max(mark, block === undefined ? 1 : endOfBlock(numberOf(block[0]), block[1])),
    nextPublish: publish === undefined ? 1 : numberOf(publish) + 1,
    functions,
    floors,
    qos2,
    outbox: await Outbox.open(database),
    segments: await Segments.open(database, limits),
    deadLetters: await DeadLetters.usage(database),
  };
}

/** @throws MillraceError DATA_UNWRITABLE */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new MillraceError("DATA_UNWRITABLE", `the data folder ${folder} cannot be made: ${systemCode(cause) ?? "unknown reason"}`, {
      cause,
    });
  }
}
