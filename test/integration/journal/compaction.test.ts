import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Compaction } from "../../../src/journal/compaction.ts";
import { type Database, type OpenDatabase, openDatabase } from "../../../src/journal/database.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { numberKey, prefixRange } from "../../../src/journal/keys.ts";
import { eventually } from "../../support/eventually.ts";
import { append, bytesOnDisk, entryOf, KEEPS_NOTHING } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const MB = 1024 * 1024;
const BLOCKS = 64;
const { gte: from, lt: to } = prefixRange("j");

let folder: TempFolder;

beforeEach(async () => {
  folder = await TempFolder.make();
});
afterEach(() => folder[Symbol.asyncDispose]());

/** A database whose blocks of 1 MB were deleted, all but the last, and are still on disk. */
async function withDeleted(): Promise<Database> {
  const database = await openDatabase(folder.join("level"));
  const points = new Set(["trim"] as const);
  for (let n = 0; n < BLOCKS; n++) {
    await database.batch([{ type: "put", key: numberKey("j", n * 1_000), value: randomBytes(MB) }], { sync: false, points });
  }
  await database.compactRange(Buffer.from("~"), Buffer.from("~"));
  for (let n = 0; n < BLOCKS - 1; n++) await database.batch([{ type: "del", key: numberKey("j", n * 1_000) }], { sync: false, points });
  return database;
}

it("rewrites a large range piece by piece, without a gap", async () => {
  const database = await withDeleted();
  const pieces: (readonly [string, string])[] = [];
  const compactRange = database.compactRange.bind(database);
  database.compactRange = (start, end) => {
    pieces.push([start.toString("hex"), end.toString("hex")]);
    return compactRange(start, end);
  };
  expect(await bytesOnDisk(folder.join("level"))).toBeGreaterThan(BLOCKS * MB);
  await new Compaction(database, new AbortController().signal).rewrite({ from, to });
  await eventually(async () => expect(await bytesOnDisk(folder.join("level"))).toBeLessThan(8 * MB));
  expect(pieces.length).toBeGreaterThan(1);
  expect(pieces.length).toBeLessThan(16);
  expect(pieces.map(([start]) => start)).toEqual([from.toString("hex"), ...pieces.slice(0, -1).map(([, end]) => end)]);
  expect(pieces.at(-1)?.[1]).toBe(to.toString("hex"));
  expect((await database.get(numberKey("j", (BLOCKS - 1) * 1_000)))?.length).toBe(MB);
  await database.close();
}, 60_000);

it("rewrites nothing more once it is to stop", async () => {
  const database = await withDeleted();
  const stopping = new AbortController();
  let calls = 0;
  database.compactRange = () => {
    calls++;
    stopping.abort();
    return Promise.resolve();
  };
  const compaction = new Compaction(database, stopping.signal);
  const all = Promise.all([compaction.rewrite({ from, to }), compaction.rewrite({ from, to })]);
  expect(compaction.busy).toBe(true);
  await all;
  await compaction.ended();
  expect([calls, compaction.busy]).toEqual([1, false]);
  await database.close();
}, 60_000);

it("holds up neither the relief of a full journal nor its end for longer than one piece", async () => {
  const held: (() => void)[] = [];
  const open: OpenDatabase = async (location) => {
    const database = await openDatabase(location);
    const compactRange = database.compactRange.bind(database);
    database.approximateSize = () => Promise.resolve(200 * MB);
    database.compactRange = async (start, end) => {
      // Not what the change of the log asks for.
      if (start.toString() !== "~") await new Promise<void>((resolve) => held.push(resolve));
      await compactRange(start, end);
    };
    return database;
  };
  const options = { location: folder.join("journal"), batchMax: 100, bytesMax: 2 * MB, ...KEEPS_NOTHING };
  const journal = await Journal.open(options, open);
  journal.subscribe({ incoming: () => undefined, publishes: () => undefined });
  await journal.keep({ consumed: () => journal.nextSeq, pressure: () => undefined });
  await eventually(() => expect(held).toHaveLength(1));
  const text = "x".repeat(MB / 8);
  for (let n = 0; n < 40; n++) await append(journal, entryOf("t", text));
  expect(journal.kept.bytes).toBeLessThan(3 * MB);
  let closed = false;
  const closing = journal.close().then(() => (closed = true));
  expect([held.length, closed]).toEqual([1, false]);
  held[0]?.();
  await closing;
  expect(held).toHaveLength(1);
}, 60_000);
