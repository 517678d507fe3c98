import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Loss } from "../../../src/runtime/guarded-host.ts";
import { type Arrival, type Attempt, LaneWorld } from "./lane-world.ts";

type Step =
  | { readonly do: "arrive"; readonly arrivals: readonly Arrival[] }
  | { readonly do: "handle" | "answer" | "giveUp" }
  | { readonly do: "die"; readonly loss: Pick<Loss, "guilt" | "trial"> }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "letters"; readonly full: boolean }
  | { readonly do: "shed"; readonly below: number };

const LOSSES: readonly Pick<Loss, "guilt" | "trial">[] = [
  { guilt: "certain", trial: "alone" },
  { guilt: "possible", trial: "alone" },
  { guilt: "possible", trial: "together" },
  { guilt: "none", trial: "none" },
];

const attempt = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Attempt>("done") },
  { weight: 6, arbitrary: fc.constant<Attempt>("throws") },
  { weight: 2, arbitrary: fc.constantFrom<Attempt>("throws for good", "hangs", "starves", "is refused") },
);
const arrival = fc.record<Arrival>({
  key: fc.nat(2),
  id: fc.option(fc.nat(3), { nil: undefined }),
  attempts: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(attempt, { maxLength: 5 })),
});
/** More of a key than are kept in memory while it waits. */
const burst = fc.record({ key: fc.nat(2), count: fc.integer({ min: 8, max: 14 }) });
const steps = fc.array(
  fc.oneof(
    {
      weight: 1,
      arbitrary: burst.map(({ key, count }): Step => ({
        do: "arrive",
        arrivals: Array.from({ length: count }, () => ({ key, id: undefined, attempts: ["throws"] })),
      })),
    },
    {
      weight: 6,
      arbitrary: fc.array(arrival, { minLength: 1, maxLength: 6, size: "max" }).map((arrivals): Step => ({ do: "arrive", arrivals })),
    },
    { weight: 6, arbitrary: fc.constantFrom<Step>({ do: "handle" }, { do: "answer" }) },
    { weight: 1, arbitrary: fc.constant<Step>({ do: "giveUp" }) },
    { weight: 1, arbitrary: fc.constantFrom(...LOSSES).map((loss): Step => ({ do: "die", loss })) },
    { weight: 3, arbitrary: fc.constantFrom(5, 20, 60).map((ms): Step => ({ do: "pass", ms })) },
    { weight: 1, arbitrary: fc.boolean().map((full): Step => ({ do: "letters", full })) },
    { weight: 1, arbitrary: fc.nat(60).map((below): Step => ({ do: "shed", below })) },
  ),
  { maxLength: 60, size: "max" },
);

async function take(world: LaneWorld, step: Step): Promise<void> {
  if (step.do === "arrive") for (const one of step.arrivals) await world.arrive(one);
  else if (step.do === "pass") await world.pass(step.ms);
  else if (step.do === "die") await world.die(step.loss);
  else if (step.do === "letters") world.lettersFull = step.full;
  else if (step.do === "shed") await world.shed(step.below);
  else await world[step.do]();
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  vi.spyOn(Math, "random").mockReturnValue(0.5); // So that a seed brings back a failure.
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const retry = { attempts: 3, minMs: 10, maxMs: 40, maxAgeMs: 150 };
const idempotency = { key: "data.id", windowMs: 3_600_000, entries: 1_000 };

describe("messages of a lane", () => {
  it("that wait for many idempotency keys are asked about once more when theirs is free, not whenever one is", async () => {
    const world = new LaneWorld({ order: "relaxed", retry, idempotency, limits: { cpuMs: 10_000 } });
    await world.start();
    const pairs = 30;
    for (let id = 0; id < pairs; id++) await world.arrive({ key: id, id, attempts: ["throws"] });
    for (let id = 0; id < pairs; id++) await world.arrive({ key: 100 + id, id, attempts: [] });
    expect(await world.finish()).toBe(true);
    expect([...world.settled.values()].toSorted()).toEqual([...Array(pairs).fill("done"), ...Array(pairs).fill("duplicate")]);
    expect(world.asked).toBeLessThanOrEqual(4 * pairs); // A first time and once more for either message of a pair.
  });

  it("that have no processor are tried again without an attempt and in order, and charged only when that does not end", async () => {
    const world = new LaneWorld({ order: "strict", retry: { ...retry, attempts: 1, maxAgeMs: 3_600_000 }, limits: { cpuMs: 10_000 } });
    await world.start();
    await world.arrive({ key: 1, id: undefined, attempts: Array<Attempt>(20).fill("starves") });
    await world.arrive({ key: 1, id: undefined, attempts: [] });
    await world.arrive({ key: 2, id: undefined, attempts: Array<Attempt>(21).fill("starves") });
    for (let round = 0; round < 200 && world.settled.size < 3; round++) {
      await world.handle();
      await world.answer();
      await world.pass(500);
    }
    expect([...world.settled].toSorted(([a], [b]) => a - b)).toEqual([
      [1, "done"],
      [2, "done"],
      [3, "dead"],
    ]);
  });

  it("that a hostile isolate holds back for no reason are given up after their attempts, and come through when it does not", async () => {
    const world = new LaneWorld({ order: "strict", retry, limits: { cpuMs: 10_000 } });
    await world.start();
    world.defersAll = true;
    for (const key of [0, 1, 0, 1]) await world.arrive({ key, id: undefined, attempts: [] });
    expect(await world.finish()).toBe(true);
    expect([...world.settled.values()]).toEqual(["dead", "dead", "dead", "dead"]);
    world.defersAll = false;
    for (const key of [0, 1]) await world.arrive({ key, id: undefined, attempts: [] });
    expect(await world.finish()).toBe(true);
    expect([...world.settled.values()].slice(4)).toEqual(["done", "done"]);
  });

  it("that are on trial alone are tried in an own host, which is given up while nothing of the function may run, and afterwards", async () => {
    const world = new LaneWorld({ retry, limits: { cpuMs: 10_000 } });
    await world.start();
    for (let key = 0; key < 3; key++) await world.arrive({ key, id: undefined, attempts: [] });
    expect(world.trials).toBe(0);
    await world.die({ guilt: "possible", trial: "alone" });
    expect(world.trials).toBe(1);
    await world.handle();
    world.held = true;
    await world.answer();
    expect(world.trials).toBe(0);
    world.held = false;
    world.lane.pump();
    await world.pass(0);
    expect(world.trials).toBe(1);
    expect(await world.finish()).toBe(true);
    expect(world.trials).toBe(0);
    expect([...world.settled.values()]).toEqual(["done", "done", "done"]);
  });

  it("that are on trial together are tried in one batch, and not once more", async () => {
    const world = new LaneWorld({ retry, limits: { cpuMs: 10_000 } });
    await world.start();
    for (let key = 0; key < 3; key++) await world.arrive({ key, id: undefined, attempts: [] });
    await world.die({ guilt: "possible", trial: "together" });
    expect(world.trials).toBe(1);
    await world.handle();
    await world.answer();
    await world.handle();
    await world.answer();
    expect([...world.settled.values()]).toEqual(["done", "done", "done"]);
    await world.arrive({ key: 0, id: undefined, attempts: [] });
    expect(world.trials).toBe(0);
    expect(await world.finish()).toBe(true);
  });

  it("have an isolate as long as there is something to do, and not much longer", async () => {
    const world = new LaneWorld({ retry: { ...retry, minMs: 500, maxMs: 500, maxAgeMs: 10_000 }, idleMs: 100, limits: { cpuMs: 10_000 } });
    await world.start();
    expect(world.isolates).toBe(1);
    for (let part = 0; part < 4; part++) await world.pass(50);
    expect(world.isolates).toBe(0);
    await world.arrive({ key: 0, id: undefined, attempts: ["throws", "throws"] });
    expect(world.isolates).toBe(1);
    for (let part = 0; part < 4; part++) await world.pass(50);
    expect(world.isolates).toBe(1); // The message is under way.
    await world.handle();
    await world.answer();
    for (let part = 0; part < 4; part++) await world.pass(50);
    expect(world.isolates).toBe(0); // It waits for its retry.
    for (let part = 0; part < 6; part++) await world.pass(50);
    expect(world.isolates).toBe(1);
    expect(await world.finish()).toBe(true);
    expect([...world.settled.values()]).toEqual(["done"]);
  });

  it("that do not come soon after their version has been started do not have its isolate", async () => {
    const world = new LaneWorld({ idleMs: 60_000, limits: { cpuMs: 10_000 } });
    await world.start();
    expect(world.isolates).toBe(1);
    await world.pass(1_000);
    expect(world.isolates).toBe(0);
    await world.arrive({ key: 0, id: undefined, attempts: [] });
    expect(await world.finish()).toBe(true);
    await world.pass(30_000);
    expect(world.isolates).toBe(1);
  });

  it("have an isolate only while one is under way when others need the room more, and one to be kept warm again with the next message", async () => {
    const world = new LaneWorld({ warm: 1, limits: { cpuMs: 10_000 } });
    await world.start();
    await world.arrive({ key: 0, id: undefined, attempts: [] });
    await world.giveUp();
    expect(world.isolates).toBe(1);
    await world.handle();
    await world.answer();
    await world.giveUp();
    expect(world.isolates).toBe(0);
    await world.arrive({ key: 0, id: undefined, attempts: [] });
    expect(world.isolates).toBe(1);
    expect(await world.finish()).toBe(true);
  });

  it("keep their isolate when it is to be kept warm", async () => {
    const world = new LaneWorld({ warm: 1, idleMs: 100, limits: { cpuMs: 10_000 } });
    await world.start();
    for (let part = 0; part < 40; part++) await world.pass(50);
    expect(world.isolates).toBe(1);
    await world.die({ guilt: "none", trial: "none" });
    expect(world.isolates).toBe(1);
  });

  it.each([
    ["strict", undefined],
    ["strict", idempotency],
    ["relaxed", undefined],
    ["relaxed", idempotency],
  ] as const)("are settled once each, with strict order key by key, whatever happens: order %s, idempotency %o", async (order, keys) => {
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(10, 60, 60_000), fc.nat(1), async (list, idleMs, warm) => {
        vi.clearAllTimers();
        const world = new LaneWorld({ order, retry, idempotency: keys, idleMs, warm, limits: { cpuMs: 10_000 } });
        await world.start();
        for (const step of list) await take(world, step);
        expect(await world.finish()).toBe(true);
        await world.lane.stop();
      }),
      { numRuns: 300 },
    );
  });
});
