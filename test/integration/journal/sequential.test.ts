import { ClassicLevel } from "classic-level";
import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import type { Database } from "../../../src/journal/database.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { SequentialDatabase } from "../../../src/journal/sequential.ts";
import { commit, commitOf } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

interface Written {
  readonly sync: boolean;
  /** Number of the log that was the newest when the write was done. */
  readonly log: number;
}

/** A real LevelDB, and for each write which log it went to and whether it was synced. */
async function openNoted(location: string): Promise<{ level: Database; written: Written[] }> {
  const level = new ClassicLevel<Buffer, Buffer>(location, {
    keyEncoding: "buffer",
    valueEncoding: "buffer",
    writeBufferSize: 64 * 2 ** 20,
  });
  await level.open();
  const written: Written[] = [];
  const noted: Database = {
    get: (key) => level.get(key),
    iterator: (range) => level.iterator(range),
    keys: (range) => level.keys(range),
    values: (range) => level.values(range),
    clear: (range) => level.clear(range),
    approximateSize: (start, end) => level.approximateSize(start, end),
    compactRange: (start, end) => level.compactRange(start, end),
    getProperty: (name) => level.getProperty(name),
    close: () => level.close(),
    async batch(ops, options) {
      await level.batch(ops, options);
      const logs = readdirSync(location).filter((name) => name.endsWith(".log"));
      written.push({ sync: options.sync, log: Math.max(...logs.map((name) => Number.parseInt(name, 10))) });
    },
  };
  return { level: noted, written };
}

/** Writes that a power cut could take while it leaves later ones: unsynced, and the last of their log. */
function unsecured(written: readonly Written[]): number {
  return written.filter(({ sync, log }, index) => !sync && (written[index + 1]?.log ?? log) !== log).length;
}

async function fill(database: Pick<Database, "batch">, writes: number): Promise<void> {
  for (let n = 0; n < writes; n++) {
    const ops = [{ type: "put", key: Buffer.from(`k${n % 50}`), value: Buffer.alloc(100_000, n) } as const];
    await database.batch(ops, { sync: false, points: new Set(["commit"]) });
  }
}

it("never leaves a write that is not synced at the end of a log", async () => {
  await using folder = await TempFolder.make();
  const { level, written } = await openNoted(folder.join("db"));
  const database = new SequentialDatabase(level);
  await fill(database, 600);
  expect(new Set(written.map(({ log }) => log)).size).toBeGreaterThan(2);
  expect(unsecured(written)).toBe(0);
  // The rule is not met by syncing everything.
  expect(written.filter(({ sync }) => !sync).length).toBeGreaterThan(100);
  await database.close();
});

it("leaves none either when a range is compacted, which begins a new log too", async () => {
  await using folder = await TempFolder.make();
  const { level, written } = await openNoted(folder.join("db"));
  const database = new SequentialDatabase(level);
  for (let round = 0; round < 3; round++) {
    await fill(database, 5);
    const compacting = database.compactRange(Buffer.from("a"), Buffer.from("z"));
    await fill(database, 5);
    await compacting;
  }
  expect(new Set(written.map(({ log }) => log)).size).toBeGreaterThan(2);
  expect(unsecured(written)).toBe(0);
  await database.close();
});

it("leaves none when one batch fills the buffer by itself", async () => {
  await using folder = await TempFolder.make();
  const { level, written } = await openNoted(folder.join("db"));
  const database = new SequentialDatabase(level);
  await fill(database, 5);
  const ops = Array.from({ length: 70 }, (_, n) => ({ type: "put", key: Buffer.from(`l${n}`), value: Buffer.alloc(2 ** 20, n) }) as const);
  await database.batch(ops, { sync: false, points: new Set(["commit"]) });
  await fill(database, 5);
  expect(written.at(-1)?.log).toBeGreaterThan(written[0]?.log ?? 0);
  expect(unsecured(written)).toBe(0);
  await database.close();
});

it("commits share a batch up to a size", async () => {
  await using folder = await TempFolder.make();
  const sizes: number[] = [];
  await using journal = await Journal.open({ location: folder.join("db"), batchMax: 256 }, async (location) => {
    const { level } = await openNoted(location);
    const batch: Database["batch"] = (ops, how) => {
      sizes.push(ops.reduce((sum, op) => sum + (op.type === "put" ? op.value.length : 0), 0));
      return level.batch(ops, how);
    };
    return { ...level, batch };
  });
  const state = Array.from({ length: 6 }, (_, n) => ({ key: "k", name: String(n), value: Buffer.alloc(2 ** 20, n) }));
  await Promise.all([1, 2, 3, 4, 5].map((n) => commit(journal, commitOf(`f${n}`, new Cursor(n), { state }))));
  // Two of them reach 8 MB.
  expect(sizes.filter((size) => size > 1_000).map((size) => Math.round(size / 2 ** 20))).toEqual([12, 12, 6]);
});

it("would leave one if LevelDB were left alone", async () => {
  await using folder = await TempFolder.make();
  const { level, written } = await openNoted(folder.join("db"));
  await fill(level, 1_000);
  expect(unsecured(written)).toBeGreaterThan(0);
  await level.close();
});
