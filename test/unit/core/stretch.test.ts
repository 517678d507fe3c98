import { describe, expect, it } from "vitest";
import { parsePosition, Stretch } from "../../../src/core/stretch.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");

describe("a position", () => {
  it.each([
    ["0", { seq: 0 }],
    ["1200", { seq: 1200 }],
    ["-1h", { time: NOW - 3_600_000 }],
    ["-90s", { time: NOW - 90_000 }],
    ["-9999999d", { time: 0 }],
    ["2026-11-20T08:00:00Z", { time: Date.parse("2026-11-20T08:00:00Z") }],
    ["2026-11-20T08:00:00.25+02:00", { time: Date.parse("2026-11-20T06:00:00.250Z") }],
  ])("%s is understood", (text, position) => expect(parsePosition(text, NOW)).toEqual(position));

  it.each(["", "1h", "-1", "-1y", "1.5", "yesterday", "2026-11-20", "2026-02-30T00:00:00Z", "2026-11-20T08:00:00", "99999999999999999"])(
    "%s is not",
    (text) => expect(parsePosition(text, NOW)).toBeUndefined(),
  );
});

/** The seqs of a journal whose messages have these times that belong to the stretch. */
function wanted(stretch: Stretch, times: readonly number[], topic = "a"): number[] {
  const seqs: number[] = [];
  for (const [index, time] of times.entries()) {
    const place = stretch.place({ seq: index + 1, time, topic });
    if (place === "over") break;
    if (place === "wanted") seqs.push(index + 1);
  }
  return seqs;
}

describe("a stretch", () => {
  it("has its beginning in it and its end not", () => {
    expect(wanted(new Stretch({ from: { seq: 2 }, to: { seq: 4 } }), [10, 20, 30, 40])).toEqual([2, 3]);
    expect(wanted(new Stretch({ from: { time: 20 }, to: { time: 40 } }), [10, 20, 30, 40])).toEqual([2, 3]);
    expect(wanted(new Stretch({}), [10, 20])).toEqual([1, 2]);
  });

  it("stays in one piece when the clock was set back", () => {
    expect(wanted(new Stretch({ from: { time: 20 }, to: { time: 40 } }), [10, 20, 5, 6, 30, 40, 25])).toEqual([2, 3, 4, 5]);
  });

  it("leaves out what the filter does not match, also the message that begins it", () => {
    const stretch = new Stretch({ from: { seq: 1 }, topic: "b/+x" });
    expect(stretch.place({ seq: 1, time: 0, topic: "a" })).toBe("skipped");
    expect(stretch.begun).toBe(true);
    expect(stretch.place({ seq: 2, time: 0, topic: "b/1" })).toBe("wanted");
    expect(() => new Stretch({ topic: "a/#/b" })).toThrow(/last level/);
  });
});
