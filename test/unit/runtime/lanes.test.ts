import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { KeySpread } from "../../../src/runtime/key-spread.ts";
import { FunctionWorld, type Setting, type Version } from "./function-world.ts";

const SETTING: Setting = {
  idempotent: false,
  stateful: true,
  overflow: "block",
  pendingMax: 1_000,
  stateBytes: 1_000,
  fewKeys: false,
  proven: true,
};
const WINDOW_MS = 1_000;
const VERSION: Version = { filters: ["+a"], key: "a", order: "strict", lanes: 2, warm: 0, idleMs: WINDOW_MS };

/** A key that stays in lane 0 when that is split, and one that leaves it. */
function keys(): { readonly stays: string; readonly leaves: string } {
  const spread = new KeySpread(1, 2);
  const names = Array.from({ length: 20 }, (_, n) => `k${n}`);
  const [stays, leaves] = [false, true].map((leaving) => names.find((key) => spread.wouldLeave(key, 0) === leaving) ?? "");
  return { stays: stays ?? "", leaves: leaves ?? "" };
}

/** Everything that was sent is handled, and what became of it is written. */
async function settle(world: FunctionWorld): Promise<void> {
  for (let round = 0; round < 40; round++) {
    for (let pick = 0; pick < Math.max(1, world.isolates.size); pick++) {
      await world.isolates.handle(pick, () => world.rest());
      world.isolates.answer(pick);
    }
    world.isolates.made(true);
    world.journal.read(round, true);
    world.journal.look(round, true);
    world.flush(Infinity);
    await world.rest();
  }
}

function send(world: FunctionWorld, ...topics: readonly string[]): void {
  for (const topic of topics) world.arrive({ topic, id: undefined, attempts: [], volatile: false });
  world.pump();
}

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] }));
afterEach(() => void vi.useRealTimers());

it("a lane that is behind is split, and takes its keys back when there is little to do; a key has the state it was left with", async () => {
  const { stays, leaves } = keys();
  const world = new FunctionWorld(SETTING, VERSION);
  await world.start(VERSION);
  await settle(world);
  expect(world.isolates.size).toBe(1);
  vi.advanceTimersByTime(200);
  for (let n = 0; n < 4; n++) send(world, stays, leaves);
  await settle(world);
  expect(world.isolates.size).toBe(2);
  send(world, stays, leaves);
  await settle(world);
  // Lane 0 has something to do now and then, so that its isolate stays.
  for (let passed = 0; passed < 2 * WINDOW_MS; passed += WINDOW_MS / 4) {
    vi.advanceTimersByTime(WINDOW_MS / 4);
    send(world, stays);
    await settle(world);
  }
  expect(world.isolates.size).toBe(1);
  // Its isolate remembers the count from before the split. The world checks what is written.
  send(world, leaves);
  await settle(world);
  expect(world.isolates.size).toBe(1);
  await world.finish((ms) => void vi.advanceTimersByTime(ms));
});

it("a lane with a single key is not split, however much it has to do", async () => {
  const world = new FunctionWorld(SETTING, VERSION);
  await world.start(VERSION);
  await settle(world);
  vi.advanceTimersByTime(200);
  const { leaves } = keys();
  const { stays } = keys();
  for (let n = 0; n < 8; n++) send(world, stays);
  await settle(world);
  expect(world.isolates.size).toBe(1);
  expect(leaves).not.toBe(stays);
  await world.finish((ms) => void vi.advanceTimersByTime(ms));
});
