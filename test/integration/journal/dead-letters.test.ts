import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import { Drops } from "../../../src/core/drops.ts";
import type { Overflow } from "../../../src/core/manifest.ts";
import type { DeadLetter } from "../../../src/core/stats.ts";
import type { Journal } from "../../../src/journal/journal.ts";
import { eventually } from "../../support/eventually.ts";
import { commit, commitOf, openJournal } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

/** Each letter has a little over 1,000 bytes, so that ten make it full. */
const BYTES_MAX = 10_000;

let folder: TempFolder;
let journal: Journal;
let drops: Drops;
let freed: number;

beforeEach(async () => {
  folder = await TempFolder.make();
  freed = 0;
  await open();
});

afterEach(async () => {
  await journal.close();
  await folder[Symbol.asyncDispose]();
});

async function open(): Promise<void> {
  drops = new Drops();
  const events = { deadLettersFree: () => void freed++ };
  journal = await openJournal(folder.join("journal"), events, { deadLettersBytesMax: BYTES_MAX, drops });
}

function letter(functionName: string, seq: number): DeadLetter {
  const about = { version: 1, topic: "t", time: 5, attempts: 2, code: "C", error: "E", payload: "x".repeat(1_000) };
  return { seq, function: functionName, ...about };
}

/** One letter in each commit, as they come from a function that fails now and then. */
async function giveUp(functionName: string, which: readonly number[], overflow: Overflow): Promise<void> {
  const commits = which.map((seq) =>
    commit(journal, commitOf(functionName, new Cursor(seq + 1), { deadLetters: [letter(functionName, seq)], overflow })),
  );
  await Promise.all(commits);
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function seqs(functionName: string): Promise<number[]> {
  return (await journal.deadLetters(functionName, 100)).map(({ seq }) => seq).toSorted((a, b) => a - b);
}

describe("dead letters at their quota", () => {
  it("of a function that blocks are all kept, and the function is told to wait until there is room", async () => {
    await giveUp("f", range(1, 8), "block");
    expect(journal.deadLettersFull).toBe(false);
    await giveUp("f", range(9, 12), "block");
    expect([journal.deadLettersFull, freed, drops.all()]).toEqual([true, 0, []]);
    expect(await seqs("f")).toEqual(range(1, 12));
    expect(await journal.clearDeadLetters("other")).toBe(0);
    expect(journal.deadLettersFull).toBe(true);
    expect(await journal.clearDeadLetters("f")).toBe(12);
    expect([journal.deadLettersFull, freed, journal.deadLettersUsage]).toEqual([false, 1, { count: 0, bytes: 0, full: false }]);
  });

  it("of a function that drops the oldest make room among its own", async () => {
    await giveUp("other", range(1, 4), "block");
    await giveUp("f", range(1, 20), "drop-oldest");
    await eventually(() => expect(journal.deadLettersFull).toBe(false));
    const kept = await seqs("f");
    expect(kept).toEqual(range(21 - kept.length, 20));
    expect(kept.length).toBeGreaterThan(3);
    expect(drops.all()).toEqual([{ function: "f", reason: "dead-letter-overflow", count: 20 - kept.length }]);
    expect(await seqs("other")).toEqual(range(1, 4));
  });

  it.each(["drop-newest", "keep-latest"] as const)("of a function with %s lose the new one", async (overflow) => {
    await giveUp("f", range(1, 20), overflow);
    const kept = await seqs("f");
    expect(kept).toEqual(range(1, kept.length));
    expect(drops.all()).toEqual([{ function: "f", reason: "dead-letter-overflow", count: 20 - kept.length }]);
    expect(journal.deadLettersFull).toBe(true);
  });

  it("are counted exactly, also over a restart", async () => {
    await giveUp("f", range(1, 5), "block");
    await giveUp("g", range(1, 3), "block");
    await journal.clearDeadLetters("g");
    const before = journal.deadLettersUsage;
    expect(before.count).toBe(5);
    await journal.close();
    await open();
    expect(journal.deadLettersUsage).toEqual(before);
    await giveUp("f", range(6, 20), "block");
    await journal.close();
    await open();
    expect([journal.deadLettersFull, journal.deadLettersUsage.count]).toEqual([true, 20]);
  });
});
