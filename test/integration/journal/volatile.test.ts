import { cp } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import { type Database, openDatabase, type WritePoint } from "../../../src/journal/database.ts";
import { Journal, type JournalOptions } from "../../../src/journal/journal.ts";
import { eventually } from "../../support/eventually.ts";
import { allTexts, append, commit, commitOf, entryOf, openJournal, textOf } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

let folder: TempFolder;
let own: AsyncDisposableStack;

beforeEach(async () => {
  folder = await TempFolder.make();
  own = new AsyncDisposableStack();
  own.use(folder);
});

afterEach(() => own.disposeAsync());

interface Batch {
  readonly points: readonly WritePoint[];
  readonly sync: boolean;
}

/** A journal whose batches are written and noted down; none of them ends before `busy`. */
async function watched(options: Partial<JournalOptions> = {}, busy?: Promise<void>): Promise<{ journal: Journal; batches: Batch[] }> {
  const batches: Batch[] = [];
  const open = async (location: string): Promise<Database> => {
    const database = await openDatabase(location);
    const batch: Database["batch"] = (ops, how) => {
      batches.push({ points: [...how.points], sync: how.sync });
      const written = database.batch(ops, how);
      return busy === undefined ? written : written.then(() => busy);
    };
    return new Proxy(database, {
      get: (target, name) => {
        const value: unknown = name === "batch" ? batch : Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };
  const journal = await Journal.open({ location: folder.join("journal"), batchMax: 256, ...options }, open);
  own.use(journal);
  return { journal, batches };
}

const volatileOf = (text: string): ReturnType<typeof entryOf> => ({ ...entryOf("v", text), volatile: true });

describe("a volatile message", () => {
  it("is announced in order with the others, has a seq of its own, and is on no disk", async () => {
    const { journal } = await watched();
    const heard: string[] = [];
    journal.subscribe({
      incoming: (messages) => heard.push(...messages.map((message) => `${message.seq}${message.volatile ? "v" : ""}:${textOf(message)}`)),
      publishes: () => undefined,
    });
    await Promise.all(
      Array.from({ length: 12 }, (_, i) => append(journal, i % 3 === 1 ? volatileOf(`m${i + 1}`) : entryOf("t", `m${i + 1}`))),
    );
    await append(journal, volatileOf("m13"));
    expect(heard).toEqual(Array.from({ length: 13 }, (_, i) => `${i + 1}${i % 3 === 1 || i === 12 ? "v" : ""}:m${i + 1}`));
    const durable = Array.from({ length: 12 }, (_, i) => i + 1).filter((n) => n % 3 !== 2);
    expect(await allTexts(journal)).toEqual(durable.map((n) => `${n}:m${n}`));
    expect(await allTexts(journal, 5)).toEqual(durable.filter((n) => n >= 5).map((n) => `${n}:m${n}`));

    await journal.close();
    await using again = await openJournal(folder.join("journal"));
    expect(again.nextSeq).toBe(14);
    expect(await allTexts(again)).toEqual(durable.map((n) => `${n}:m${n}`));
  });

  it("is announced while the disk is busy with others, which it has not overtaken", async () => {
    const passed = Promise.withResolvers<void>();
    const { journal } = await watched({}, passed.promise);
    const order: string[] = [];
    journal.subscribe({
      incoming: (messages) => {
        // The write has been handed to the disk in this very turn.
        if (order.length === 0) {
          journal.append(volatileOf("passing"), () => {
            order.push("passed");
            passed.resolve();
          });
        }
        order.push(...messages.map((message) => textOf(message)));
      },
      publishes: () => undefined,
    });
    await append(journal, entryOf("t", "slow")).then(() => order.push("written"));
    expect(order).toEqual(["slow", "passing", "passed", "written"]);
  });

  it("is refused when the journal is closed", async () => {
    const { journal } = await watched();
    const late = append(journal, volatileOf("on the way out"));
    await journal.close();
    await late;
    await expect(append(journal, volatileOf("x"))).rejects.toMatchObject({ code: "JOURNAL_CLOSED" });
  });

  it("never lends its seq to another message: the mark is on disk with a sync before or with what came of it", async () => {
    const { journal, batches } = await watched();
    await append(journal, entryOf("t", "m1"));
    expect(batches.flatMap(({ points }) => points)).not.toContain("mark");
    await append(journal, volatileOf("m2"));
    await commit(journal, commitOf("f", new Cursor(3)));
    const marked = batches.findIndex(({ points }) => points.includes("mark"));
    expect(batches[marked]?.sync).toBe(true);
    expect(marked).toBeLessThanOrEqual(batches.findIndex(({ points }) => points.includes("commit")));

    // What a killed process leaves behind.
    await cp(folder.join("journal"), folder.join("killed"), { recursive: true });
    await using again = await openJournal(folder.join("killed"));
    expect(again.nextSeq).toBeGreaterThan(1_000_000);
    await append(again, entryOf("t", "after"));
    expect(await allTexts(again)).toEqual(["1:m1", `${again.nextSeq - 1}:after`]);
  });
});

describe("a volatile message that a function derives", () => {
  it("has its seq marked like others: after a crash and after a clean end no other message gets it", async () => {
    const { journal, batches } = await watched();
    await append(journal, entryOf("t", "m1"));
    await commit(journal, commitOf("f", new Cursor(2), { derived: [volatileOf("m2")] }));
    expect(batches).toEqual([
      { points: ["append"], sync: true },
      { points: ["commit", "mark"], sync: true },
    ]);
    await cp(folder.join("journal"), folder.join("killed"), { recursive: true });
    {
      await using again = await openJournal(folder.join("killed"));
      expect(again.nextSeq).toBeGreaterThan(1_000_000);
    }
    await commit(journal, commitOf("g", new Cursor(3)));
    await journal.close();
    await using again = await openJournal(folder.join("journal"));
    expect([again.nextSeq, again.opened.problems]).toEqual([3, []]);
  });
});

describe("durability", () => {
  it("fsync syncs every append and marks no seqs", async () => {
    const { journal, batches } = await watched();
    await append(journal, entryOf("t", "a"));
    await append(journal, entryOf("t", "b"));
    expect(batches).toEqual([
      { points: ["append"], sync: true },
      { points: ["append"], sync: true },
    ]);
  });

  it("interval acknowledges before the sync, which follows also when nothing else comes", async () => {
    const { journal, batches } = await watched({ durability: "interval", syncIntervalMs: 20 });
    await append(journal, entryOf("t", "a"));
    await eventually(() => expect(batches).toEqual([{ points: ["append", "mark"], sync: true }]));
    await Promise.all([append(journal, entryOf("t", "b")), append(journal, entryOf("t", "c"))]);
    expect(batches[1]).toEqual({ points: ["append"], sync: false });
    await eventually(() => expect(batches[2]).toEqual({ points: ["mark"], sync: true }));
    expect(await allTexts(journal)).toEqual(["1:a", "2:b", "3:c"]);
  });

  it("os syncs nothing but the mark, and goes on without a gap after a clean end", async () => {
    const { journal, batches } = await watched({ durability: "os" });
    for (const text of ["a", "b", "c"]) await append(journal, entryOf("t", text));
    expect(batches.filter(({ sync }) => sync)).toEqual([{ points: ["append", "mark"], sync: true }]);
    await journal.close();
    await using again = await openJournal(folder.join("journal"));
    await append(again, entryOf("t", "d"));
    expect(await allTexts(again)).toEqual(["1:a", "2:b", "3:c", "4:d"]);
  });
});
