import { expect, it } from "vitest";
import { stateAnswer } from "../../../src/runtime/state-answer.ts";

const MB = 1024 * 1024;

/** An answer to these keys, with the length of what it has of each. */
async function answered(sizes: Readonly<Record<string, number>>, asked: string[] = []): Promise<Record<string, number | null>> {
  const answer = JSON.parse(
    await stateAnswer(Object.keys(sizes), (key) => {
      asked.push(key);
      const size = sizes[key] ?? 0;
      return Promise.resolve(size === 0 ? [] : [{ name: "n", value: Buffer.alloc(size, "1") }]);
    }),
  ) as Record<string, [string, string][] | null>;
  return Object.fromEntries(Object.entries(answer).map(([key, entries]) => [key, entries === null ? null : (entries[0]?.[1].length ?? 0)]));
}

it("an answer has every key that has something", async () => {
  expect(await answered({ a: 3, nothing: 0, __proto__x: 5 })).toEqual({ a: 3, __proto__x: 5 });
});

it("a key that is too large for every answer is in it when it comes first", async () => {
  expect(await answered({ a: 9 * MB, b: 1 })).toEqual({ a: 9 * MB, b: null });
});

it("what does not fit is null, also when there is nothing", async () => {
  expect(await answered({ a: 3 * MB, b: 3 * MB, c: 3 * MB, d: 0 })).toEqual({ a: 3 * MB, b: 3 * MB, c: null, d: null });
});

it("no more is read than a few keys beyond what fits", async () => {
  const asked: string[] = [];
  const sizes = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, MB / 2]));
  const found = Object.values(await answered(sizes, asked));
  expect(found.filter((size) => size !== null)).toHaveLength(8);
  expect(found).toHaveLength(200);
  expect(asked.length).toBeLessThanOrEqual(32);
});
