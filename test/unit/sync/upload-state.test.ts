import { array, assert, constantFrom, nat, oneof, property } from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ACK_TIMEOUT_MS,
  expiresAt,
  hasRoom,
  initialUploadState,
  stepUpload,
  type UploadInput,
  type UploadState,
  WINDOW_BATCHES_MAX,
} from "../../../src/sync/upload-state.ts";

const sent = (batch: number, last: number, at = 0): UploadInput => ({ kind: "sent", batch, last, at, oversized: 0, acked: false });
const acked = (batch: number): UploadInput => ({ kind: "acked", batch, uploaded: 5, rejected: 1 });
const after = (...inputs: UploadInput[]): UploadState => inputs.reduce(stepUpload, initialUploadState);
const online = { kind: "connected" } as const;
const cursorOf = (state: UploadState): number | undefined => (state.kind === "online" ? state.cursor : undefined);

describe("upload state", () => {
  it("trims in order, whatever the order of the acknowledgements", () => {
    const two = after(online, sent(1, 10), sent(2, 20), acked(2));
    expect(two.trimmed).toBe(0);
    expect(stepUpload(two, acked(1)).trimmed).toBe(20);
  });

  it("sends everything unconfirmed again after the link was down", () => {
    const state = after(online, sent(1, 10), sent(2, 20), acked(1), { kind: "disconnected" }, online);
    expect(cursorOf(state)).toBe(10);
    // The acknowledgement of the second batch was lost with its connection; one that comes late means nothing any more.
    expect(stepUpload(state, acked(2))).toBe(state);
  });

  it("sends everything unconfirmed again when nothing came in time, with doubled patience", () => {
    const waiting = after(online, sent(1, 10, 1_000));
    expect(expiresAt(waiting)).toBe(1_000 + ACK_TIMEOUT_MS);
    const expired = stepUpload(waiting, { kind: "expired" });
    expect(cursorOf(expired)).toBe(0);
    expect(expiresAt(stepUpload(expired, sent(2, 10, 50_000)))).toBe(50_000 + 2 * ACK_TIMEOUT_MS);
  });

  it("has room for a full window and no more, and for nothing while offline", () => {
    const full = after(online, ...Array.from({ length: WINDOW_BATCHES_MAX }, (_, n) => sent(n, n + 1)));
    expect(hasRoom(full)).toBe(false);
    expect(hasRoom(stepUpload(full, acked(0)))).toBe(true);
    expect(hasRoom(initialUploadState)).toBe(false);
  });

  it("counts a batch once, when it leaves the window, though it was acknowledged before it was given up", () => {
    const given = after(online, sent(1, 10), sent(2, 20), acked(2), { kind: "expired" }, sent(3, 10), sent(4, 20), acked(2), acked(4));
    expect(given).toMatchObject({ trimmed: 0, uploaded: 0, rejected: 0 });
    expect(stepUpload(given, acked(3))).toMatchObject({ trimmed: 20, uploaded: 10, rejected: 2 });
  });

  it("passes over a batch in which nothing could be sent", () => {
    expect(after(online, { kind: "sent", batch: 1, last: 5, at: 0, oversized: 3, acked: true })).toMatchObject({
      trimmed: 5,
      uploaded: 0,
      rejected: 3,
    });
  });

  it("never trims a position that was not acknowledged, whatever happens", () => {
    const inputs = array(
      oneof(constantFrom<UploadInput>(online, { kind: "disconnected" }, { kind: "expired" }, sent(0, 0)), nat({ max: 40 }).map(acked)),
      { maxLength: 120 },
    );
    assert(
      property(inputs, (given) => {
        let state: UploadState = initialUploadState;
        const confirmed = new Set<number>();
        const positions = new Map<number, number>();
        let batches = 0;
        for (const input of given) {
          const next = input.kind === "sent" ? sent(++batches, (cursorOf(state) ?? 0) + 1) : input;
          if (next.kind === "sent" && hasRoom(state)) positions.set(batches, next.last);
          if (next.kind === "sent" && !hasRoom(state)) continue;
          if (next.kind === "acked" && positions.has(next.batch)) confirmed.add(positions.get(next.batch) ?? 0);
          const before = state.trimmed;
          state = stepUpload(state, next);
          expect(state.trimmed).toBeGreaterThanOrEqual(before);
          for (let position = 1; position <= state.trimmed; position++) expect(confirmed).toContain(position);
          expect(cursorOf(state) ?? state.trimmed).toBeGreaterThanOrEqual(state.trimmed);
        }
      }),
    );
  });
});
