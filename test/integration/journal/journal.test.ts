import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import type { OutboxEvent } from "../../../src/core/event.ts";
import type { DeadLetter } from "../../../src/core/stats.ts";
import type { Journal } from "../../../src/journal/journal.ts";
import { allTexts, append, commit, commitOf, entryOf, openJournal, textOf } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

let folder: TempFolder;
let journal: Journal;

beforeEach(async () => {
  folder = await TempFolder.make();
  journal = await openJournal(folder.join("journal"));
});

afterEach(async () => {
  await journal.close();
  await folder[Symbol.asyncDispose]();
});

async function reopen(): Promise<void> {
  await journal.close();
  journal = await openJournal(folder.join("journal"));
}

function appendMany(count: number, first = 1): Promise<void[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => append(journal, entryOf("t", `m${first + i}`))));
}

const expectedTexts = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}:m${from + i}`);

function event(n: number): OutboxEvent {
  return { id: `g:${n}:f:0`, function: "f", version: 1, type: "t", subject: "s", time: n, data: String(n) };
}

describe("messages", () => {
  it("get consecutive seqs in the order of their appends, and are there again after reopening", async () => {
    await appendMany(300);
    await append(journal, entryOf("t", "m301"));
    expect(await allTexts(journal)).toEqual(expectedTexts(1, 301));
    await reopen();
    expect(journal.nextSeq).toBe(302);
    expect(await allTexts(journal)).toEqual(expectedTexts(1, 301));
    await append(journal, entryOf("t", "m302"));
    expect(await allTexts(journal, 250)).toEqual(expectedTexts(250, 302));
  });

  it("are handed on as written, in order, before their appends are answered", async () => {
    const heard: string[] = [];
    journal.subscribe({
      incoming: (messages) => heard.push(...messages.map((message) => `${message.seq}:${message.topic}:${textOf(message)}`)),
      publishes: () => undefined,
    });
    journal.append(entryOf("a", "x"), () => heard.push("done a"));
    journal.append(entryOf("b", "y"), () => heard.push("done b"));
    await append(journal, entryOf("c", "z"));
    expect(heard).toEqual(["1:a:x", "2:b:y", "3:c:z", "done a", "done b"]);
  });

  it("share a batch when they come together", async () => {
    await appendMany(2_000);
    expect(journal.commits).toBeLessThanOrEqual(Math.ceil(2_000 / 256) + 1);
    expect(await allTexts(journal)).toEqual(expectedTexts(1, 2_000));
  });

  it("of many megabytes do not share one block, which would have to be read as a whole", async () => {
    const large = "x".repeat(1024 * 1024);
    await Promise.all(Array.from({ length: 20 }, () => append(journal, entryOf("t", large))));
    expect((await journal.read(1, 1)).length).toBeLessThanOrEqual(9);
    expect((await allTexts(journal)).length).toBe(20);
  });

  it("can be read from the middle of a block, and past the end there are none", async () => {
    await appendMany(50);
    const [first] = await journal.read(33, 1);
    expect([first?.seq, first && textOf(first)]).toEqual([33, "m33"]);
    expect(await journal.read(51, 10)).toEqual([]);
    expect(await journal.read(1_000, 10)).toEqual([]);
  });

  it("are refused with a typed error once the journal is closed, and that is no failure", async () => {
    const late = append(journal, entryOf("t", "written on the way out"));
    await journal.close();
    await late;
    await expect(append(journal, entryOf("t", "x"))).rejects.toMatchObject({ code: "JOURNAL_CLOSED" });
    await expect(journal.stopped).resolves.toBeUndefined();
    await reopen();
    expect(await allTexts(journal)).toEqual(["1:written on the way out"]);
  });
});

describe("a commit", () => {
  it("brings state, events, dead letters, derived messages and the cursor together to the disk", async () => {
    await appendMany(3);
    const cursor = new Cursor(1);
    cursor.complete(1);
    cursor.complete(3);
    const letter: DeadLetter = { seq: 3, function: "f", version: 1, topic: "t", time: 5, attempts: 2, code: "C", error: "E", payload: "" };
    await commit(
      journal,
      commitOf("f", cursor, {
        state: [
          { key: "k", name: "a", value: Buffer.from("1") },
          { key: "k", name: "b", value: Buffer.from("2") },
          { key: "k2", name: "a", value: Buffer.from("3") },
        ],
        events: [event(1), event(2)],
        derived: [entryOf("d", "m4")],
        deadLetters: [letter],
      }),
    );
    await commit(journal, commitOf("f", cursor, { state: [{ key: "k", name: "b" }] }));
    await reopen();
    const found = await journal.cursor("f");
    expect([found?.floor, found?.isDone(2), found?.isDone(3)]).toEqual([2, false, true]);
    expect(await journal.loadState("f", "k")).toEqual([{ name: "a", value: Buffer.from("1") }]);
    expect(await journal.loadState("f", "k2")).toHaveLength(1);
    expect((await journal.outbox.read(0, 10)).map(({ event: { id } }) => id)).toEqual(["g:1:f:0", "g:2:f:0"]);
    expect(await journal.deadLetters("f", 10)).toEqual([letter]);
    expect(await journal.deadLetters(undefined, 10)).toEqual([letter]);
    expect(await journal.deadLetters("g", 10)).toEqual([]);
    expect(await allTexts(journal)).toEqual(expectedTexts(1, 4));
  });

  it("does not mix up functions, keys and names that begin alike", async () => {
    const write = (consumer: string, key: string, name: string): Promise<void> =>
      commit(journal, commitOf(consumer, new Cursor(1), { state: [{ key, name, value: Buffer.from(`${consumer}|${key}|${name}`) }] }));
    for (const consumer of ["f", "ff"])
      for (const key of ["", "k", "kk", "k/k", "ä"]) for (const name of ["n", "nn"]) await write(consumer, key, name);
    for (const consumer of ["f", "ff"]) {
      for (const key of ["", "k", "kk", "k/k", "ä"]) {
        const values = (await journal.loadState(consumer, key)).map(({ name, value }) => `${name}=${value.toString()}`);
        expect(values).toEqual([`n=${consumer}|${key}|n`, `nn=${consumer}|${key}|nn`]);
      }
    }
    expect(await journal.loadState("fff", "k")).toEqual([]);
  });

  it("writes only the newest cursor of a batch, and that one", async () => {
    const cursor = new Cursor(1);
    const commits = Array.from({ length: 100 }, () => {
      cursor.complete(cursor.floor);
      return commit(journal, commitOf("f", cursor));
    });
    await Promise.all(commits);
    expect(journal.commits).toBeLessThanOrEqual(2);
    expect((await journal.cursor("f"))?.floor).toBe(101);
  });
});

describe("function records", () => {
  it("are kept with the cursor, and forgotten with it", async () => {
    await journal.saveFunction("f", { version: 3, digest: "d", from: 7 }, new Cursor(7));
    await journal.saveFunction("g", { version: 1, digest: "e", from: 1 }, new Cursor(1));
    await journal.removeFunction("g");
    await reopen();
    expect(journal.functionRecord("f")).toEqual({ version: 3, digest: "d", from: 7 });
    expect((await journal.cursor("f"))?.floor).toBe(7);
    expect(journal.functionRecord("g")).toBeUndefined();
    expect(await journal.cursor("g")).toBeUndefined();
  });
});

describe("publishes", () => {
  it("are handed out after the commit, and again after reopening until they are delivered", async () => {
    const handed: [number, string[]][] = [];
    const events = {
      publishes: (number: number, records: readonly Uint8Array[]) => handed.push([number, records.map((record) => textOf({ record }))]),
    };
    journal.subscribe({ incoming: () => undefined, ...events });
    const publish = (text: string): Promise<void> =>
      commit(journal, commitOf("f", new Cursor(1), { publishes: [entryOf("o", text).record, entryOf("o", `${text}'`).record] }));
    await publish("one");
    await publish("two");
    expect(handed.map(([, texts]) => texts)).toEqual([
      ["one", "one'"],
      ["two", "two'"],
    ]);
    journal.delivered(handed[0]?.[0] ?? 0);

    await journal.close();
    handed.length = 0;
    journal = await openJournal(folder.join("journal"), events);
    await journal.redeliver();
    expect(handed.map(([, texts]) => texts)).toEqual([["two", "two'"]]);
    journal.delivered(handed[0]?.[0] ?? 0);
    await publish("three");

    await journal.close();
    handed.length = 0;
    journal = await openJournal(folder.join("journal"), events);
    await journal.redeliver();
    expect(handed.map(([, texts]) => texts)).toEqual([["three", "three'"]]);
  });
});
