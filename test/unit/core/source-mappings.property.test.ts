import { SourceMap as NodeSourceMap } from "node:module";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { SourceMap } from "../../../src/core/source-map.ts";

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SOURCES = ["index.ts", "lib/a.ts", "lib/b.ts"];

function vlq(value: number): string {
  let left = value < 0 ? -value * 2 + 1 : value * 2;
  let text = "";
  do {
    const bits = left % 32;
    left = Math.floor(left / 32);
    text += DIGITS[left > 0 ? bits + 32 : bits];
  } while (left > 0);
  return text;
}

interface Segment {
  /** Columns behind the segment before it on its line. */
  readonly step: number;
  readonly to?: { readonly source: number; readonly line: number; readonly column: number; readonly isNamed: boolean };
}

const segments = fc.record(
  {
    step: fc.integer({ min: 1, max: 200 }),
    to: fc.record({ source: fc.nat(SOURCES.length - 1), line: fc.nat(5_000), column: fc.nat(300), isNamed: fc.boolean() }),
  },
  { requiredKeys: ["step"] },
);

function mappingsOf(lines: readonly (readonly Segment[])[]): string {
  let last = { source: 0, line: 0, column: 0 };
  const text = (segment: Segment, isFirst: boolean): string => {
    const { step, to } = segment;
    const head = vlq(isFirst ? step - 1 : step);
    if (to === undefined) return head;
    const rest = vlq(to.source - last.source) + vlq(to.line - last.line) + vlq(to.column - last.column);
    last = to;
    return head + rest + (to.isNamed ? vlq(0) : "");
  };
  return lines.map((line) => line.map((segment, index) => text(segment, index === 0)).join(",")).join(";");
}

function byNode(map: NodeSourceMap, line: number, column: number): unknown {
  const entry = map.findEntry(line - 1, column - 1);
  if (!("originalSource" in entry) || entry.generatedLine !== line - 1 || entry.originalSource === undefined) return undefined;
  return { source: entry.originalSource, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
}

it("finds what Node finds, on a few lines and on thousands", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(segments, { maxLength: 60 }), { maxLength: 40 }),
      fc.nat(40),
      fc.array(fc.tuple(fc.nat(1_700), fc.nat(4_000)), { minLength: 20, maxLength: 20 }),
      (some, times, places) => {
        const mappings = mappingsOf(Array.from({ length: times + 1 }, () => some).flat());
        const map = new SourceMap(SOURCES, mappings);
        const other = new NodeSourceMap({
          file: "",
          version: 3,
          sources: SOURCES,
          names: ["x"],
          mappings,
          sourcesContent: [],
          sourceRoot: "",
        });
        for (const [line, column] of places) {
          expect(map.original(line + 1, column + 1)).toEqual(byNode(other, line + 1, column + 1));
        }
      },
    ),
    { numRuns: 60 },
  );
});

it.each([
  ["a character that is no base64", "AAAA,A!AA"],
  ["a number without an end", "AAAA,gggg"],
  ["a number beyond 32 bits", "AAAA,gggggggggA"],
  ["two fields", "AA"],
  ["six fields", "AAAAAA"],
  ["a source that there is not", "AGAA"],
  ["a line before the first", "AADA"],
  ["a column before the first", "DAAA"],
])("refuses mappings with %s", (_, mappings) => {
  expect(() => new SourceMap(SOURCES, mappings)).toThrow(RangeError);
});
