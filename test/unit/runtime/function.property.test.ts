import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Arrival, FunctionWorld, type Setting, type Version } from "./function-world.ts";
import type { Attempt } from "./model-isolates.ts";

/** More are worth their time after a change to how messages are handled. */
const RUNS = Number(process.env["FUNCTION_RUNS"] ?? 300);

const WAYS: readonly Pick<Version, "filters" | "key">[] = [
  { filters: ["+a/+b"], key: "a" },
  { filters: ["+a/+b"], key: "b" },
  { filters: ["#"] },
  { filters: ["+a/0", "+a/1"], key: "a" },
];

type Step = readonly [what: string, take: (world: FunctionWorld) => void | Promise<void>];

const setting: fc.Arbitrary<Setting> = fc.record({
  idempotent: fc.boolean(),
  stateful: fc.boolean(),
  overflow: fc.constantFrom("block", "block", "block", "drop-oldest"),
  pendingMax: fc.constantFrom(8, 32, 1_000),
  stateBytes: fc.constantFrom(1_000, 18, 30),
  fewKeys: fc.boolean(),
  proven: fc.boolean(),
});
const version: fc.Arbitrary<Version> = fc
  .record({
    way: fc.constantFrom(...WAYS),
    order: fc.constantFrom("strict", "strict", "relaxed"),
    lanes: fc.constantFrom(1, 2, 4, 8),
    warm: fc.constantFrom(0, 0, 1, 2, 8),
    idleMs: fc.constantFrom(10, 60, 60_000),
  })
  .map(({ way, ...more }) => ({ ...way, ...more, warm: Math.min(more.warm, more.lanes) }));
const attempt = fc.constantFrom<Attempt>("throws", "throws", "throws", "throws for good", "hangs", "is refused", "done");
const topic = fc.tuple(fc.nat(2), fc.nat(2)).map(([a, b]) => `${a}/${b}`);
const arrival: fc.Arbitrary<Arrival> = fc.record({
  topic,
  id: fc.option(fc.nat(5), { nil: undefined, freq: 1 }),
  attempts: fc.oneof(fc.constant([]), fc.array(attempt, { maxLength: 3 })),
  volatile: fc.nat(14).map((one) => one === 0),
});
/** More of a key than are kept in memory while it waits. */
const burst = fc
  .tuple(topic, fc.array(arrival, { minLength: 12, maxLength: 12 }))
  .map(([same, all]) => all.map((one) => ({ ...one, topic: same })));
const pick = fc.nat(20);

function arrive(arrivals: readonly Arrival[]): Step {
  const take = (world: FunctionWorld): void => {
    for (const one of arrivals) world.arrive(one);
    world.pump();
  };
  return [`arrive ${JSON.stringify(arrivals)}`, take];
}

/** A step that takes a number. */
function at(weight: number, what: string, take: (world: FunctionWorld, at: number) => void | Promise<void>): fc.WeightedArbitrary<Step> {
  return { weight, arbitrary: pick.map((number): Step => [`${what} ${number}`, (world) => take(world, number)]) };
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 18, arbitrary: fc.array(arrival, { minLength: 1, maxLength: 4 }).map(arrive) },
  { weight: 4, arbitrary: burst.map(arrive) },
  at(20, "handle", (world, number) => world.isolates.handle(number, () => world.rest())),
  at(20, "answer", (world, number) => world.isolates.answer(number)),
  at(10, "flush", (world, number) => world.flush(1 + (number % 3))),
  at(8, "read", (world, number) => world.journal.read(number, true)),
  at(8, "look", (world, number) => world.journal.look(number, true)),
  at(3, "write cursor", (world) => world.writeCursor()),
  at(1, "fail to read", (world, number) => world.journal.read(number, false)),
  at(2, "fail to look", (world, number) => world.journal.look(number, false)),
  at(6, "made", (world) => world.isolates.made(true)),
  at(1, "not made", (world) => world.isolates.made(false)),
  at(1, "wall", (world, number) => world.isolates.wall(number)),
  at(2, "die", (world, number) => world.isolates.die(number)),
  { weight: 7, arbitrary: fc.constantFrom(5, 20, 60).map((ms): Step => [`pass ${ms}`, () => void vi.advanceTimersByTime(ms)]) },
  { weight: 2, arbitrary: fc.boolean().map((full): Step => [`letters ${full}`, (world) => world.letters(full)]) },
  { weight: 2, arbitrary: version.map((to): Step => [`switch to ${JSON.stringify(to)}`, (world) => world.switchTo(to)]) },
  { weight: 1, arbitrary: version.map((to): Step => [`crash to ${JSON.stringify(to)}`, (world) => world.crash(to)]) },
  {
    weight: 1,
    arbitrary: fc.boolean().map((held): Step => {
      const take = (world: FunctionWorld): void => {
        world.held = held;
        world.pump();
      };
      return [`held ${held}`, take];
    }),
  },
  {
    weight: 3,
    arbitrary: fc.option(fc.nat(80), { nil: undefined }).map((below): Step => [`shed ${below}`, (world) => world.shed(below)]),
  },
);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
  vi.spyOn(Math, "random").mockReturnValue(0.5); // So that a seed brings back a failure.
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a function", () => {
  it(
    "settles each message once, in order of its key, counts it once, and leaves no isolate behind, whatever happens",
    async () => {
      const steps = fc.array(step, { maxLength: 200, size: "max" });
      await fc.assert(
        fc.asyncProperty(setting, version, steps, async (how, first, list) => {
          vi.clearAllTimers();
          const world = new FunctionWorld(how, first);
          await world.start(first);
          for (const [, take] of list) {
            await take(world);
            await world.rest();
          }
          await expect(world.finish((ms) => void vi.advanceTimersByTime(ms))).resolves.toBeUndefined();
        }),
        { numRuns: RUNS },
      );
    },
    60_000 + 100 * RUNS,
  );
});
