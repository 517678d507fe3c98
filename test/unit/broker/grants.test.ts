import { beforeEach, describe, expect, it } from "vitest";
import { Grants, type Subscribed } from "../../../src/broker/grants.ts";

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

it("has the answer for more topics than it remembers", () => {
  subscribe({ "+": { qos: 1 } });
  for (let index = 0; index < 3_000; index++) expect(grants.of(`t${index}`, false)).toMatchObject({ qos: 1 });
});
