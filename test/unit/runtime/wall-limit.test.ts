import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Lateness } from "../../../src/runtime/host/lateness.ts";
import { WallLimit } from "../../../src/runtime/host/wall-limit.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] }));
afterEach(() => void vi.useRealTimers());

interface World {
  readonly wall: WallLimit;
  readonly ends: string[];
  cpuMs: number;
}

function waiting(): World {
  const computed = { cpuMs: 0 };
  const ends: string[] = [];
  const wall = new WallLimit({ cpuMs: () => computed.cpuMs, lateness: new Lateness() });
  wall.start(400, (end) => ends.push(end));
  return Object.assign(computed, { wall, ends });
}

describe("the time of a batch that waits", () => {
  it("is over when nothing but its own code keeps it", () => {
    const { wall, ends } = waiting();
    vi.advanceTimersByTime(395);
    expect(ends).toEqual([]);
    vi.advanceTimersByTime(10);
    expect(ends).toEqual(["limit"]);
    expect(wall.stop()).toBeLessThan(5);
  });

  it("does not count while the gateway has not answered what is kept", () => {
    const { wall, ends } = waiting();
    vi.advanceTimersByTime(100);
    wall.asked(1);
    vi.advanceTimersByTime(200);
    wall.answered(1);
    vi.advanceTimersByTime(250);
    expect(ends).toEqual([]);
    vi.advanceTimersByTime(60);
    expect(ends).toEqual(["limit"]);
    expect(wall.stop()).toBeCloseTo(200, -1);
  });

  it("does not count while a call into the isolate has no processor, and counts while that computes", async () => {
    const world = waiting();
    const call = Promise.withResolvers<void>();
    const done = world.wall.during(call.promise);
    vi.advanceTimersByTime(300);
    world.cpuMs += 100;
    call.resolve();
    await done;
    vi.advanceTimersByTime(290);
    expect(world.ends).toEqual([]);
    vi.advanceTimersByTime(20);
    expect(world.ends).toEqual(["limit"]);
    expect(world.wall.stop()).toBeCloseTo(200, -1);
  });

  it("ends as starved when it is held up for as long again", () => {
    const { wall, ends } = waiting();
    wall.asked(1);
    vi.advanceTimersByTime(790);
    expect(ends).toEqual([]);
    vi.advanceTimersByTime(20);
    expect(ends).toEqual(["starved"]);
    wall.stop();
  });

  it("does not count while the thread is late to everything", () => {
    const { wall, ends } = waiting();
    vi.advanceTimersByTime(50);
    const now = performance.now();
    vi.spyOn(performance, "now").mockReturnValue(now + 300); // Nothing has run in between.
    vi.advanceTimersByTime(10);
    vi.restoreAllMocks();
    expect(ends).toEqual([]);
    expect(wall.stop()).toBeGreaterThan(250);
  });
});
