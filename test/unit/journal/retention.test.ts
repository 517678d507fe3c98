import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expired, floorForBytes, type Segment, segmentOfTime } from "../../../src/journal/retention.ts";

/** A segment as a person would describe it: its messages, each with a time, and its bytes. */
interface Stretch {
  readonly times: readonly number[];
  readonly bytes: number;
}

const stretches = fc.array(
  fc.record({ times: fc.array(fc.nat(50), { minLength: 1, maxLength: 4 }), bytes: fc.integer({ min: 1, max: 20 }) }),
  { minLength: 1, maxLength: 12 },
);

interface Journal {
  readonly segments: Segment[];
  /** All messages: their seqs, times and the segment they are in. */
  readonly messages: { readonly seq: number; readonly time: number; readonly segment: number }[];
  readonly end: number;
  readonly latest: number;
}

/** Seqs have gaps, as volatile messages leave them. */
function journalOf(all: readonly Stretch[]): Journal {
  const segments: Segment[] = [];
  const messages: Journal["messages"] = [];
  let [seq, end, latest] = [1, 1_000, 0];
  all.forEach(({ times, bytes }, segment) => {
    segments.push({ first: seq, bytes: end, latest, time: times[0] ?? 0 });
    for (const time of times) {
      messages.push({ seq, time, segment });
      seq += 1 + (time % 3);
      latest = Math.max(latest, time);
    }
    end += bytes;
  });
  return { segments, messages, end, latest };
}

describe("what retention deletes", () => {
  it("is exactly what is consumed and either too old or too much, in whole segments, never the last", () => {
    fc.assert(
      fc.property(stretches, fc.nat(60), fc.nat(60), fc.nat(200), (all, consumed, notAfter, bytes) => {
        const { segments, messages } = journalOf(all);
        const count = expired(segments, { consumed, notAfter, bytes });
        const bytesOf = (from: number, to: number): number => all.slice(from, to).reduce((sum, each) => sum + each.bytes, 0);
        // A floor in the gap behind a segment may still be on its way over volatile messages.
        const isConsumed = (segment: number): boolean => messages.every((each) => each.segment > segment || each.seq < consumed);
        const isPassed = (segment: number): boolean => (messages.find((each) => each.segment > segment)?.seq ?? Infinity) <= consumed;
        // From the front, without gaps: the first segment that waits ends what may go.
        const waits = all.findIndex((_, segment) => segment === all.length - 1 || !isPassed(segment));

        expect(count).toBeLessThanOrEqual(waits);
        // What went had to go.
        for (let segment = 0; segment < count; segment++) {
          const tooOld = messages.every((each) => each.segment > segment || each.time <= notAfter);
          expect(isConsumed(segment) && (tooOld || bytesOf(segment, waits) > bytes)).toBe(true);
        }
        // What stayed may stay.
        const young = messages.some((each) => each.segment <= count && each.time > notAfter);
        expect(count === waits || (young && bytesOf(count, waits) <= bytes)).toBe(true);
      }),
    );
  });
});

describe("the floor for a number of bytes", () => {
  it("is the lowest beginning of a segment from which on no more than these are there", () => {
    fc.assert(
      fc.property(stretches, fc.nat(200), (all, bytes) => {
        const { segments, end } = journalOf(all);
        const floor = floorForBytes(segments, end, bytes);
        const at = segments.findIndex(({ first }) => first === floor);
        const left = (from: number): number => all.slice(from).reduce((sum, each) => sum + each.bytes, 0);
        expect(at === segments.length - 1 || left(at) <= bytes).toBe(true);
        expect(at === 0 || left(at - 1) > bytes).toBe(true);
      }),
    );
  });
});

describe("the segment of a time", () => {
  it("has the first message that arrived then or later, whatever the clock did", () => {
    fc.assert(
      fc.property(stretches, fc.nat(60), (all, timeMs) => {
        const { segments, messages, latest } = journalOf(all);
        const first = messages.find(({ time }) => time >= timeMs);
        expect(segmentOfTime(segments, latest, timeMs)).toBe(first === undefined ? undefined : segments[first.segment]);
      }),
    );
  });
});
