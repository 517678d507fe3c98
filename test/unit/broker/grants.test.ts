import * as fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { Grants, type Subscribed } from "../../../src/broker/grants.ts";
import { TopicTrie } from "../../../src/core/topic.ts";

let subscriptions: Record<string, Subscribed>;
let changes: number;
let grants: Grants;

beforeEach(() => {
  subscriptions = {};
  changes = 0;
  grants = new Grants(
    () => subscriptions,
    () => changes,
  );
});

function subscribe(all: Record<string, Subscribed>): void {
  subscriptions = all;
  changes++;
}

it.each([
  ["a/b", "a/b", true],
  ["a/b", "a/+", true],
  ["a/b", "+/+", true],
  ["a/b", "#", true],
  ["a/b", "a/#", true],
  ["a", "a/#", true],
  ["a/", "a/+", true],
  ["a", "a/+", false],
  ["a/b/c", "a/+", false],
  ["a/b", "a", false],
  ["a", "a/b", false],
  ["b", "a/#", false],
  ["$SYS/a", "#", false],
  ["$SYS/a", "+/a", false],
  ["$SYS/a", "$SYS/#", true],
])("the topic %j and the filter %j", (topic, filter, expected) => {
  subscribe({ [filter]: { qos: 1 } });
  expect(grants.of(topic, false) !== undefined).toBe(expected);
});

describe("several subscriptions that match", () => {
  it("give the highest QoS, and what any of them asks for", () => {
    subscribe({ "a/+": { qos: 1, si: 5 }, "a/#": { qos: 2, rap: true, si: 7 }, "a/b": { qos: 0 }, other: { qos: 2, si: 9 } });
    expect(grants.of("a/b", false)).toEqual({ qos: 2, retained: true, identifiers: [5, 7] });
  });

  it("leave out those that want nothing of their own client's", () => {
    subscribe({ "a/+": { qos: 2, nl: true }, "a/#": { qos: 1 } });
    expect(grants.of("a/b", true)).toEqual({ qos: 1, retained: false, identifiers: undefined });
    subscribe({ "a/+": { qos: 2, nl: true } });
    expect(grants.of("a/b", true)).toBeUndefined();
    expect(grants.of("a/b", false)).toMatchObject({ qos: 2 });
  });
});

it("follows changes of the subscriptions", () => {
  subscribe({ a: { qos: 0 } });
  expect(grants.of("a", false)).toMatchObject({ qos: 0 });
  subscribe({ a: { qos: 2, si: 1 } });
  expect(grants.of("a", false)).toEqual({ qos: 2, retained: false, identifiers: 1 });
  subscribe({});
  expect(grants.of("a", false)).toBeUndefined();
});

it("has the answer for more topics than it remembers, with few subscriptions and with many", () => {
  for (const others of [[], ["a", "b", "c", "d", "e"]]) {
    subscribe({ "+": { qos: 1 }, ...Object.fromEntries(others.map((filter) => [filter, { qos: 2 }])) });
    for (const qos of [1, 1]) for (let index = 0; index < 3_000; index++) expect(grants.of(`t${index}`, false)).toMatchObject({ qos });
  }
});

it("remembers of a topic also that the client gets nothing of it", () => {
  subscribe(Object.fromEntries(["a", "b", "c", "d", "e", "f"].map((filter) => [filter, { qos: 1, nl: true }])));
  for (let turn = 0; turn < 3; turn++) {
    expect([grants.of("a", true), grants.of("g", false)]).toEqual([undefined, undefined]);
    expect(grants.of("a", false)).toMatchObject({ qos: 1 });
  }
});

const level = fc.constantFrom("a", "b", "ab", "", "$x");
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join("/"));
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant("+")), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest ? ["#"] : [])].join("/"));

it("matches as the index of all subscriptions does", () => {
  const check = fc.property(
    fc.uniqueArray(filter, { minLength: 1, maxLength: 7 }),
    fc.array(topic, { minLength: 1 }),
    (filters, topics) => {
      const trie = new TopicTrie<number>();
      for (const [index, text] of filters.entries()) trie.add({ levels: text.split("/") }, index);
      subscribe(Object.fromEntries(filters.map((text, si) => [text, { qos: 1, si }])));
      for (const each of topics) {
        const identifiers = grants.of(each, false)?.identifiers ?? [];
        expect(new Set([identifiers].flat())).toEqual(trie.match(each));
      }
    },
  );
  fc.assert(check, { numRuns: 500 });
});
