import { mkdir } from "node:fs/promises";
import { Cursor } from "../core/cursor.ts";
import { MillraceError, systemCode } from "../core/errors.ts";
import type { JournalOpened as Opened } from "../core/stats.ts";
import { endOfBlock } from "./block.ts";
import { type Database, levelOp, type OpenDatabase } from "./database.ts";
import { DeadLetters } from "./dead-letters.ts";
import { examine } from "./examine.ts";
import { CLEAN, nameOf, numberOf, prefixRange } from "./keys.ts";
import type { JournalOptions } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { isRepairable, recoveryProblems, repair, repairWithoutCurrent } from "./repair.ts";
import { Segments } from "./segments.ts";
import { Seqs } from "./seqs.ts";
import { SequentialDatabase } from "./sequential.ts";
import { readTickMarks, type TickMark } from "./ticks.ts";

/** Which version of a function handles messages, and from where on. */
export interface FunctionRecord {
  readonly version: number;
  readonly digest: string;
  readonly from: number;
  /** Whether it has shown that it does its host no harm. */
  readonly proven?: boolean;
  /** `state.version` of its manifest; absent when that is 1. */
  readonly stateVersion?: number;
  /** Topic filters of messages that wait for it while it is not there, such as when its bundle is damaged. Volatile ones do not. */
  readonly filters?: readonly string[];
}

/** What a journal has to know before it goes on. */
export interface Found {
  readonly nextSeq: number;
  readonly nextPublish: number;
  readonly functions: Map<string, FunctionRecord>;
  readonly floors: ReadonlyMap<string, number>;
  readonly qos2: Set<string>;
  readonly ticks: readonly TickMark[];
  readonly outbox: Outbox;
  readonly segments: Segments;
  readonly deadLetters: Awaited<ReturnType<typeof DeadLetters.counted>>;
  readonly opened: Opened;
}

interface About {
  readonly end: Opened["end"];
  readonly problems: readonly string[];
  readonly startedAt: number;
}

/** @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL, DATA_CORRUPT */
export async function openJournal(options: Required<JournalOptions>, open: OpenDatabase): Promise<{ database: Database; found: Found }> {
  const { location } = options;
  const startedAt = performance.now();
  await makeFolder(location);
  const problems = await repairWithoutCurrent(location);
  const opened = await open(location).catch(async (error: unknown) => {
    if (!isRepairable(error)) throw error;
    problems.push(...(await repair(location, error.message)));
    return open(location);
  });
  const database = new SequentialDatabase(opened);
  try {
    problems.push(...(await recoveryProblems(location)));
    const end = await putRight(database, problems);
    const found = await look(database, options, { end, problems, startedAt });
    return { database, found };
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Repairs what is inside the database and notes that it is in use. Returns how the last use ended. */
async function putRight(database: Database, problems: string[]): Promise<Opened["end"]> {
  const clean = await database.get(CLEAN);
  const empty = clean === undefined && (await database.keys({ limit: 1 }).all()).length === 0;
  const { above, repairs, problems: found } = await examine(database, clean === undefined && !empty);
  problems.push(...found);
  // What is lost may have been handed out, and what came of it may be known outside.
  if (problems.length > 0) repairs.push(levelOp(Seqs.beyond(above)));
  if (clean !== undefined) repairs.push({ type: "del", key: CLEAN });
  if (repairs.length > 0) await database.batch(repairs, { sync: problems.length > 0, points: new Set(["mark"]) });
  return empty ? "new" : clean === undefined ? "unclean" : "clean";
}

async function look(database: Database, options: Required<JournalOptions>, about: About): Promise<Found> {
  const [block] = await database.iterator({ ...prefixRange("j"), reverse: true, limit: 1 }).all();
  const publishes = await database.keys(prefixRange("p")).all();
  const functions = new Map<string, FunctionRecord>();
  for await (const [key, value] of database.iterator(prefixRange("f"))) {
    functions.set(nameOf(key), JSON.parse(value.toString()) as FunctionRecord);
  }
  const floors = new Map<string, number>();
  for await (const [key, value] of database.iterator(prefixRange("c"))) floors.set(nameOf(key), Cursor.decode(value).floor);
  const qos2 = new Set<string>();
  for await (const key of database.keys(prefixRange("q"))) qos2.add(key.toString("latin1"));
  const mark = Seqs.read(await database.get(Seqs.key));
  const lastPublish = publishes.at(-1);
  const found = {
    nextSeq: Math.max(mark, block === undefined ? 1 : endOfBlock(numberOf(block[0]), block[1])),
    nextPublish: lastPublish === undefined ? 1 : numberOf(lastPublish) + 1,
    functions,
    floors,
    qos2,
    ticks: await readTickMarks(database),
    outbox: await Outbox.open(
      database,
      { bytesMax: options.outboxBytesMax, laneBytesMax: options.outboxLaneBytesMax, drops: options.drops },
      about.problems.length > 0,
    ),
    segments: await Segments.open(database, options.segment),
    deadLetters: (await DeadLetters.account(database)) ?? (await DeadLetters.counted(database)),
  };
  const { end, problems, startedAt } = about;
  const tookMs = Math.round(performance.now() - startedAt);
  return { ...found, opened: { end, tookMs, publishes: publishes.length, qos2: qos2.size, problems } };
}

/** @throws MillraceError DATA_UNWRITABLE */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new MillraceError("DATA_UNWRITABLE", `the data folder ${folder} cannot be made: ${systemCode(cause) ?? "unknown reason"}`, {
      cause,
    });
  }
}
