import { cp } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Journal } from "../../../src/journal/journal.ts";
import { allTexts, appendOnce, entryOf, openJournal } from "../../support/journal.ts";
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

const once = (client: string, packetId: number, text: string): Promise<boolean> =>
  appendOnce(journal, client, packetId, entryOf("t", text));

describe("a QoS 2 message", () => {
  it("that is sent again while the first is being written is appended once, and answered when it is durable", async () => {
    expect(await Promise.all([once("c", 1, "a"), once("c", 1, "a"), once("c", 1, "a")])).toEqual([false, true, true]);
    expect(await allTexts(journal)).toEqual(["1:a"]);
  });

  it("that is sent again later is known, and once more not known to whoever could not make copies of it", async () => {
    await once("c", 1, "a");
    expect(await once("c", 1, "a")).toBe(true);
    journal.qos2.doubt("c", 1);
    expect([await once("c", 1, "a"), await once("c", 1, "a")]).toEqual([false, true]);
    journal.qos2.doubt("c", 2);
    expect([await once("c", 2, "b"), await once("c", 2, "b")]).toEqual([false, true]);
    expect(await allTexts(journal)).toEqual(["1:a", "2:b"]);
  });

  it.each(["crash", "restart"])("that is sent again after a %s is not appended again, but copies of it are made anew", async (how) => {
    await once("c", 1, "a");
    await once("c", 2, "b");
    if (how === "crash") {
      await cp(folder.join("journal"), folder.join("crashed"), { recursive: true });
      await journal.close();
      journal = await openJournal(folder.join("crashed"));
    } else await reopen();
    expect(journal.opened.end).toBe(how === "crash" ? "unclean" : "clean");
    expect(journal.qos2.has("c", 1)).toBe(true);
    expect([await once("c", 1, "a"), await once("c", 1, "a")]).toEqual([false, true]);
    await journal.qos2.release("c", 2);
    expect([await once("c", 2, "c"), await once("c", 2, "c")]).toEqual([false, true]);
    expect(await allTexts(journal)).toEqual(["1:a", "2:b", "3:c"]);
  });

  it("frees its packet id when it is released, for good", async () => {
    await once("c", 1, "a");
    await journal.qos2.release("c", 1);
    await reopen();
    expect(journal.qos2.has("c", 1)).toBe(false);
    expect(await once("c", 1, "b")).toBe(false);
    expect(await allTexts(journal)).toEqual(["1:a", "2:b"]);
  });

  it("that is released twice at once is released when the deletion is durable, both times", async () => {
    await once("c", 1, "a");
    const order: string[] = [];
    const second = journal.qos2.release("c", 1).then(() => order.push("first"));
    expect(journal.qos2.has("c", 1)).toBe(true);
    await journal.qos2.release("c", 1).then(() => order.push("second"));
    await second;
    expect(order).toEqual(["first", "second"]);
    expect(journal.qos2.has("c", 1)).toBe(false);
  });

  it("that is volatile has its id kept in memory, until it is released or the client starts anew", async () => {
    const fleeting = (packetId: number, text: string): Promise<boolean> =>
      appendOnce(journal, "c", packetId, { ...entryOf("t", text), volatile: true });
    expect(await Promise.all([fleeting(1, "a"), fleeting(1, "a"), fleeting(2, "b")])).toEqual([false, true, false]);
    expect([journal.qos2.has("c", 1), await fleeting(1, "a")]).toEqual([true, true]);
    await journal.qos2.release("c", 1);
    expect([journal.qos2.has("c", 1), await fleeting(1, "c")]).toEqual([false, false]);
    await journal.qos2.clear("c");
    expect([journal.qos2.has("c", 1), journal.qos2.has("c", 2)]).toEqual([false, false]);
    expect(await fleeting(3, "d")).toBe(false);
    expect(await allTexts(journal)).toEqual([]);
    expect(journal.appended).toBe(4);
    await reopen();
    expect(journal.qos2.has("c", 3)).toBe(false);
  });

  it("of a client that starts anew is forgotten, those of others are not", async () => {
    const clients = ["c", "cc", "c\u0000", "d", "ü"];
    for (const client of clients) for (const id of [1, 256, 65_535]) await once(client, id, client);
    await journal.qos2.clear("c");
    const open = (): string[] =>
      clients.flatMap((client) => [1, 256, 65_535].filter((id) => journal.qos2.has(client, id)).map((id) => `${client} ${id}`));
    const expected = clients.slice(1).flatMap((client) => [1, 256, 65_535].map((id) => `${client} ${id}`));
    expect(open()).toEqual(expected);
    await reopen();
    expect(open()).toEqual(expected);
    await journal.qos2.clear("nobody");
  });

  it("is forgotten also when its client starts anew while it is being written", async () => {
    // Otherwise the next message with this packet id would be taken for a duplicate, acknowledged and lost.
    const writing = once("c", 1, "of the old session");
    await journal.qos2.clear("c");
    await writing;
    expect(await once("c", 1, "of the new session")).toBe(false);
    await reopen();
    expect(await allTexts(journal)).toEqual(["1:of the old session", "2:of the new session"]);
  });
});
