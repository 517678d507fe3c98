import { describe, expect, it } from "vitest";
import { silentLogger } from "../../../src/core/log.ts";
import { StateSweeper } from "../../../src/runtime/state-sweeper.ts";

/** A function and what is deleted of it. */
class World {
  now = 1_000;
  nextSeq = 10;
  floor = 10;
  oldest: number | undefined = undefined;
  left = 0;
  readonly steps: number[] = [];
  freed = 0;
  readonly sweeper = new StateSweeper({
    clock: { now: () => this.now, elapsed: () => this.now, sleep: () => Promise.resolve() },
    logger: silentLogger,
    nextSeq: () => this.nextSeq,
    state: {
      due: () => Promise.resolve(["f"]),
      step: (_name, until) => {
        this.steps.push(until);
        return Promise.resolve({ bytes: 5, more: --this.left > 0 });
      },
    },
    find: () => ({
      floor: this.floor,
      oldest: this.oldest,
      freeState: async (step) => {
        const swept = await step();
        this.freed += swept.bytes;
        return swept;
      },
    }),
  });
}

describe("the sweeper of state", () => {
  it("goes on in steps until nothing is left, and tells the function what is free", async () => {
    const world = new World();
    world.left = 3;
    await world.sweeper.sweep();
    expect(world.steps).toEqual([1_000, 1_000, 1_000]);
    expect(world.freed).toBe(15);
  });

  it("waits until what came in before is done with, and then goes by the time when it began to wait", async () => {
    const world = new World();
    world.floor = 9;
    await world.sweeper.sweep();
    [world.now, world.nextSeq] = [2_000, 20];
    await world.sweeper.sweep();
    expect(world.steps).toEqual([]);
    [world.now, world.floor] = [3_000, 10];
    await world.sweeper.sweep();
    expect(world.steps).toEqual([1_000]);
    await world.sweeper.sweep();
    world.floor = 20;
    await world.sweeper.sweep();
    expect(world.steps).toEqual([1_000, 3_000]);
  });

  it("leaves what messages find that are older and not done with", async () => {
    const world = new World();
    world.oldest = 400;
    await world.sweeper.sweep();
    expect(world.steps).toEqual([400]);
  });
});
