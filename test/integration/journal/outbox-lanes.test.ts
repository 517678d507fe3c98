import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import { Drops } from "../../../src/core/drops.ts";
import type { EmittedEvent } from "../../../src/core/event.ts";
import { laneOfRule, pressureOf } from "../../../src/core/outbox-lanes.ts";
import type { OutboxRule } from "../../../src/core/outbox-rules.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { levelOp, openDatabase } from "../../../src/journal/database.ts";
import { expiryKey, parseEventKey } from "../../../src/journal/outbox-keys.ts";
import { Outbox, type OutboxRow } from "../../../src/journal/outbox.ts";
import { eventually } from "../../support/eventually.ts";
import { commit, commitOf } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const MB = 1024 * 1024;
const BLOCK: OutboxRule = { priority: 5, overflow: "block" };
const URGENT: OutboxRule = { priority: 9, overflow: "block" };
const OLDEST: OutboxRule = { priority: 4, overflow: "drop-oldest" };
const NEWEST: OutboxRule = { priority: 3, overflow: "drop-newest" };
const LATEST: OutboxRule = { priority: 2, overflow: "keep-latest" };
const ALL = { events: 100_000, bytes: 1_000 * MB };

let folder: TempFolder;
let journal: Journal;
let drops: Drops;

beforeEach(async () => {
  folder = await TempFolder.make();
  await open();
});
afterEach(async () => {
  await journal.close();
  await folder[Symbol.asyncDispose]();
});

/** A lane may have one megabyte, all of them two. */
async function open(): Promise<void> {
  drops = new Drops();
  journal = await Journal.open({
    location: folder.join("journal"),
    batchMax: 256,
    outboxBytesMax: 2 * MB,
    outboxLaneBytesMax: MB,
    drops,
  });
}

async function reopen(): Promise<void> {
  await journal.close();
  await open();
}

const EVENT: EmittedEvent = { id: "e", function: "f", version: 1, type: "t", subject: "s", time: 1, data: "0" };

interface Plan {
  readonly rule: OutboxRule;
  readonly subject?: string;
  readonly kilobytes?: number;
}

async function emit(id: string, { rule, subject = "s", kilobytes = 0 }: Plan): Promise<void> {
  const event = { ...EVENT, id, subject, data: `"${"x".repeat(kilobytes * 1024)}"`, rule };
  await commit(journal, commitOf("f", new Cursor(1), { events: [event] }));
}

function rows(rule: OutboxRule): Promise<OutboxRow[]> {
  return journal.outbox.rows(laneOfRule(rule), 0, ALL);
}

/** What is on disk, in the order of the commits. */
async function ids(): Promise<string[]> {
  return (await journal.outbox.read(0, 100_000)).map(({ event }) => event.id);
}

const dropped = (): Record<string, number> => Object.fromEntries(drops.all().map(({ reason, count }) => [reason, count]));

async function exact(): Promise<void> {
  let count = 0;
  let bytes = 0;
  for (const rule of [BLOCK, URGENT, OLDEST, NEWEST, LATEST]) {
    for (const { key, event } of await rows(rule)) {
      count += 1;
      bytes += key.length + event.length;
    }
  }
  expect({ count: journal.outbox.pending, bytes: journal.outbox.bytes }).toEqual({ count, bytes });
}

describe("the sizes of the outbox", () => {
  it("are exact whatever happened, and known after opening without looking", async () => {
    for (const rule of [BLOCK, URGENT, LATEST, OLDEST]) {
      for (const n of [1, 2, 3]) await emit(`${rule.priority}-${n}`, { rule: { ...rule, ttlMs: 60_000 } });
    }
    await exact();
    const [first, ...rest] = await rows(BLOCK);
    await journal.outbox.remove(first === undefined ? [] : [first]);
    await journal.outbox.remove(await rows(OLDEST));
    await exact();
    const before = [journal.outbox.pending, journal.outbox.bytes, rest.length];
    await reopen();
    expect([journal.outbox.pending, journal.outbox.bytes, 2]).toEqual(before);
    await exact();
    await emit("later", { rule: BLOCK });
    expect(await ids()).toEqual(["9-1", "9-2", "9-3", "2-3", "5-2", "5-3", "later"].toSorted(byCommit));
    await exact();
  });

  it("do not count twice what was taken away in two ways", async () => {
    await emit("a", { rule: { ...OLDEST, ttlMs: 60_000 } });
    const taken = await rows(OLDEST);
    await Promise.all([journal.outbox.remove(taken), journal.outbox.expire(taken), journal.outbox.remove(taken)]);
    expect([journal.outbox.pending, journal.outbox.bytes]).toEqual([0, 0]);
    await emit("b", { rule: LATEST });
    const sent = await rows(LATEST);
    await emit("c", { rule: LATEST });
    await journal.outbox.remove(sent);
    expect(await ids()).toEqual(["c"]);
    await exact();
  });

  it("never use a position again, also when everything was taken away", async () => {
    await emit("a", { rule: BLOCK });
    const [before] = await rows(BLOCK);
    await journal.outbox.remove(await rows(BLOCK));
    await reopen();
    await emit("b", { rule: BLOCK });
    expect((await rows(BLOCK))[0]?.position).toBeGreaterThan(before?.position ?? 0);
  });
});

it("counts anew what is there when the database had to be repaired", async () => {
  for (const rule of [BLOCK, BLOCK, LATEST, { ...URGENT, ttlMs: 60_000 }]) await emit("e", { rule });
  const before = [journal.outbox.pending, journal.outbox.bytes];
  await journal.close();
  const database = await openDatabase(folder.join("journal"));
  await database.batch([{ type: "del", key: Buffer.from("moutbox") }], { sync: true, points: new Set() });
  const counted = await Outbox.open(database, { bytesMax: MB, laneBytesMax: MB, drops }, true);
  expect([counted.pending, counted.bytes]).toEqual(before);
  expect(parseEventKey(counted.stage([{ ...EVENT, rule: BLOCK }]).ops[0]?.key ?? Buffer.alloc(0)).position).toBe(5);
  await database.close();
  await open();
});

it("does not read again over what it has deleted at the head of a lane", async () => {
  await journal.close();
  const database = await openDatabase(folder.join("journal"));
  const outbox = await Outbox.open(database, { bytesMax: MB, laneBytesMax: MB, drops });
  const { ops } = outbox.stage(Array.from({ length: 10 }, () => ({ ...EVENT, rule: BLOCK })));
  await database.batch(ops.map(levelOp), { sync: false, points: new Set() });
  outbox.attach((_, deletes) => database.batch(deletes.map(levelOp), { sync: false, points: new Set() }));
  const first = await outbox.rows(laneOfRule(BLOCK), 0, { events: 6, bytes: MB });
  await outbox.remove(first);
  await outbox.rows(laneOfRule(BLOCK), 0, ALL);
  const iterator = vi.spyOn(database, "iterator");
  expect((await outbox.rows(laneOfRule(BLOCK), 0, ALL)).map(({ position }) => position)).toEqual([7, 8, 9, 10]);
  expect(iterator.mock.calls.map(([{ gte }]) => gte && parseEventKey(gte).position)).toEqual([7]);
  await outbox.close();
  await database.close();
  await open();
});

it("sweeps away times of expiry whose events were lost", async () => {
  await journal.close();
  const database = await openDatabase(folder.join("journal"));
  const lost = Array.from({ length: 1_000 }, (_, n) => expiryKey(1_000, laneOfRule(BLOCK), n + 1));
  const puts = lost.map((key) => ({ type: "put" as const, key, value: Buffer.alloc(0) }));
  await database.batch(puts, { sync: true, points: new Set() });
  await database.close();
  await open();
  await journal.outbox.sweep();
  await journal.close();
  const after = await openDatabase(folder.join("journal"));
  expect(await after.keys({ gte: expiryKey(0, 0, 0), lt: Buffer.from("y") }).all()).toEqual([]);
  await after.close();
  await open();
});

function byCommit(a: string, b: string): number {
  const order = ["5-2", "5-3", "9-1", "9-2", "9-3", "2-3", "later"];
  return order.indexOf(a) - order.indexOf(b);
}

describe("at the quota", () => {
  it("block makes those wait who emit there, and lets them go when there is clearly room", async () => {
    const told: number[] = [];
    journal.outbox.onPressure((pressure) => told.push(pressure));
    for (let n = 0; n < 11; n++) await emit(`${n}`, { rule: BLOCK, kilobytes: 100 });
    expect(told).toEqual([0, pressureOf(BLOCK)]);
    await emit("alarm", { rule: URGENT });
    expect(await ids()).toHaveLength(12);
    await journal.outbox.remove((await rows(BLOCK)).slice(0, 1));
    expect(told).toHaveLength(2);
    await journal.outbox.remove((await rows(BLOCK)).slice(0, 3));
    expect(told).toEqual([0, pressureOf(BLOCK), 0]);
    expect(dropped()).toEqual({});
    await exact();
  });

  it("is found again after opening, and the whole outbox has one too", async () => {
    for (let n = 0; n < 11; n++) await emit(`${n}`, { rule: BLOCK, kilobytes: 100 });
    for (let n = 0; n < 10; n++) await emit(`u${n}`, { rule: URGENT, kilobytes: 100 });
    await reopen();
    const told: number[] = [];
    journal.outbox.onPressure((pressure) => told.push(pressure));
    const everyone = Array.from({ length: 10 }, (_, priority) => pressureOf({ priority, overflow: "block" })).reduce((a, b) => a | b);
    expect(told).toEqual([everyone]);
  });

  it("drop-oldest drops as much as comes in, from its own lane", async () => {
    await emit("kept", { rule: { ...OLDEST, overflow: "block" } });
    for (let n = 0; n < 30; n++) await emit(`${n}`, { rule: OLDEST, kilobytes: 100 });
    await eventually(async () => {
      expect(journal.outbox.bytes).toBeLessThan(1.1 * MB);
      // One more than that came in over the quota, if it happened to be smaller. The last may still be on its way out.
      const left = (await ids()).length - 1;
      expect([10, 11]).toContain(left);
      expect(dropped()["outbox-overflow"]).toBe(30 - left);
      expect(await ids()).toEqual(["kept", ...Array.from({ length: left }, (_, n) => `${n + 30 - left}`)]);
    });
  });

  it("drop-oldest does not pay for the others when the whole outbox is full", async () => {
    for (let n = 0; n < 11; n++) await emit(`b${n}`, { rule: BLOCK, kilobytes: 100 });
    for (let n = 0; n < 10; n++) await emit(`u${n}`, { rule: URGENT, kilobytes: 100 });
    for (let n = 0; n < 5; n++) await emit(`o${n}`, { rule: OLDEST, kilobytes: 10 });
    await eventually(() => expect(dropped()["outbox-overflow"]).toBe(5));
    expect(await rows(OLDEST)).toEqual([]);
    expect(journal.outbox.pending).toBe(21);
  });

  it("those that may drop make room for those that may not, the least urgent first", async () => {
    const told: number[] = [];
    journal.outbox.onPressure((pressure) => told.push(pressure));
    for (let n = 0; n < 10; n++) await emit(`o${n}`, { rule: OLDEST, kilobytes: 100 });
    for (let n = 0; n < 12; n++) await emit(`l${n}`, { rule: LATEST, subject: `s${n}`, kilobytes: 100 });
    for (let n = 0; n < 10; n++) await emit(`b${n}`, { rule: BLOCK, kilobytes: 100 });
    for (let n = 0; n < 5; n++) await emit(`u${n}`, { rule: URGENT, kilobytes: 100 });
    await eventually(() => expect(journal.outbox.bytes).toBeLessThan(2.15 * MB));
    expect(told).toEqual([0]);
    expect(await rows(LATEST)).toEqual([]);
    expect(await rows(OLDEST)).not.toEqual([]);
    const left = await ids();
    expect(left.filter((id) => id.startsWith("b"))).toHaveLength(10);
    expect(left.filter((id) => id.startsWith("u"))).toHaveLength(5);
    await eventually(exact);
  });

  it("those that may drop do not fill what becomes free while others wait", async () => {
    const told: number[] = [];
    journal.outbox.onPressure((pressure) => told.push(pressure));
    for (let n = 0; n < 8; n++) await emit(`b${n}`, { rule: BLOCK, kilobytes: 100 });
    for (let n = 0; n < 10; n++) await emit(`n${n}`, { rule: NEWEST, kilobytes: 100 });
    for (let n = 0; n < 3; n++) await emit(`u${n}`, { rule: URGENT, kilobytes: 100 });
    expect(told).toHaveLength(2);
    for (let n = 10; n < 14; n++) {
      await journal.outbox.remove((await rows(NEWEST)).slice(0, 1));
      await emit(`n${n}`, { rule: NEWEST, kilobytes: 100 });
    }
    expect(told.at(-1)).toBe(0);
  });

  it("drop-newest stores nothing more", async () => {
    for (let n = 0; n < 15; n++) await emit(`${n}`, { rule: NEWEST, kilobytes: 100 });
    expect(await ids()).toEqual(Array.from({ length: 11 }, (_, n) => `${n}`));
    expect(dropped()).toEqual({ "outbox-overflow": 4 });
    await exact();
  });

  it("keep-latest gives up the subject that was silent longest", async () => {
    for (let n = 0; n < 11; n++) await emit(`${n}`, { rule: LATEST, subject: `s${n}`, kilobytes: 100 });
    await emit("again", { rule: LATEST, subject: "s0", kilobytes: 100 });
    await emit("new", { rule: LATEST, subject: "new", kilobytes: 100 });
    expect(await ids()).toEqual(["2", "3", "4", "5", "6", "7", "8", "9", "10", "again", "new"]);
    expect(dropped()).toEqual({ "outbox-replaced": 1, "outbox-overflow": 1 });
    await exact();
  });
});

describe("keeping only the latest", () => {
  it("replaces what waits of the same function, type and subject, also after opening", async () => {
    await emit("a1", { rule: LATEST, subject: "a" });
    await emit("b1", { rule: LATEST, subject: "b" });
    await emit("a2", { rule: LATEST, subject: "a" });
    expect(await ids()).toEqual(["b1", "a2"]);
    await reopen();
    await emit("b2", { rule: LATEST, subject: "b" });
    expect(await ids()).toEqual(["a2", "b2"]);
    expect(dropped()).toEqual({ "outbox-replaced": 1 });
    await exact();
  });
});

describe("time to live", () => {
  it("ends when nobody comes for an event, and its counts stay exact", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      await emit("short", { rule: { ...BLOCK, ttlMs: 1_000 } });
      await emit("long", { rule: { ...BLOCK, ttlMs: 5_000 } });
      await emit("endless", { rule: BLOCK });
      await emit("latest", { rule: { ...LATEST, ttlMs: 1_000 } });
      await journal.outbox.sweep();
      expect(journal.outbox.pending).toBe(4);
      vi.setSystemTime(Date.now() + 1_000);
      await journal.outbox.sweep();
      expect(await ids()).toEqual(["long", "endless"]);
      await reopen();
      vi.setSystemTime(Date.now() + 4_000);
      await journal.outbox.sweep();
      expect(await ids()).toEqual(["endless"]);
      expect(dropped()).toEqual({ "outbox-expired": 1 });
      await exact();
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("an event that no packet can carry", () => {
  it("is dropped, counted, and holds up nobody", async () => {
    await emit("large", { rule: BLOCK, kilobytes: 2_100 });
    await emit("small", { rule: BLOCK });
    expect(await ids()).toEqual(["small"]);
    expect(dropped()).toEqual({ "outbox-too-large": 1 });
  });
});
