import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Patience } from "../../../src/broker/patience.ts";

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

let ended: number;
let patience: Patience;

beforeEach(() => {
  vi.useFakeTimers();
  ended = 0;
  patience = new Patience(() => void ended++);
});

afterEach(() => {
  vi.useRealTimers();
});

it("ends a second after somebody has begun to wait, once", () => {
  patience.wait();
  vi.advanceTimersByTime(999);
  patience.wait();
  expect([patience.isOver, ended]).toEqual([false, 0]);
  vi.advanceTimersByTime(1);
  patience.wait();
  vi.advanceTimersByTime(10_000);
  expect([patience.isOver, ended]).toEqual([true, 1]);
});

it("does not end while the subscriber takes something now and then", () => {
  for (let turn = 0; turn < 20; turn++) {
    patience.wait();
    vi.advanceTimersByTime(900);
    patience.restore();
  }
  expect(ended).toBe(0);
});

it("is short with one that was waited for in vain in the minute before", () => {
  patience.wait();
  vi.advanceTimersByTime(1_005);
  patience.restore();
  expect(patience.isOver).toBe(false);
  patience.wait();
  vi.advanceTimersByTime(55);
  expect(ended).toBe(2);
  patience.restore();
  vi.advanceTimersByTime(60_000);
  patience.wait();
  vi.advanceTimersByTime(999);
  expect(ended).toBe(2);
});

it("waits until the sockets have been looked at, however long the turn takes in which its time is over", async () => {
  vi.useRealTimers();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  patience.wait();
  vi.advanceTimersByTime(1_000);
  await turns(1);
  patience.wait();
  patience.restore();
  await turns(5);
  expect([patience.isOver, ended]).toEqual([false, 0]);
  patience.wait();
  vi.advanceTimersByTime(1_000);
  await turns(5);
  expect([patience.isOver, ended]).toEqual([true, 1]);
});
