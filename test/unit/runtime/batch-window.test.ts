import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BatchWindow } from "../../../src/runtime/batch-window.ts";
import type { Item } from "../../../src/runtime/item.ts";

const items = (count: number, first: Partial<Item> = {}): Item[] =>
  Array.from({ length: count }, (_, index) => ({ attempt: 1, suspect: false, ...(index === 0 ? first : {}) }) as Item);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("the window of a batch", () => {
  it("is over at once without a setting, without a window and for what is tried again", () => {
    const over = vi.fn<() => void>();
    expect(new BatchWindow(undefined, over).isOver(items(1))).toBe(true);
    expect(new BatchWindow({ size: 10, windowMs: 0 }, over).isOver(items(1))).toBe(true);
    expect(new BatchWindow({ size: 10, windowMs: 9 }, over).isOver(items(1, { attempt: 2 }))).toBe(true);
    expect(new BatchWindow({ size: 10, windowMs: 9 }, over).isOver(items(1, { suspect: true }))).toBe(true);
  });

  it("is over when there are enough, or when the first has waited long enough", () => {
    const over = vi.fn<() => void>();
    const window = new BatchWindow({ size: 3, windowMs: 50 }, over);
    expect(window.isOver(items(2))).toBe(false);
    vi.advanceTimersByTime(30);
    expect(window.isOver(items(2))).toBe(false);
    expect(over).not.toHaveBeenCalled();
    vi.advanceTimersByTime(20);
    expect(over).toHaveBeenCalledTimes(1);
    expect(window.isOver(items(2))).toBe(true);
    window.taken(2);
    expect(window.isOver(items(1))).toBe(false);
    expect(window.isOver(items(3))).toBe(true);
  });

  it("takes all that had waited, in as many batches as that takes, and lets what came later wait", () => {
    const window = new BatchWindow({ size: 5, windowMs: 50 }, () => undefined);
    expect(window.isOver(items(4))).toBe(false);
    vi.advanceTimersByTime(50);
    expect(window.isOver(items(4))).toBe(true);
    window.taken(2); // More did not fit.
    expect(window.isOver(items(3))).toBe(true);
    window.taken(2);
    expect(window.isOver(items(1))).toBe(false);
  });

  it("calls nobody any more when it has been stopped", () => {
    const over = vi.fn<() => void>();
    const window = new BatchWindow({ size: 5, windowMs: 50 }, over);
    window.isOver(items(1));
    window.stop();
    vi.advanceTimersByTime(100);
    expect(over).not.toHaveBeenCalled();
  });
});
