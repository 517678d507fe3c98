import { describe, expect, it } from "vitest";
import { FeedWorld, type Version } from "./feed-world.ts";

const byFirst: Version = { filters: ["+a/+b"], key: "a", strict: true };
const bySecond: Version = { filters: ["+a/+b"], key: "b", strict: true };

const bytes = (world: FeedWorld): string => world.feed.cursor?.encode().toString("hex") ?? "";
const offered = (world: FeedWorld): number[] => world.open.map(({ message }) => message.seq);
const handled = (world: FeedWorld): number[] => [...world.settled].toSorted((a, b) => a - b);
const reads = (world: FeedWorld): number[] => world.reads.map(({ from }) => from);

/** A version that has met the newest message, with `topics` in memory. */
async function running(topics: readonly string[]): Promise<FeedWorld> {
  const world = new FeedWorld(byFirst);
  world.answer(0);
  await world.turns();
  for (const topic of topics) world.arrive(topic, false);
  expect(offered(world)).toEqual(topics.map((_, index) => index + 1));
  return world;
}

/** Key 0 has 2 and 3 set aside, 1 and what there is of key 1 is settled. */
async function setAside(): Promise<FeedWorld> {
  const world = await running(["0/0", "0/1", "0/2", "1/0"]);
  world.setAside(0);
  world.setAside(0);
  for (let count = 0; count < 2; count++) world.settle(0);
  expect([[...world.settled], offered(world), world.feed.floor]).toEqual([[1, 4], [], 2]);
  return world;
}

describe("a read of the journal that is under way while another version takes over", () => {
  it("brings the old version nothing, and leaves the cursor alone", async () => {
    const world = new FeedWorld(byFirst);
    for (const topic of ["0/0", "0/1", "1/0"]) world.arrive(topic, false);
    world.switchTo(byFirst);
    await world.turns();
    expect(reads(world)).toEqual([1, 1]);
    const before = bytes(world);
    world.answer(0);
    await world.turns();
    expect([offered(world), reads(world), bytes(world)]).toEqual([[], [1], before]);
    world.answer(0);
    await world.turns();
    expect(offered(world)).toEqual([1, 2, 3]);
  });

  it("brings nothing between stop and the next version either, while what is under way is settled", async () => {
    const world = new FeedWorld(byFirst);
    for (const topic of ["0/0", "0/1", "1/0", "1/1", "2/0", "2/1"]) world.arrive(topic, false);
    world.switchTo(byFirst); // From here on they are in the journal only.
    world.answer(0);
    world.answer(0);
    await world.turns();
    expect([offered(world), reads(world)]).toEqual([[1, 2, 3, 4, 5], [6]]);
    world.stop();
    world.answer(0);
    await world.turns();
    world.settle(0);
    world.switchTo(byFirst);
    await world.finish(100);
    expect(handled(world)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it.each([byFirst, bySecond])("for a key that goes on, neither takes it up nor counts it as taken up (next: %j)", async (next) => {
    const world = await setAside();
    world.goOn(0);
    await world.turns();
    expect(reads(world)).toEqual([2]);
    world.switchTo(next);
    await world.turns();
    expect(reads(world)).toHaveLength(2);
    const before = bytes(world);
    world.answer(0);
    await world.turns();
    expect([offered(world), bytes(world), world.feed.floor]).toEqual([[], before, 2]);
    await world.finish(100);
    expect(handled(world)).toEqual([1, 2, 3, 4]);
  });
});

describe("a version with another key", () => {
  it("begins where the one before has set something aside, and leaves that there for the next one when it is stopped in its first read", async () => {
    const world = await setAside();
    world.switchTo(bySecond);
    await world.turns();
    expect([reads(world), world.feed.floor]).toEqual([[2], 2]);
    world.arrive("2/2", false);
    world.switchTo(byFirst);
    await world.turns();
    world.answer(0);
    await world.turns();
    expect([offered(world), world.feed.floor, world.feed.cursor?.aside.keys]).toEqual([[], 2, new Map([["0", 2]])]);
    await world.finish(100);
    expect(handled(world)).toEqual([1, 2, 3, 4, 5]);
  });

  it("hands on what it has not come to, and what it has taken but not settled, when it is stopped in a later read", async () => {
    const world = await running(["0/0", "0/1", "0/2", "1/0", "0/0", "1/1", "0/1"]);
    for (let count = 0; count < 4; count++) world.setAside(1);
    world.settle(0);
    world.switchTo(bySecond);
    await world.turns();
    world.answer(0);
    await world.turns();
    expect([offered(world), reads(world)]).toEqual([[2, 3, 4, 5, 6], [7]]);
    expect(world.feed.cursor?.aside.keys).toEqual(new Map([["0", 7]]));
    world.settle(1);
    world.switchTo(byFirst);
    await world.turns();
    expect(world.feed.floor).toBe(2);
    world.answer(0);
    await world.turns();
    expect(offered(world)).toEqual([]);
    await world.finish(100);
    expect(handled(world)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });
});
