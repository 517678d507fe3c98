import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readSchedule, type Schedule } from "../../../src/core/schedule.ts";
import { type CatchUp, CATCH_UPS } from "../../../src/core/triggers.ts";
import { dueAt, LATE_MS_MAX, MISSED_MAX, type Progress } from "../../../src/runtime/schedule/due.ts";

function scheduleOf(text: string, timezone = "UTC"): Schedule {
  const read = readSchedule(text, timezone);
  if ("problem" in read) throw new Error(read.problem);
  return read;
}

const START = Date.parse("2026-03-28T12:00:00Z");
const texts = fc.constantFrom(
  "every 1s",
  "every 10s",
  "every 7m",
  "* * * * *",
  "*/5 * * * *",
  "0 3 * * *",
  "30 2 * * *",
  "0 9,17 * * MON-FRI",
);
const zones = fc.constantFrom("UTC", "Europe/Rome", "America/New_York", "Asia/Kolkata");
const offset = fc.integer({ min: 0, max: 400 * 86_400_000 });

describe("a schedule", () => {
  it("has the same times forwards and backwards", () => {
    fc.assert(
      fc.property(texts, zones, offset, (text, zone, ms) => {
        const schedule = scheduleOf(text, zone);
        const next = schedule.next(START + ms) ?? Number.NaN;
        expect(next).toBeGreaterThan(START + ms);
        expect(schedule.last(next)).toBe(next);
        expect(schedule.last(next - 1)).toBeLessThanOrEqual(START + ms);
        expect(schedule.next(next - 1)).toBe(next);
      }),
    );
  });

  it("of every so often is due at multiples of it, whenever it was begun", () => {
    expect(scheduleOf("every 10s").next(START + 3_500)).toBe(START + 10_000);
    expect(scheduleOf("every 10s").next(START + 10_000)).toBe(START + 20_000);
  });

  it("in a time zone comes once on the days on which clocks are changed there", () => {
    const nightly = scheduleOf("30 2 * * *", "Europe/Rome");
    const times = (from: string): string[] => {
      let at = Date.parse(from);
      return [1, 2, 3].map(() => new Date((at = nightly.next(at) ?? Number.NaN)).toISOString());
    };
    expect(times("2026-03-28T00:00:00Z")).toEqual(["2026-03-28T01:30:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"]);
    expect(times("2026-10-24T00:00:00Z")).toEqual(["2026-10-24T00:30:00.000Z", "2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"]);
  });
});

/** The times, of the day in UTC, that a downtime is made up for with. */
function hours(words: string, from: string, until: string): string[] {
  const schedule = scheduleOf(words, "Europe/Rome");
  const policy = { now: Date.parse(until), catchUp: "all", catchUpMax: 100 } as const;
  const { ticks } = dueAt(schedule, { last: Date.parse(from), missed: 0 }, policy);
  return ticks.map((tick) => new Date(tick.due).toISOString().slice(11, 16));
}

describe("a downtime over the days on which clocks are changed", () => {
  const zone = fc.constantFrom("Europe/Rome", "America/New_York", "Australia/Lord_Howe", "UTC");
  const text = fc.constantFrom("*/30 * * * *", "30 2 * * *", "0 * * * *", "15 1-3 * * *", "0 0 * * *", "every 1h");
  /** Days before clocks are changed in one zone or another, in spring and in autumn. */
  const day = fc.constantFrom("2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31");
  const minutes = fc.integer({ min: 0, max: 3 * 24 * 60 });

  it("is made up for with what would have come, none of it twice and none missing", () => {
    fc.assert(
      fc.property(text, zone, day, minutes, minutes, (words, timezone, from, one, other) => {
        const schedule = scheduleOf(words, timezone);
        const start = Date.parse(from) + Math.min(one, other) * 60_000;
        const now = Date.parse(from) + Math.max(one, other) * 60_000;
        // As a gateway that was there the whole time would have ticked.
        const live: number[] = [];
        for (let at = schedule.next(start); at !== undefined && at <= now; at = schedule.next(at)) live.push(at);
        const due = (catchUp: CatchUp, catchUpMax = 1_000): readonly { due: number; missed: number }[] =>
          dueAt(schedule, { last: start, missed: 0 }, { now, catchUp, catchUpMax }).ticks;
        expect(due("all").map((tick) => tick.due)).toEqual(live);
        expect(due("all", 2).map((tick) => tick.due)).toEqual(live.slice(-2));
        const missed = Math.min(MISSED_MAX, live.length - 1);
        expect(due("last")).toEqual(live.slice(-1).map((at) => ({ due: at, missed })));
        expect(due("none").map((tick) => tick.due)).toEqual(live.slice(-1).filter((at) => now - at <= LATE_MS_MAX));
      }),
    );
  });

  it("has with several hours those that come twice twice, and leaves out those that do not come", () => {
    // 01:59 +01:00 is followed by 03:00 +02:00.
    expect(hours("30 1,2,3 * * *", "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z")).toEqual(["00:30", "01:30"]);
    // 02:59 +02:00 is followed by 02:00 +01:00.
    expect(hours("30 1,2,3 * * *", "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z")).toEqual(["23:30", "00:30", "01:30", "02:30"]);
  });
});

/** What a clock shows, look after look: it goes on, and now and then somebody sets it. */
const looks = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("passes" as const), ms: fc.integer({ min: 1, max: 30_000 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("down" as const), ms: fc.integer({ min: 60_000, max: 86_400_000 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("set back" as const), ms: fc.integer({ min: 1, max: 86_400_000 }) }) },
  ),
  { maxLength: 40 },
);

describe("what is due", () => {
  it("comes once, in order, as the policy says, and all of it is accounted for while the clock goes on", () => {
    fc.assert(
      fc.property(
        texts,
        fc.constantFrom<CatchUp>(...CATCH_UPS),
        fc.integer({ min: 1, max: 20 }),
        looks,
        (text, catchUp, catchUpMax, steps) => {
          const schedule = scheduleOf(text);
          let now = START;
          let progress: Progress = { last: START, missed: 0 };
          for (const { kind, ms } of steps) {
            now += kind === "set back" ? -ms : ms;
            const before = progress;
            const { ticks, progress: after } = dueAt(schedule, before, { now, catchUp, catchUpMax });
            progress = after;
            const dues = ticks.map(({ due }) => due);
            expect(dues).toEqual([...new Set(dues)].toSorted((a, b) => a - b));
            for (const due of dues) expect(due > before.last && due <= now && schedule.last(due) === due).toBe(true);
            expect(dues.length).toBeLessThanOrEqual(catchUp === "all" ? catchUpMax : 1);
            const late = catchUp === "none" ? dues.filter((due) => now - due > LATE_MS_MAX) : [];
            expect(late).toEqual([]);
            const count = countBetween(schedule, before.last, progress.last);
            const missed = (ticks[0]?.missed ?? 0) + progress.missed;
            const isCounted = progress.last > before.last && missed < MISSED_MAX;
            expect(isCounted ? dues.length + missed - before.missed : count).toBe(count);
          }
        },
      ),
    );
  });

  it("goes on at once when the clock was set back by more than a step, and waits when it was less", () => {
    const minutely = scheduleOf("* * * * *");
    const policy = { catchUp: "all", catchUpMax: 10 } as const;
    const progress = { last: START, missed: 0 };
    expect(dueAt(minutely, progress, { ...policy, now: START - 30_000 })).toEqual({ ticks: [], progress });
    const back = dueAt(minutely, progress, { ...policy, now: START - 3_600_000 });
    expect(back).toEqual({ ticks: [], progress: { last: START - 3_600_000, missed: 0 } });
    const { ticks } = dueAt(minutely, back.progress, { ...policy, now: START - 3_540_000 });
    expect(ticks).toEqual([{ due: START - 3_540_000, missed: 0 }]);
  });

  it("is bounded however far the clock jumps", () => {
    const progress = { last: 0, missed: 0 };
    for (const text of ["every 1s", "* * * * *"]) {
      const { ticks, progress: after } = dueAt(scheduleOf(text), progress, { now: START, catchUp: "all", catchUpMax: 3 });
      expect(ticks.map(({ missed }) => missed)).toEqual([MISSED_MAX, 0, 0]);
      expect(after).toEqual({ last: START, missed: 0 });
    }
  });

  it("is never behind for ever: whatever the clock did, two steps later there is a tick", () => {
    fc.assert(
      fc.property(fc.constantFrom("every 10s", "* * * * *", "*/5 * * * *"), looks, (text, steps) => {
        const schedule = scheduleOf(text);
        let now = START;
        let progress: Progress = { last: START, missed: 0 };
        const look = (): number => {
          const { ticks, progress: after } = dueAt(schedule, progress, { now, catchUp: "last", catchUpMax: 1 });
          progress = after;
          return ticks.length;
        };
        for (const { kind, ms } of steps) {
          now += kind === "set back" ? -ms : ms;
          look();
        }
        const step = text === "every 10s" ? 10_000 : text === "* * * * *" ? 60_000 : 300_000;
        let count = 0;
        for (let i = 0; i < 2; i++) {
          now += step;
          count += look();
        }
        expect(count).toBeGreaterThanOrEqual(1);
      }),
    );
  });
});

function countBetween(schedule: Schedule, after: number, upTo: number): number {
  let count = 0;
  for (let at = schedule.last(upTo); at !== undefined && at > after && count < 2 * MISSED_MAX; at = schedule.last(at - 1)) count++;
  return count;
}
