import { expect, it } from "vitest";
import { TopicMemory } from "../../../src/core/topic-memory.ts";

function known(memory: TopicMemory<object>, of: readonly string[]): number {
  return of.filter((topic) => memory.get(topic) !== undefined).length;
}

function topics(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `t/${index}`);
}

it("remembers as many topics as it says, however often they are used in turn", () => {
  const memory = new TopicMemory<object>(100);
  const all = topics(100);
  for (const topic of all) memory.set(topic, { topic });
  for (let turn = 0; turn < 5; turn++) expect(known(memory, all)).toBe(100);
  expect(memory.get("t/7")).toEqual({ topic: "t/7" });
});

it("forgets those first that were not asked for longest, and never has more than twice as many", () => {
  const memory = new TopicMemory<object>(100);
  for (const topic of topics(1_000)) {
    memory.set(topic, { topic });
    expect(memory.get("t/0")).toBeDefined();
  }
  const left = known(memory, topics(1_000));
  expect(left).toBeGreaterThanOrEqual(100);
  expect(left).toBeLessThanOrEqual(200);
  expect(memory.get("t/999")).toBeDefined();
  expect(memory.get("t/1")).toBeUndefined();
});

it("does not keep long names", () => {
  const memory = new TopicMemory<object>();
  const long = "x".repeat(257);
  memory.set(long, {});
  memory.set(long.slice(1), {});
  expect([memory.get(long), memory.get(long.slice(1))]).toEqual([undefined, {}]);
});

it("forgets everything when what it was told counts no more", () => {
  const memory = new TopicMemory<boolean>(1);
  memory.set("a", true);
  memory.set("b", false);
  memory.clear();
  expect([memory.get("a"), memory.get("b")]).toEqual([undefined, undefined]);
});
