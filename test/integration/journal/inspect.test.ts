import { createHash } from "node:crypto";
import { cp, readdir, readFile, rm, stat } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkJournal, journalText } from "../../../src/cli/doctor/journal.ts";
import { Cursor } from "../../../src/core/cursor.ts";
import { append, appendOnce, commit, commitOf, entryOf, openJournal } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

let folder: TempFolder;

beforeEach(async () => {
  folder = await TempFolder.make();
  await using journal = await openJournal(folder.join("journal"));
  for (let n = 1; n <= 6; n++) await append(journal, entryOf("t", `m${n}`, { time: n * 1_000 }));
  const cursor = new Cursor(3);
  cursor.complete(5);
  cursor.setAside("k", 3, "r");
  const letter = { seq: 2, function: "f", version: 1, topic: "t", time: 1, attempts: 1, code: "C", error: "E", payload: "" };
  await journal.saveFunction("f", { version: 4, digest: "d", from: 1 }, new Cursor(1));
  const event = { id: "g:1:f:0", function: "f", version: 1, type: "t", subject: "s", time: 1, data: "1" };
  const state = [{ key: "k", name: "n", value: Buffer.alloc(1_000) }];
  await commit(journal, commitOf("f", cursor, { deadLetters: [letter], publishes: [entryOf("o", "x").record], events: [event], state }));
  await appendOnce(journal, "c", 1, entryOf("t", "m7", { time: 7_000 }));
  await cp(folder.join("journal"), folder.join("killed", "journal"), { recursive: true });
});

afterEach(() => folder[Symbol.asyncDispose]());

/** Every file of a journal with what is in it. */
async function contents(location: string): Promise<string[]> {
  const names = (await readdir(location)).toSorted();
  return Promise.all(
    names.map(async (name) => {
      const { mtimeMs } = await stat(`${location}/${name}`);
      return `${name} ${mtimeMs} ${createHash("sha256")
        .update(await readFile(`${location}/${name}`))
        .digest("hex")}`;
    }),
  );
}

describe("the look into a journal", () => {
  it("says what is there, for whom and how large, and changes nothing", async () => {
    const before = await contents(folder.join("journal"));
    const { finding, journal } = await checkJournal(folder.path, undefined);
    expect(finding).toEqual({ check: "journal", status: "ok", message: "7 messages, seq 1 to 7; closed properly" });
    expect(journal).toMatchObject({
      closed: true,
      messages: { count: 7, first: 1, last: 7, from: 1_000, to: 7_000 },
      events: 1,
      publishes: 1,
      qos2: 1,
      functions: [{ name: "f", version: 4, floor: 3, backlog: 4, keysAside: 1, stateValues: 1, deadLetters: 1 }],
      problems: [],
    });
    expect(journal?.functions[0]?.stateBytes).toBeGreaterThan(1_000);
    expect(Object.keys(journal?.bytes ?? {})).toEqual(expect.arrayContaining(["messages", "state", "outbox", "dead letters"]));
    expect(journal && journalText(journal)).toMatch(/\nf +v4 +3 +4 +1 +1006B +1\n/);
    expect(await contents(folder.join("journal"))).toEqual(before);
    expect((await readdir(folder.path)).toSorted()).toEqual(["journal", "killed"]);
  });

  it("sees that the process was killed, and what is damaged, which it leaves as it is", async () => {
    expect((await checkJournal(folder.join("killed"), undefined)).finding).toMatchObject({
      status: "ok",
      message: expect.stringContaining("not closed"),
    });
    await rm(folder.join("journal", "CURRENT"));
    const before = await contents(folder.join("journal"));
    const { finding, journal } = await checkJournal(folder.path, undefined);
    expect(finding).toMatchObject({ status: "warn", message: expect.stringContaining("the next start repairs them") });
    expect(journal?.messages.count).toBe(7);
    expect(await contents(folder.join("journal"))).toEqual(before);
  });

  it("is not taken while somebody has it, and finds nothing where nothing is", async () => {
    expect((await checkJournal(folder.path, "process 7 uses it")).finding).toMatchObject({
      status: "skipped",
      message: expect.stringContaining("DATA_LOCKED: process 7 uses it"),
    });
    expect((await checkJournal(folder.join("nothing"), undefined)).finding).toMatchObject({ status: "ok", message: "there is none yet" });
  });
});
