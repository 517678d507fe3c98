import { describe, expect, it } from "vitest";
import { type BatchLimits, cutBatch, type OutboxRow } from "../../../src/sync/upload-batch.ts";
import type { Stretch } from "../../../src/sync/upload-order.ts";

const LIMITS: BatchLimits = { events: 5, bytes: 1_000 };
const row = (position: number, bytes = 10, expiresAt?: number): OutboxRow => ({
  lane: 0,
  position,
  key: Buffer.from([position]),
  event: Buffer.alloc(bytes),
  ...(expiresAt === undefined ? {} : { expiresAt }),
});
const live: Stretch = { stream: "live", lane: 0, after: 10, last: 100 };
const backlog: Stretch = { ...live, stream: "backlog" };

function cut(rows: readonly OutboxRow[], stretch = live, now = 0): { send: number[]; expired: number[]; last: number } {
  const { send, expired, last } = cutBatch(rows, stretch, LIMITS, now);
  return { send: send.map(({ position }) => position), expired: expired.map(({ position }) => position), last };
}

describe("cutting the outbox into batches", () => {
  it("takes so many events at most, and goes on behind the last of them", () => {
    expect(cut([11, 13, 14, 15, 20, 21].map((position) => row(position)))).toEqual({ send: [11, 13, 14, 15, 20], expired: [], last: 20 });
  });

  it("takes so many bytes and one event more at most", () => {
    expect(cut([row(11, 999), row(12, 5_000), row(13)])).toMatchObject({ send: [11, 12], last: 12 });
    expect(cut([row(11, 5_000), row(12)])).toMatchObject({ send: [11], last: 11 });
  });

  it("knows that it has everything when fewer came than were asked for", () => {
    expect(cut([row(11), row(12)])).toMatchObject({ send: [11, 12], last: 100 });
    expect(cut([])).toEqual({ send: [], expired: [], last: 100 });
    expect(cut([row(120)])).toMatchObject({ send: [120], last: 120 });
  });

  it("leaves what came after the link to the live events", () => {
    expect(cut([row(99), row(101)], backlog)).toMatchObject({ send: [99], last: 100 });
  });

  it("does not send what has expired", () => {
    const rows = [row(11, 10, 50), row(12, 10, 51), row(13)];
    expect(cut(rows, live, 50)).toEqual({ send: [12, 13], expired: [11], last: 100 });
  });
});
