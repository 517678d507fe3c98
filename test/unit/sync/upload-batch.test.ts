import { describe, expect, it } from "vitest";
import { BATCH_BYTES_MAX, BATCH_EVENTS_MAX, EVENT_BYTES_MAX, nextBatch, type OutboxRow } from "../../../src/sync/upload-batch.ts";

const row = (position: number, bytes = 10): OutboxRow => ({
  position,
  event: { id: `g:${position}:f:0`, function: "f", version: 1, type: "t", subject: "s", time: 0, data: `"${"x".repeat(bytes)}"` },
});

describe("cutting the outbox into batches", () => {
  it("takes a thousand events at most", () => {
    const rows = Array.from({ length: BATCH_EVENTS_MAX + 5 }, (_, n) => row(n + 1));
    const first = nextBatch(rows, 0);
    expect(first).toMatchObject({ last: BATCH_EVENTS_MAX, next: BATCH_EVENTS_MAX });
    expect(nextBatch(rows, first.next).events).toHaveLength(5);
  });

  it("takes half a megabyte at most, but always one event", () => {
    const rows = [row(1, BATCH_BYTES_MAX), row(2, 100), row(3, BATCH_BYTES_MAX - 400), row(4, 400)];
    expect(nextBatch(rows, 0)).toMatchObject({ last: 1, next: 1 });
    expect(nextBatch(rows, 1)).toMatchObject({ last: 3, next: 3 });
  });

  it("leaves out what no packet can carry and goes on behind it", () => {
    const rows = [row(1), row(2, EVENT_BYTES_MAX), row(3)];
    const batch = nextBatch(rows, 0);
    expect(batch.events.map(({ id }) => id)).toEqual(["g:1:f:0", "g:3:f:0"]);
    expect(batch).toMatchObject({ last: 3, oversized: 1 });
    expect(nextBatch([row(7, EVENT_BYTES_MAX)], 0)).toEqual({ events: [], last: 7, oversized: 1, next: 1 });
  });
});
