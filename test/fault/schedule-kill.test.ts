import { describe, expect, it } from "vitest";
import type { ScheduleTrigger } from "../../src/core/triggers.ts";
import { eventually } from "../support/eventually.ts";
import { functionOf, type TestFunction } from "../support/functions.ts";
import { WholeGateway } from "./whole-gateway.ts";

/**
 * The invariant: whenever `kill -9` comes and however long the gateway is away, of each schedule
 *
 *   no time has two ticks, and every tick is handled exactly once, in the order of its times;
 *   `all` leaves out nothing but what is older than the newest `catchUpMax`; `last` has one tick for a downtime; `none` has none that is late;
 *   what is left out is what `missed` of the next tick says.
 */

const HOUR = 3_600_000;
const MINUTE = 60_000;
/** By the gateway's clock; half past, so that an hour is far away on both sides. */
const START = Date.parse("2026-12-01T00:30:00Z");

interface Seen {
  readonly name: string;
  readonly due: number;
  readonly missed: number;
  /** How many of its schedule were handled with it. */
  readonly n: number;
}

type Plan = Readonly<Record<string, Partial<ScheduleTrigger> & { readonly schedule: string }>>;

function ticking(plan: Plan): TestFunction {
  const also = Object.entries(plan).map(([name, trigger]): ScheduleTrigger => {
    return { name, timezone: "UTC", catchUp: "last", catchUpMax: 100, ...trigger };
  });
  const handler = `
    const { name, due, missed } = event.data;
    const n = (await ctx.state.get('n') ?? 0) + 1;
    ctx.state.set('n', n);
    ctx.emit('tick', { name, due: Date.parse(due), missed, n });`;
  return functionOf({ name: "f", triggers: [], also, handler });
}

/** The ticks of each schedule, in the order in which they were handled; each was handled exactly once. */
async function ticksOf(gateway: WholeGateway): Promise<Readonly<Record<string, readonly Seen[]>>> {
  await gateway.idle();
  const all = (await gateway.events("tick")).map(({ data }) => data as Seen);
  const grouped = Object.groupBy(all, ({ name }) => name);
  return Object.fromEntries(Object.entries(grouped).map(([name, ticks = []]) => [name, ticks.toSorted((a, b) => a.n - b.n)]));
}

function textOf({ due, missed }: Seen): string {
  return `${new Date(due).toISOString().slice(11, 16)}${missed === 0 ? "" : ` (${missed})`}`;
}

/** Each as the time on the gateway's clock and, when some were, how many were missed. */
async function shown(gateway: WholeGateway): Promise<Record<string, string[]>> {
  const ticks = await ticksOf(gateway);
  const twice = Object.values(ticks).find((each) => each.some(({ n }, index) => n !== index + 1));
  if (twice !== undefined) throw new Error(`not each tick was handled once: ${JSON.stringify(twice)}`);
  return Object.fromEntries(Object.entries(ticks).map(([name, each]) => [name, each.map(textOf)]));
}

describe("a gateway with schedules that is killed in the middle of them", () => {
  it("makes up for each second that it was away as each schedule says, and for none twice", async () => {
    await using gateway = await WholeGateway.make();
    await gateway.start();
    await gateway.publish(
      ticking({
        all: { schedule: "every 1s", catchUp: "all" },
        few: { schedule: "every 1s", catchUp: "all", catchUpMax: 2 },
        last: { schedule: "every 1s", catchUp: "last" },
        none: { schedule: "every 1s", catchUp: "none" },
      }),
    );
    const ticked = async (name: string): Promise<number> => (await ticksOf(gateway))[name]?.length ?? 0;
    const kills: number[] = [];
    for (let round = 0; round < 3; round++) {
      const before = await ticked("last");
      await eventually(async () => expect(await ticked("last")).toBeGreaterThan(before + 1));
      await gateway.kill();
      const downAt = Date.now();
      kills.push(downAt);
      // Several ticks long.
      await eventually(() => expect(Date.now()).toBeGreaterThan(downAt + 4_000));
      await gateway.start();
    }
    const end = Date.now();
    await eventually(async () => expect((await ticksOf(gateway))["none"]?.at(-1)?.due).toBeGreaterThan(end));
    const ticks = await ticksOf(gateway);
    for (const [name, each] of Object.entries(ticks)) {
      expect(each.map(({ n }) => n)).toEqual(each.map((_tick, index) => index + 1));
      // One after the other, and what lies between two is what the later says to be missing.
      const gaps = each.slice(1).map(({ due }, index) => (due - (each[index]?.due ?? 0)) / 1_000 - 1);
      expect(gaps).toEqual(each.slice(1).map(({ missed }) => missed));
      const longest = gaps.toSorted((a, b) => b - a).slice(0, kills.length);
      const least = { all: 0, few: 2 }[name] ?? 3;
      expect(Math.min(...longest)).toBeGreaterThanOrEqual(least);
      expect(name !== "all" || Math.max(...gaps) === 0).toBe(true);
    }
    expect(Object.keys(ticks).toSorted()).toEqual(["all", "few", "last", "none"]);
  }, 120_000);
});

/** Killed at one time of its clock, it is started at another. */
async function away(gateway: WholeGateway, now: number): Promise<void> {
  await gateway.kill();
  await gateway.setClock(now);
  await gateway.start();
}

describe("a gateway whose clock goes on or is set while it is down", () => {
  it("makes up for hours as each schedule says, waits when it is early, and goes on when it was set back for long", async () => {
    await using gateway = await WholeGateway.make();
    await gateway.setClock(START);
    await gateway.start();
    await gateway.publish(
      ticking({
        all: { schedule: "every 1h", catchUp: "all" },
        few: { schedule: "0 * * * *", catchUp: "all", catchUpMax: 3, timezone: "Asia/Tokyo" },
        last: { schedule: "0 * * * *", catchUp: "last" },
        none: { schedule: "every 1h", catchUp: "none" },
      }),
    );
    await away(gateway, START + 5 * HOUR);
    const far = { all: ["01:00", "02:00", "03:00", "04:00", "05:00"], few: ["03:00 (2)", "04:00", "05:00"], last: ["05:00 (4)"] };
    await eventually(async () => expect(await shown(gateway)).toEqual(far));
    // Killed again before anything else is due: nothing comes twice.
    await away(gateway, START + 5 * HOUR + MINUTE);
    expect(await shown(gateway)).toEqual(far);
    // Set back by less than two steps: what has been is not again.
    await away(gateway, START + 4 * HOUR - 10 * MINUTE);
    expect(await shown(gateway)).toEqual(far);
    await away(gateway, START + 6 * HOUR);
    const later = { all: [...far.all, "06:00"], few: [...far.few, "06:00"], last: [...far.last, "06:00"] };
    await eventually(async () => expect(await shown(gateway)).toEqual(later));
    // Set back by hours: it goes on from there, and these times are new ones.
    await away(gateway, START + HOUR);
    expect(await shown(gateway)).toEqual(later);
    await away(gateway, START + 2 * HOUR - 5_000 - 30 * MINUTE);
    // In time for one, of which `none` tells what it has left out.
    const next = { all: [...later.all, "02:00"], few: [...later.few, "02:00"], last: [...later.last, "02:00"], none: ["02:00 (6)"] };
    await eventually(async () => expect(await shown(gateway)).toEqual(next));
    // Set on while it runs: a downtime like any other.
    await gateway.setClock(START + 4 * HOUR);
    const end = {
      all: [...next.all, "03:00", "04:00"],
      few: [...next.few, "03:00", "04:00"],
      last: [...next.last, "04:00 (1)"],
      none: next.none,
    };
    await eventually(async () => expect(await shown(gateway)).toEqual(end), { timeout: 60_000 });
  }, 240_000);
});
