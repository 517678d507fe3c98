import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import type { OutboxEvent } from "../../../src/core/event.ts";
import { laneOfRule } from "../../../src/core/outbox-lanes.ts";
import { DEFAULT_RULE } from "../../../src/core/outbox-rules.ts";
import type { OutboxRow } from "../../../src/journal/outbox.ts";
import type { Journal } from "../../../src/journal/journal.ts";
import { commit, commitOf, openJournal } from "../../support/journal.ts";
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

function emit(...names: readonly string[]): Promise<void> {
  const events = names.map((id): OutboxEvent => ({ id, function: "f", version: 1, type: "t", subject: "ä", time: 1, data: '{"a":[1]}' }));
  return commit(journal, commitOf("f", new Cursor(1), { events }));
}

async function ids(after: number, max: number): Promise<string[]> {
  return (await journal.outbox.read(after, max)).map(({ event }) => event.id);
}

/** What waits in the lane of events without a rule. */
function rows(): Promise<OutboxRow[]> {
  return journal.outbox.rows(laneOfRule(DEFAULT_RULE), 0, { events: 100, bytes: 1_000_000 });
}

describe("the outbox", () => {
  it("gives back events as they were, in the order of their commits, in pages", async () => {
    await Promise.all([emit("a", "b"), emit(), emit("c")]);
    const [first] = await journal.outbox.read(0, 1);
    expect(first?.event).toEqual({ id: "a", function: "f", version: 1, type: "t", subject: "ä", time: 1, data: '{"a":[1]}' });
    expect(await ids(first?.position ?? 0, 1)).toEqual(["b"]);
    expect(await ids(0, 10)).toEqual(["a", "b", "c"]);
    expect(journal.outbox.pending).toBe(3);
  });

  it("forgets what is confirmed, also after reopening, and goes on behind it", async () => {
    await emit("a", "b", "c");
    await journal.outbox.remove((await rows()).slice(0, 2));
    expect([await ids(0, 10), journal.outbox.pending]).toEqual([["c"], 1]);
    await journal.close();
    journal = await openJournal(folder.join("journal"));
    await emit("d");
    expect([await ids(0, 10), journal.outbox.pending]).toEqual([["c", "d"], 2]);
    const last = (await journal.outbox.read(0, 10)).at(-1);
    await journal.outbox.remove(await rows());
    expect([await ids(0, 10), journal.outbox.pending]).toEqual([[], 0]);
    await emit("e");
    expect([await ids(last?.position ?? 0, 10), journal.outbox.pending]).toEqual([["e"], 1]);
  });

  it("wakes those who wait for more, once there is more on disk", async () => {
    const { signal } = new AbortController();
    await emit("a");
    const position = (await journal.outbox.read(0, 1))[0]?.position ?? 0;
    await journal.outbox.waitForMore(position - 1, signal);
    const order: string[] = [];
    const waiting = [1, 2].map(() =>
      journal.outbox.waitForMore(position, signal).then(async () => order.push(`woken:${(await ids(position, 1)).join()}`)),
    );
    await emit();
    expect(order).toEqual([]);
    await emit("b");
    await Promise.all(waiting);
    expect(order).toEqual(["woken:b", "woken:b"]);
  });

  it("lets go of those who give up waiting", async () => {
    const control = new AbortController();
    const waiting = journal.outbox.waitForMore(0, control.signal);
    const reason = new Error("enough");
    control.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(journal.outbox.waitForMore(0, control.signal)).rejects.toBe(reason);
  });
});
