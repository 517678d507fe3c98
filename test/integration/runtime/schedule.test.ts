import { describe, expect, it } from "vitest";
import type { ScheduleTrigger } from "../../../src/core/triggers.ts";
import { Core } from "../../support/core.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf, type TestFunction } from "../../support/functions.ts";
import { HandClock } from "../../support/hand-clock.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const START = Date.parse("2026-11-30T12:00:00Z");

function ticking(schedule: Partial<ScheduleTrigger> = {}, version = 1): TestFunction {
  const trigger: ScheduleTrigger = {
    schedule: "every 10s",
    name: "default",
    timezone: "UTC",
    catchUp: "last",
    catchUpMax: 100,
    ...schedule,
  };
  const handler = "ctx.emit('tick', { at: Date.parse(event.data.due), missed: event.data.missed });";
  return functionOf({ name: "f", version, triggers: [], also: [trigger], handler });
}

/** Each tick as `seconds after START` and, when some were, how many were missed. */
async function ticks(core: Core): Promise<string[]> {
  await core.drained();
  const all = (await core.events("tick")).map(({ data }) => data as { at: number; missed: number });
  return all.map(({ at, missed }) => `${(at - START) / 1_000}${missed === 0 ? "" : ` (${missed})`}`);
}

/** Lets time pass step by step and waits for the ticks that are to have come. */
async function pass(core: Core, clock: HandClock, { seconds, ticks: count }: { seconds: number; ticks: number }): Promise<void> {
  const before = core.journal.nextSeq;
  clock.advance(seconds * 1_000);
  await eventually(() => expect(core.journal.nextSeq).toBe(before + count));
}

describe("a schedule", () => {
  it("wakes its function with a message of its own", async () => {
    const clock = new HandClock(START);
    await using core = await Core.temporary({ clock });
    const handler = `
      const { type, subject, source, time, data, params, attempt } = event;
      ctx.emit('seen', { type, subject, source, time, data, params, attempt });
      ctx.state.set('last', ctx.now());`;
    const trigger = { schedule: "0 13 * * *", name: "noon", timezone: "Europe/Rome", catchUp: "last", catchUpMax: 1 } as const;
    await core.deploy(functionOf({ name: "f", triggers: ["in/+k"], key: "k", also: [trigger], handler }));
    clock.advance(86_400_000 - 15_000);
    await pass(core, clock, { seconds: 15, ticks: 1 });
    await core.drained();
    const due = START + 86_400_000;
    const data = { name: "noon", due: new Date(due).toISOString(), missed: 0 };
    const seen = { type: "schedule", subject: "noon", source: "schedule", time: due, data, params: {}, attempt: 1 };
    expect(await core.events()).toMatchObject([{ type: "seen", subject: "noon", data: seen }]);
    expect(await core.journal.loadState("f", "$millrace/schedule/f/noon")).toEqual([{ name: "last", value: Buffer.from(String(due)) }]);
  });

  it.each([
    ["last", ["120 (11)"], "11 ticks were missed; 1 made up for"],
    ["all", ["30 (2)", "40", "50", "60", "70", "80", "90", "100", "110", "120"], "2 ticks were missed; 10 made up for"],
  ] as const)("with catchUp: %s makes up for a downtime so far and says so", async (catchUp, made, line) => {
    await using folder = await TempFolder.make();
    const clock = new HandClock(START);
    {
      await using core = await Core.open({ folder: folder.path, clock });
      await core.deploy(ticking({ catchUp, catchUpMax: 10 }));
    }
    clock.advance(120_000);
    await using core = await Core.open({ folder: folder.path, clock, begin: false });
    await core.deploy(ticking({ catchUp, catchUpMax: 10 }));
    core.runtime.begin();
    await eventually(async () => expect(await ticks(core)).toEqual(made));
    const logs = core.runtime.logs.query({ function: "f", level: "warn", limit: 10 }).records.map(({ message }) => message);
    expect(logs).toEqual([expect.stringContaining(line) as string]);
  });

  it("with catchUp: none leaves a downtime out, and tells of it with the next tick", async () => {
    const clock = new HandClock(START);
    await using core = await Core.temporary({ clock });
    await core.deploy(ticking({ schedule: "every 1h", catchUp: "none" }));
    clock.advance(9_000_000);
    await eventually(() => expect(core.journal.ticks.mark("f", "default")).toMatchObject({ last: START + 7_200_000, missed: 2 }));
    await pass(core, clock, { seconds: 1_800, ticks: 1 });
    expect(await ticks(core)).toEqual(["10800 (2)"]);
  });

  it("that is made up for has all its tries, however late it is", async () => {
    await using folder = await TempFolder.make();
    const clock = new HandClock(START);
    const trigger = { schedule: "every 1m", name: "default", timezone: "UTC", catchUp: "last", catchUpMax: 1 } as const;
    const handler = "if (event.attempt < 3) throw new Error('not yet'); ctx.emit('tick', event.attempt);";
    const f = functionOf({ name: "f", triggers: [], also: [trigger], handler, retry: { maxAgeMs: 1_000 } });
    await using core = await Core.open({ folder: folder.path, clock });
    await core.deploy(f);
    await pass(core, clock, { seconds: 7_200, ticks: 1 });
    await core.drained();
    expect(await core.events("tick")).toMatchObject([{ data: 3 }]);
  });

  it("ticks once for each time, whoever sets the clock", async () => {
    const clock = new HandClock(START);
    await using core = await Core.temporary({ clock });
    await core.deploy(ticking());
    await pass(core, clock, { seconds: 10, ticks: 1 });
    // Set back by less than a step: what has been is not again.
    clock.set(START + 4_000);
    await pass(core, clock, { seconds: 15, ticks: 0 });
    await pass(core, clock, { seconds: 15, ticks: 1 });
    // By an hour: it goes on from there.
    clock.set(START - 3_600_000);
    clock.advance(15_000);
    await eventually(() => expect(core.journal.ticks.mark("f", "default")?.last).toBeLessThan(START));
    await pass(core, clock, { seconds: 15, ticks: 1 });
    // Ahead by a year: one tick makes up for it.
    clock.set(START + 365 * 86_400_000);
    await pass(core, clock, { seconds: 15, ticks: 1 });
    const seen = (await ticks(core)).map((tick) => Number.parseInt(tick, 10));
    expect(seen.slice(0, 2)).toEqual([10, 30]);
    expect([-3580, -3570]).toContain(seen[2]);
    expect([365 * 86_400, 365 * 86_400 + 10]).toContain(seen[3]);
    expect(seen).toHaveLength(4);
  });

  it("goes on where it was when another version takes over, and begins anew when it has changed", async () => {
    const clock = new HandClock(START);
    await using core = await Core.temporary({ clock });
    await core.deploy(ticking());
    await pass(core, clock, { seconds: 10, ticks: 1 });
    await core.deploy(ticking({ catchUp: "all" }, 2));
    await pass(core, clock, { seconds: 20, ticks: 2 });
    clock.set(START + 3_600_000);
    await core.deploy(ticking({ catchUp: "all", schedule: "every 20s" }, 3));
    await pass(core, clock, { seconds: 20, ticks: 1 });
    expect(await ticks(core)).toEqual(["10", "20", "30", "3620"]);
    expect(core.journal.ticks.mark("f", "default")).toMatchObject({ schedule: "every 20s UTC", last: START + 3_620_000 });
  });

  it("ends with its function, and makes up for nothing when that comes back", async () => {
    const clock = new HandClock(START);
    await using core = await Core.temporary({ clock });
    await core.deploy(ticking({ catchUp: "all" }));
    await pass(core, clock, { seconds: 10, ticks: 1 });
    await core.runtime.remove("f");
    expect(core.journal.ticks.mark("f", "default")).toBeUndefined();
    await pass(core, clock, { seconds: 60, ticks: 0 });
    await core.deploy(ticking({ catchUp: "all" }));
    await pass(core, clock, { seconds: 10, ticks: 1 });
    expect(await ticks(core)).toEqual(["10", "80"]);
  });

  it("cannot be forged by a function", async () => {
    await using core = await Core.temporary({ clock: new HandClock(START) });
    await core.deploy(
      ticking(),
      functionOf({ name: "g", handler: "ctx.publish('$millrace/schedule/f/default', { due: '2026-11-30T12:00:00Z', missed: 0 });" }),
    );
    await core.send("in/a", {});
    await core.drained();
    expect(await core.deadLetters()).toMatchObject([{ function: "g", error: expect.stringContaining("is not a topic") as string }]);
    expect(await core.events("tick")).toEqual([]);
  });
});
