import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cursor } from "../../src/core/cursor.ts";
import { type Database, openDatabase } from "../../src/journal/database.ts";
import type { Journal } from "../../src/journal/journal.ts";
import { nameKey, numberKey } from "../../src/journal/keys.ts";
import { allTexts, append, appendOnce, commit, commitOf, entryOf, openJournal } from "../support/journal.ts";
import { TempFolder } from "../support/temp-folder.ts";

/** What is left behind when the process is killed, the power fails or the disk lies; the journal finds it, says it and goes on. */
let folder: TempFolder;
let location: string;

beforeEach(async () => {
  folder = await TempFolder.make();
  location = folder.join("journal");
  await using journal = await openJournal(location);
  for (let n = 1; n <= 5; n++) await append(journal, entryOf("t", `m${n}`));
  const letter = { seq: 2, function: "f", version: 1, topic: "t", time: 1, attempts: 1, code: "C", error: "E", payload: "" };
  await commit(journal, commitOf("f", new Cursor(3), { deadLetters: [letter], publishes: [entryOf("o", "published").record] }));
  await appendOnce(journal, "c", 7, entryOf("t", "m6"));
  // The folder of a killed process: nothing was closed.
  await cp(location, folder.join("killed"), { recursive: true });
});

afterEach(() => folder[Symbol.asyncDispose]());

const ALL = ["1:m1", "2:m2", "3:m3", "4:m4", "5:m5", "6:m6"];

/** Changes what is in the database, as no journal would. */
async function tamper(work: (database: Database) => Promise<void>, at = location): Promise<void> {
  const database = await openDatabase(at);
  await work(database);
  await database.close();
}

function put(database: Database, key: Buffer, value: Buffer): Promise<void> {
  return database.batch([{ type: "put", key, value }], { sync: false, points: new Set(["append"]) });
}

async function expectUsable(journal: Journal): Promise<void> {
  const seq = journal.nextSeq;
  await append(journal, entryOf("t", "after"));
  expect(await allTexts(journal, seq)).toEqual([`${seq}:after`]);
}

describe("a journal that is opened", () => {
  it("says that it is new, or that it was closed", async () => {
    await using fresh = await openJournal(folder.join("fresh"));
    expect(fresh.opened).toMatchObject({ end: "new", publishes: 0, qos2: 0, problems: [] });
    await using journal = await openJournal(location);
    expect(journal.opened).toMatchObject({ end: "clean", publishes: 1, qos2: 1, problems: [] });
    expect(journal.nextSeq).toBe(7);
  });

  it("after a kill says so, and what is left to do, and has everything", async () => {
    await using journal = await openJournal(folder.join("killed"));
    expect(journal.opened).toMatchObject({ end: "unclean", publishes: 1, qos2: 1, problems: [] });
    expect(await allTexts(journal)).toEqual(ALL);
    expect(journal.nextSeq).toBe(7);
    expect(journal.deadLettersUsage.count).toBe(1);
    await expectUsable(journal);
  });

  it.each([
    ["CURRENT is missing", (at: string) => rm(`${at}/CURRENT`)],
    ["CURRENT names no file", (at: string) => writeFile(`${at}/CURRENT`, "MANIFEST-999999\n")],
    ["the manifest is garbage", async (at: string) => writeFile(`${at}/${(await readFile(`${at}/CURRENT`, "utf8")).trim()}`, "garbage")],
  ])("although %s has everything, and a copy of what it found", async (_, damage) => {
    for (const at of [location, folder.join("killed")]) {
      await damage(at);
      await using journal = await openJournal(at);
      expect(journal.opened.problems).toEqual([expect.stringMatching(/repaired it, every table could be read; a copy/)]);
      expect(await allTexts(journal)).toEqual(ALL);
      expect((await journal.cursor("f"))?.floor).toBe(3);
      await expectUsable(journal);
    }
    expect((await readdir(folder.path)).filter((name) => name.includes("-before-repair-"))).toHaveLength(2);
  });

  it("says which bytes of its log were unreadable, and never uses a seq again that may have been in them", async () => {
    const at = folder.join("killed");
    const name = (await readdir(at)).find((each) => each.endsWith(".log")) ?? "";
    const log = await readFile(`${at}/${name}`);
    log[log.length - 60] = (log[log.length - 60] ?? 0) ^ 0xff;
    await writeFile(`${at}/${name}`, log);
    {
      await using journal = await openJournal(at);
      expect(journal.opened.problems).toEqual([
        expect.stringMatching(/^\d+ bytes of \d+\.log were unreadable \(Corruption: checksum mismatch\)/),
      ]);
      expect((await allTexts(journal)).slice(0, 3)).toEqual(ALL.slice(0, 3));
      expect(journal.nextSeq).toBeGreaterThan(1_000_000);
    }
    await using again = await openJournal(at);
    expect(again.opened).toMatchObject({ end: "clean", problems: [] });
    expect(again.nextSeq).toBeGreaterThan(1_000_000);
  });

  it("cuts off a block that is none", async () => {
    await tamper((database) => put(database, numberKey("j", 7), Buffer.from([0, 0, 1, 0, 1, 2, 3])));
    await using journal = await openJournal(location);
    expect(journal.opened.problems).toEqual([expect.stringMatching(/^the block of seq 7 is unreadable .* and is deleted$/)]);
    expect(await allTexts(journal)).toEqual(ALL);
    await expectUsable(journal);
  });

  it("goes on above a cursor that knows of more messages than there are", async () => {
    await tamper((database) => put(database, nameKey("c", "f"), new Cursor(5_000).encode()));
    await using journal = await openJournal(location);
    expect(journal.opened.problems).toEqual([`the cursor of "f" is at 5000, beyond 7: messages before it are lost`]);
    expect(journal.nextSeq).toBeGreaterThan(5_000);
  });

  it("counts dead letters again when their account is wrong", async () => {
    await tamper((database) => put(database, nameKey("m", "dead-letters"), Buffer.alloc(16, 1)), folder.join("killed"));
    await using journal = await openJournal(folder.join("killed"));
    expect(journal.opened.problems).toEqual([expect.stringMatching(/1 of \d+ are there$/)]);
    expect(journal.deadLettersUsage.count).toBe(1);
  });
});
