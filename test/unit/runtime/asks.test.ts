import { expect, it } from "vitest";
import { Asks } from "../../../src/runtime/host/asks.ts";

const keys = (count: number): string => JSON.stringify(Array.from({ length: count }, (_, i) => `k${i}`));

it.each([
  ["one key", ["a"]],
  ["keys with quotes and slashes", ['"', "\\", '\\"', '","', "]", "[", "\u0001", "é"]],
  ["a key that only looks like NUL", ["\\u0000", "\\\\u0000"]],
  ["an empty key, which stands for what is shared", ["a", ""]],
])("lets a question about state through: %s", (_what, list) => {
  expect(new Asks().state(JSON.stringify(list))).toBe(true);
});

it.each([
  ["no list", '{"a":1}'],
  ["an empty list", "[]"],
  ["lists in a list", `[${"[],".repeat(10)}[]]`],
  ["a list that does not end", '["a","b"'],
  ["a text that does not end", '["a'],
  ["a list with something else", '["a",1]'],
  ["something behind it", '["a"] '],
  ["nothing", ""],
  ["a key with NUL", '["a\\u0000b"]'],
  ["a code that is none", '["a\\u00g0"]'],
  ["an escape that is none", '["\\x41"]'],
  ["a line end in a text", '["a\nb"]'],
])("refuses what is no question about state: %s", (_what, text) => {
  const asks = new Asks();
  expect(asks.state(text)).toBe(false);
  expect(asks.areTooMany).toBe(true);
});

it("counts the keys of a batch over all questions, and anew in the next batch", () => {
  const asks = new Asks();
  expect(asks.state(keys(1_500))).toBe(true);
  expect(asks.state(keys(548))).toBe(true);
  expect(asks.state(keys(1))).toBe(false);
  asks.begin();
  expect(asks.state(keys(2_049))).toBe(false);
});
