import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FeedWorld, type Version } from "./feed-world.ts";

/** Topics have two levels of three names each, so that another key mixes what was apart. */
const VERSIONS: readonly Version[] = [
  { filters: ["+a/+b"], key: "a", strict: true },
  { filters: ["+a/+b"], key: "b", strict: true },
  { filters: ["+a/+b"], key: "a", strict: false },
  { filters: ["#"], strict: true },
  { filters: ["+a/0", "+a/1"], key: "a", strict: true },
  { filters: ["0/+b", "2/+b"], key: "b", strict: false },
];

/** More are worth their time after a change to how messages are brought. */
const RUNS = Number(process.env["FEED_RUNS"] ?? 300);

const version = fc.constantFrom(...VERSIONS);
const pick = fc.nat(20);
type Step = (world: FeedWorld) => void;

const step: fc.Arbitrary<readonly [string, Step]> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc
      .record({ a: fc.nat(2), b: fc.nat(2), volatile: fc.nat(7) })
      .map(({ a, b, volatile }) => [`arrive ${a}/${b}`, (world: FeedWorld) => world.arrive(`${a}/${b}`, volatile === 0)] as const),
  },
  { weight: 6, arbitrary: pick.map((at) => [`settle ${at}`, (world: FeedWorld) => world.settle(at)] as const) },
  { weight: 5, arbitrary: pick.map((at) => [`answer ${at}`, (world: FeedWorld) => world.answer(at)] as const) },
  { weight: 3, arbitrary: pick.map((at) => [`set aside ${at}`, (world: FeedWorld) => world.setAside(at)] as const) },
  { weight: 2, arbitrary: pick.map((at) => [`go on ${at}`, (world: FeedWorld) => world.goOn(at)] as const) },
  { weight: 2, arbitrary: fc.constant(["commit", (world: FeedWorld) => world.commit()] as const) },
  { weight: 2, arbitrary: fc.constant(["write cursor", (world: FeedWorld) => world.writeCursor()] as const) },
  { weight: 1, arbitrary: fc.constant(["stop", (world: FeedWorld) => world.stop()] as const) },
  { weight: 1, arbitrary: fc.constant(["hand over", (world: FeedWorld) => world.handOver()] as const) },
  { weight: 1, arbitrary: fc.constant(["crash", (world: FeedWorld) => world.crash()] as const) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(60), pick)
      .map(([below, at]) => [`shed ${below} ${at}`, (world: FeedWorld) => world.shed(below, at)] as const),
  },
  { weight: 1, arbitrary: fc.constant(["relieve", (world: FeedWorld) => world.shed(0, 0)] as const) },
  { weight: 2, arbitrary: version.map((to) => [`switch to ${JSON.stringify(to)}`, (world: FeedWorld) => world.switchTo(to)] as const) },
);

describe("versions of a function that follow one another", () => {
  it("settle or drop each message once, in order of its key, whatever they set aside and wherever they crash", async () => {
    await fc.assert(
      fc.asyncProperty(version, fc.array(step, { maxLength: 150, size: "max" }), async (first, steps) => {
        const world = new FeedWorld(first);
        for (const [, take] of steps) {
          take(world);
          await world.turns();
        }
        await world.finish(2_000);
        expect([...world.wanted].filter((seq) => !world.settled.has(seq))).toEqual([]);
        world.stop();
        world.handOver();
        await world.turns();
        expect(world.volatile.settled + world.volatile.missed).toBe(world.volatile.arrived);
      }),
      { numRuns: RUNS },
    );
  });
});
