import * as fc from "fast-check";
import { expect, it } from "vitest";
import { answerOf } from "../../../src/runtime/host/guest-answer.ts";
import { type TestAnswer, testAnswer } from "../../../src/sdk/testing-answer.ts";

const text = fc.string({ unit: fc.constantFrom("a", "-", "\n", " ", "ä", "1") });
const headers = fc.dictionary(
  fc.oneof(text, fc.constantFrom("Content-Type", "content-length", "X-A")),
  fc.oneof(text, fc.array(text), fc.nat()),
);
const body = fc.oneof(
  text.map((each) => each.toWellFormed()),
  fc.jsonValue(),
  fc.constant(undefined),
  fc.uint8Array().map((bytes) => bytes.map((byte) => byte & 127)),
);
const status = fc.oneof(fc.integer({ min: 199, max: 600 }), fc.constantFrom(204, 304, undefined, "200", 200.5));
const returned = fc.oneof(
  fc.anything(),
  body,
  fc.record({ status, headers, body }, { requiredKeys: [] }),
  fc.record({ status: fc.constantFrom(200, 404), body, other: fc.constant(1) }, { requiredKeys: ["status"] }),
);

/** What becomes of a returned value, or that nothing does. */
function outcome<T>(work: () => T): T | "refused" {
  try {
    return work();
  } catch {
    return "refused";
  }
}

/** What the guest hands on, as the test kit shows it. */
function shown({ status: code, headers: list, body: bytes }: ReturnType<typeof answerOf>): TestAnswer {
  const joined = list.map(([name]): [string, string] => {
    const values = list.filter(([other]) => other === name);
    return [name, values.map(([, value]) => value).join(", ")];
  });
  return { status: code, headers: Object.fromEntries(joined), body: Buffer.from(bytes, "latin1").toString() };
}

it("the test kit answers as a gateway does", () => {
  fc.assert(
    fc.property(returned, (value) => {
      expect(outcome(() => testAnswer(value))).toEqual(outcome(() => shown(answerOf(value))));
    }),
    { numRuns: 1_000 },
  );
});
