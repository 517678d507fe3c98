import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import type { EmittedEvent } from "../../../src/core/event.ts";
import { laneOfRule } from "../../../src/core/outbox-lanes.ts";
import { DEFAULT_RULE } from "../../../src/core/outbox-rules.ts";
import type { DeadLetter } from "../../../src/core/stats.ts";
import type { Journal } from "../../../src/journal/journal.ts";
import { eventually } from "../../support/eventually.ts";
import { bytesOnDisk, commit, commitOf, openJournal } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const MB = 1024 * 1024;
const ALL = { events: 100_000, bytes: 1_000 * MB };
const patiently = { interval: 100 };

let folder: TempFolder;
let journal: Journal;

beforeEach(async () => {
  folder = await TempFolder.make();
  journal = await openJournal(folder.join("journal"), {}, { compression: "none" });
});
afterEach(async () => {
  await journal.close();
  await folder[Symbol.asyncDispose]();
});

/** Nothing in it can be compressed away. */
const noise = (): string => randomBytes(64 * 1024).toString("hex");

async function emit(megabytes: number, more: Partial<EmittedEvent> = {}): Promise<void> {
  const about = { function: "f", version: 1, type: "t", subject: "s", time: 1, ...more };
  for (let n = 0; n < megabytes; n++) {
    const events = Array.from({ length: 8 }, (_, i) => ({ ...about, id: `${n}-${i}`, data: `"${noise()}"` }));
    await commit(journal, commitOf("f", new Cursor(1), { events }));
  }
}

it("gives back the space of events that the cloud has, though nothing is trimmed", async () => {
  await journal.keep({ consumed: () => 0, pressure: () => undefined });
  await emit(40);
  await emit(8, { rule: { ...DEFAULT_RULE, priority: 1 } });
  expect(await bytesOnDisk(folder.join("journal"))).toBeGreaterThan(40 * MB);
  await journal.outbox.remove(await journal.outbox.rows(laneOfRule(DEFAULT_RULE), 0, ALL));
  await eventually(async () => expect(await bytesOnDisk(folder.join("journal"))).toBeLessThan(16 * MB), patiently);
  const [kept] = await journal.outbox.read(0, 1);
  expect(kept?.event.id).toBe("0-0");
  expect(journal.outbox.pending).toBe(64);
}, 60_000);

it("gives back the space of dead letters", async () => {
  await journal.keep({ consumed: () => 0, pressure: () => undefined });
  const about = { function: "f", version: 1, topic: "t", time: 5, attempts: 2, code: "C", error: "E" };
  for (let seq = 1; seq <= 400; seq++) {
    const letter: DeadLetter = { ...about, seq, payload: noise() };
    await commit(journal, commitOf("f", new Cursor(1), { deadLetters: [letter] }));
  }
  expect(await bytesOnDisk(folder.join("journal"))).toBeGreaterThan(36 * MB);
  await journal.clearDeadLetters(undefined);
  await eventually(async () => expect(await bytesOnDisk(folder.join("journal"))).toBeLessThan(16 * MB), patiently);
}, 60_000);

it("gives back also what was deleted little by little between many restarts", async () => {
  await emit(60);
  const lane = laneOfRule(DEFAULT_RULE);
  for (let part = 0; part < 3; part++) {
    await journal.outbox.remove(await journal.outbox.rows(lane, 0, { ...ALL, events: 160 }));
    await journal.close();
    journal = await openJournal(folder.join("journal"), {}, { compression: "none" });
    if (part < 2) await journal.keep({ consumed: () => 0, pressure: () => undefined });
  }
  expect(journal.outbox.pending).toBe(0);
  await journal.keep({ consumed: () => 0, pressure: () => undefined });
  await eventually(async () => expect(await bytesOnDisk(folder.join("journal"))).toBeLessThan(36 * MB), patiently);
}, 60_000);
