import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { GiveUp, Item } from "../../../src/runtime/item.ts";
import { Waiting } from "../../../src/runtime/waiting.ts";

function itemOf(seq: number, giveUp: GiveUp): Item {
  const message = { seq, topic: "k", time: 0, hops: 0, record: new Uint8Array(10) };
  const place = { message, start: seq, trigger: 0, key: "k", keyBytes: Buffer.alloc(0) };
  return { ...place, attempt: 1, resume: false, suspect: false, trial: "none", giveUp };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a key that waits for its retry", () => {
  it.each([
    ["goes on at once when its first message waits for room", "never", "for good", [1]],
    ["does not go on at once for a message behind the first", "for good", "never", []],
  ] as const)("%s", (_what, first, second, hurried) => {
    const due: number[] = [];
    const waiting = new Waiting(true, { due: ({ message }) => void due.push(message.seq), setAside: () => false });
    waiting.hold(itemOf(1, first), 1_000);
    waiting.line(itemOf(2, second));
    waiting.hurry(({ giveUp }) => giveUp === "never");
    expect(due).toEqual(hurried);
    vi.advanceTimersByTime(1_000);
    expect(due).toEqual([1]);
  });
});
