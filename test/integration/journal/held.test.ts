import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JournaledMessage } from "../../../src/core/message.ts";
import type { Entry, Journal } from "../../../src/journal/journal.ts";
import { eventually } from "../../support/eventually.ts";
import { allTexts, append, appendOnce, entryOf, KEEPS_NOTHING, openJournal, textOf } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

/** A journal at its quota, where messages from clients wait until `consumed` moves. */
let folder: TempFolder;
let journal: Journal;
let consumed: number;
let incoming: string[];

beforeEach(async () => {
  folder = await TempFolder.make();
  incoming = [];
  const events = { incoming: (messages: readonly JournaledMessage[]) => void incoming.push(...messages.map(textOf)) };
  journal = await openJournal(folder.join("journal"), events, { ...KEEPS_NOTHING, bytesMax: 4_000, freeSpaceMin: 0 });
  consumed = 1;
  await journal.keep({ consumed: () => consumed, pressure: () => undefined });
  while (journal.waiting.length === 0) await append(journal, entryOf("t", "x".repeat(500)));
});

afterEach(async () => {
  await journal.close();
  await folder[Symbol.asyncDispose]();
});

const once = (client: string, packetId: number, text: string, more: Partial<Entry> = {}): Promise<boolean> =>
  appendOnce(journal, client, packetId, { ...entryOf("t", text), ...more });

const shorts = async (): Promise<string[]> => (await allTexts(journal)).map((text) => text.slice(text.indexOf(":") + 1)).filter(isShort);
const isShort = (text: string): boolean => text.length < 500;

async function makeRoom(): Promise<void> {
  consumed = journal.nextSeq;
  await eventually(() => expect(journal.waiting).toEqual([]));
}

const REFUSED = { status: "rejected", reason: { code: "JOURNAL_FULL" } };

describe("a QoS 2 message that waits for room", () => {
  it("goes with its session, and the next one with its packet id is not taken for it", async () => {
    const first = once("dev", 1, "first");
    const again = once("dev", 1, "first");
    const other = once("other", 1, "of another client");
    await journal.qos2.clear("dev");
    const second = once("dev", 1, "second");
    expect(await Promise.allSettled([first, again])).toMatchObject([REFUSED, REFUSED]);
    await makeRoom();
    expect(await Promise.all([other, second])).toEqual([false, false]);
    expect([journal.qos2.has("dev", 1), await once("dev", 1, "second")]).toEqual([true, true]);
    expect(await shorts()).toEqual(["of another client", "second"]);
  });

  it("leaves no packet id behind when its client does not come back", async () => {
    const first = once("dev", 1, "first");
    await journal.qos2.clear("dev");
    expect(await Promise.allSettled([first])).toMatchObject([REFUSED]);
    await makeRoom();
    expect(journal.qos2.has("dev", 1)).toBe(false);
    expect(await once("dev", 1, "later")).toBe(false);
    expect(await shorts()).toEqual(["later"]);
  });
});

it("a volatile QoS 2 message that is announced after its session has ended leaves no packet id behind", async () => {
  const first = once("dev", 1, "first", { volatile: true });
  const cleared = journal.qos2.clear("dev");
  const second = once("dev", 1, "second", { volatile: true });
  expect(await Promise.all([first, second])).toEqual([false, false]);
  await cleared;
  expect(incoming.filter(isShort)).toEqual(["first", "second"]);
});

describe("messages that wait for room", () => {
  it("are refused above a number of them, and those that wait are kept", async () => {
    const entry = entryOf("t", "y");
    const outcomes: string[] = [];
    for (let n = 0; n < 100_001; n++) journal.append(entry, (error) => outcomes.push(error?.code ?? "kept"));
    expect(outcomes).toEqual(["JOURNAL_FULL"]);
    consumed = journal.nextSeq;
    await eventually(() => expect(outcomes).toHaveLength(100_001));
    expect(outcomes.filter((outcome) => outcome !== "kept")).toEqual(["JOURNAL_FULL"]);
  });

  it("are refused above a number of bytes, which those that were withdrawn do not count into", async () => {
    const entry = entryOf("t", "z".repeat(1024 * 1024));
    const outcomes: string[] = [];
    const appendOnceMore = (id: number): void => journal.qos2.append("dev", id, entry, (error) => outcomes.push(error?.code ?? "kept"));
    for (let id = 1; id <= 64; id++) appendOnceMore(id);
    expect(outcomes).toEqual(["JOURNAL_FULL"]);
    await journal.qos2.clear("dev");
    expect(outcomes).toHaveLength(64);
    for (let id = 1; id <= 63; id++) appendOnceMore(id);
    expect(outcomes).toHaveLength(64);
  });
});
