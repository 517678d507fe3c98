import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import type { Entry, Journal, JournalOptions } from "../../../src/journal/journal.ts";
import type { Pressure } from "../../../src/journal/keeper.ts";
import { eventually } from "../../support/eventually.ts";
import { allTexts, append, appendOnce, bytesOnDisk, commit, commitOf, entryOf, KEEPS_NOTHING, openJournal } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const MB = 1024 * 1024;

let folder: TempFolder;
let journal: Journal;

beforeEach(async () => {
  folder = await TempFolder.make();
});

afterEach(async () => {
  await journal.close();
  await folder[Symbol.asyncDispose]();
});

/** Without compression, so that bytes are as many as they look. */
async function open(options: Partial<JournalOptions>): Promise<void> {
  journal = await openJournal(folder.join("journal"), {}, { compression: "none", ...options });
}

async function reopen(options: Partial<JournalOptions>): Promise<void> {
  await journal.close();
  await open(options);
}

function appendMany(count: number, first = 1, time = 1_000): Promise<void[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => append(journal, entryOf("t", `m${first + i}`, { time }))));
}

const texts = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}:m${from + i}`);

const large = (): Entry => entryOf("t", "x".repeat(100 * 1024), { time: Date.now() });

/** Appends until messages have to wait. */
async function fill(): Promise<void> {
  while (journal.waiting.length === 0) await append(journal, large());
}

/** As random as sensors are not: nothing in it can be compressed away. */
const noise = (bytes: number): string => randomBytes(bytes / 2).toString("hex");

describe("trimming a journal that keeps nothing for replay", () => {
  it("drops whole segments below the floor and nothing else", async () => {
    await open(KEEPS_NOTHING);
    for (const first of [1, 11, 21]) await appendMany(10, first);
    await journal.trim(15);
    expect(await allTexts(journal)).toEqual(texts(11, 30));
    await journal.trim(15);
    await journal.trim(3);
    expect(await allTexts(journal)).toEqual(texts(11, 30));
    expect(journal.kept.first).toBe(11);
  });

  it("of everything keeps the seqs going, also after reopening", async () => {
    await open(KEEPS_NOTHING);
    await appendMany(10);
    await appendMany(10, 11);
    await journal.trim(journal.nextSeq);
    expect(await allTexts(journal)).toEqual(texts(11, 20));
    await reopen(KEEPS_NOTHING);
    expect(journal.nextSeq).toBe(21);
    await appendMany(1, 21);
    expect(await allTexts(journal, 21)).toEqual(["21:m21"]);
  });

  it("gives the space back", async () => {
    await open(KEEPS_NOTHING);
    const text = noise(10_000);
    for (let round = 0; round < 40; round++)
      await Promise.all(Array.from({ length: 100 }, () => append(journal, entryOf("t", text + noise(2_000)))));
    await commit(journal, commitOf("f", new Cursor(journal.nextSeq), { state: [{ key: "k", name: "n", value: Buffer.from("kept") }] }));
    expect(await bytesOnDisk(folder.join("journal"))).toBeGreaterThan(30 * MB);
    await journal.trim(journal.nextSeq);
    // LevelDB deletes a file when nothing reads from it any more.
    await eventually(async () => expect(await bytesOnDisk(folder.join("journal"))).toBeLessThan(4 * MB));
    expect(await journal.loadState("f", "k")).toHaveLength(1);
  });
});

describe("retention", () => {
  const fine = { segment: { bytes: 1, ms: 60_000 } };

  it("keeps consumed messages until they are older than the age", async () => {
    await open({ ...fine, retentionAgeMs: 60_000 });
    await appendMany(5, 1, Date.now() - 120_000);
    await appendMany(5, 6, Date.now() - 90_000);
    await appendMany(5, 11, Date.now() - 1_000);
    await appendMany(5, 16, Date.now());
    await journal.trim(6);
    expect(await allTexts(journal)).toEqual(texts(6, 20));
    await journal.trim(journal.nextSeq);
    expect(await allTexts(journal)).toEqual(texts(11, 20));
  });

  it("keeps no more of them than the bytes, oldest first, and never touches what waits", async () => {
    await open({ ...fine, retentionBytes: 25_000 });
    for (let n = 1; n <= 10; n++) await append(journal, entryOf("t", "x".repeat(9_900), { time: Date.now() }));
    await journal.trim(6);
    expect((await journal.read(1, 1))[0]?.seq).toBe(4);
    await reopen({ ...fine, retentionBytes: 25_000 });
    expect(journal.kept.first).toBe(4);
    expect(journal.kept.bytes).toBeGreaterThan(7 * 9_900);
    expect(journal.kept.bytes).toBeLessThan(7 * 10_000);
    await journal.trim(11);
    expect((await journal.read(1, 1))[0]?.seq).toBe(9 - 1);
  });

  it("finds where a time is, also after reopening and with an index that is lost", async () => {
    await open(fine);
    for (const [first, time] of [
      [1, 5_000],
      [11, 6_000],
      [21, 4_000], // The clock was set back.
      [31, 7_000],
    ] as const) {
      await appendMany(10, first, time);
    }
    const found = async (): Promise<number[]> =>
      Promise.all([0, 5_000, 5_001, 6_000, 6_001, 7_000, 7_001].map((time) => journal.seqAt(time)));
    const expected = [1, 1, 11, 11, 31, 31, 41];
    expect(await found()).toEqual(expected);
    await reopen(fine);
    expect(await found()).toEqual(expected);
    // One segment: nothing is known but its end.
    await reopen({});
    await appendMany(1, 41, 8_000);
    expect(await journal.seqAt(7_500)).toBeLessThanOrEqual(41);
  });
});

describe("the quota", () => {
  const small = { bytesMax: 4 * MB, segment: { bytes: 64 * 1024, ms: 60_000 } };

  it("lets messages from clients wait until functions have caught up; commits and volatile messages go on", async () => {
    await open(small);
    let consumed = 1;
    const told: Pressure[] = [];
    await journal.keep({ consumed: () => consumed, pressure: (pressure) => told.push(pressure) });
    await fill();
    await eventually(() => expect(told).toHaveLength(1));
    const [first] = told;
    const floor = first?.over === true ? first.floor : 0;
    expect(journal.kept.bytes).toBeGreaterThan(small.bytesMax);
    expect(floor).toBeGreaterThan(1);
    expect(floor).toBeLessThan(10);

    let waited = false;
    const waiting = [append(journal, large()), appendOnce(journal, "c", 1, large())];
    void Promise.race(waiting).then(() => (waited = true));
    await append(journal, { ...large(), volatile: true });
    await commit(journal, commitOf("f", new Cursor(floor), { derived: [entryOf("d", "caused")] }));
    expect([waited, journal.waiting]).toEqual([false, ["quota"]]);

    consumed = floor;
    await Promise.all(waiting);
    expect(told).toEqual([first, { over: false }]);
    expect([journal.waiting, journal.kept.first]).toEqual([[], floor]);
  });

  it("takes what is kept for replay first, and then nobody is told", async () => {
    await open(small);
    const told: Pressure[] = [];
    await journal.keep({ consumed: () => journal.nextSeq, pressure: (pressure) => told.push(pressure) });
    for (let n = 0; n < 60; n++) await append(journal, large());
    await eventually(() => expect(journal.waiting).toEqual([]));
    expect(told).toEqual([]);
    expect(journal.kept.first).toBeGreaterThan(1);
    expect(journal.kept.bytes).toBeGreaterThan(small.bytesMax / 2);
  });

  it("holds nobody up for a last segment that is over it alone, once functions are done with that", async () => {
    await open({ bytesMax: 4 * MB });
    let consumed = 1;
    const told: Pressure[] = [];
    await journal.keep({ consumed: () => consumed, pressure: (pressure) => told.push(pressure) });
    await Promise.all(Array.from({ length: 8 }, () => append(journal, entryOf("t", "x".repeat(600 * 1024)))));
    await eventually(() => expect(told).toHaveLength(1));
    // A seq that no block has: volatile messages go on, so functions are always a bit behind the newest one.
    await append(journal, { ...large(), volatile: true });
    expect(journal.waiting).toEqual(["quota"]);
    consumed = 9;
    await append(journal, large());
    consumed = 10;
    await eventually(() => expect(journal.kept).toMatchObject({ first: 10 }));
    await eventually(() => expect([journal.waiting, told.at(-1)]).toEqual([[], { over: false }]));
    await reopen({ bytesMax: 4 * MB });
    expect(journal.nextSeq).toBe(11);
  });

  it("that is reached before anyone can be told is told of then", async () => {
    await open(small);
    await fill();
    await journal.trim(1); // Behind the first attempt to make room.
    const told: Pressure[] = [];
    await journal.keep({ consumed: () => 1, pressure: (pressure) => told.push(pressure) });
    await eventually(() => expect(told).toMatchObject([{ over: true }]));
  });

  it("does not hold up the end: what waits is refused and can be sent again", async () => {
    await open(small);
    await journal.keep({ consumed: () => 1, pressure: () => undefined });
    await fill();
    const [waiting] = await Promise.allSettled([append(journal, large()), journal.close()]);
    expect(waiting).toMatchObject({ status: "rejected", reason: { code: "JOURNAL_CLOSED" } });
  });
});
