import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Outcome } from "../../../src/runtime/lane-owner.ts";
import { unitsOf } from "../../../src/runtime/unit.ts";

/** `d`one, `j`oined, `r`etry or `w`aiting. */
const KINDS: readonly string[] = ["d", "j", "r", "w"];
const kinds = fc.array(fc.constantFrom(...KINDS), { maxLength: 30 });

/** As far as units go by it. */
function outcomeOf(kind: string): Outcome {
  const results = [{ status: "done" }, { status: "done", joined: true }, { status: "retry" }, { status: "deferred" }];
  return { result: results[KINDS.indexOf(kind)], dead: false } as unknown as Outcome;
}

describe("units of outcomes", () => {
  it("keep all of them, in order, and what is joined with the next that is done", () => {
    fc.assert(
      fc.property(kinds, (list) => {
        const outcomes = list.map(outcomeOf);
        const units = unitsOf(outcomes);
        expect(units.flatMap((unit) => unit.outcomes)).toEqual(outcomes);
        const expected = [...list.join("").matchAll(/j[^d]*(?:d|$)|[^j]/g)].map(([text]) => text);
        expect(units.map((unit) => unit.outcomes.length)).toEqual(expected.map((text) => text.length));
        expect(units.map(({ isBroken }) => isBroken)).toEqual(expected.map((text) => /^j[^d]*$/.test(text)));
      }),
    );
  });
});
