import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Entry, firstMatch, gapOf } from "../../../../src/broker/access/coverage.ts";
import { Permit } from "../../../../src/broker/access/permit.ts";
import { compilePermissions } from "../../../../src/core/manifest.ts";
import { topicProblem, TopicTrie } from "../../../../src/core/topic.ts";

const NAMES = ["a", "b", "", "$s"];
const DEPTH_MAX = 5;

/** Every topic of at most five levels with these names and one that no filter has. */
const TOPICS: readonly string[] = (() => {
  const all: string[] = [];
  const grow = (levels: readonly string[]): void => {
    if (levels.length > 0 && levels.join("/") !== "") all.push(levels.join("/"));
    if (levels.length < DEPTH_MAX) for (const name of [...NAMES, "other"]) grow([...levels, name]);
  };
  grow([]);
  return all;
})();

const level = fc.constantFrom(...NAMES, "+");
const filter = fc
  .tuple(fc.array(level, { minLength: 0, maxLength: 3 }), fc.boolean())
  .map(([levels, hash]) => [...levels, ...(hash ? ["#"] : [])])
  .filter((levels) => levels.length > 0 && levels.join("/") !== "");
const entries = fc.array(fc.record({ levels: filter, allow: fc.boolean() }), { maxLength: 6 });

/** What the rest of the broker goes by. */
function trieMatches(levels: readonly string[], topic: string): boolean {
  const trie = new TopicTrie<true>();
  trie.add({ levels }, true);
  return trie.match(topic).size > 0;
}

function isAllowed(all: readonly Entry[], topic: string): boolean {
  return all.find(({ levels }) => trieMatches(levels, topic))?.allow === true;
}

function allow(text: string): Entry {
  return { levels: text.split("/"), allow: true };
}

describe("firstMatch", () => {
  it("finds what the broker's own matcher finds", () => {
    fc.assert(
      fc.property(entries, fc.constantFrom(...TOPICS), (all, topic) => {
        expect(firstMatch(all, topic)).toBe(all.find(({ levels }) => trieMatches(levels, topic)));
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("permissions.publish of a function", () => {
  it("allow what a rule with the same filters allows to a client", () => {
    const filters = fc.array(filter, { maxLength: 6 });
    fc.assert(
      fc.property(filters, fc.constantFrom(...TOPICS), (all, topic) => {
        const publish = all.map((levels) => levels.join("/")).filter((text) => !text.startsWith("$"));
        const permissions = compilePermissions({ publish, emit: [] });
        const rule = { where: "", who: undefined, allow: { publish }, deny: {} };
        const permit = new Permit({ user: undefined, groups: [], client: "c", address: undefined }, [rule], false);
        const isTopic = topicProblem(topic) === undefined;
        expect(permissions.mayPublish(topic)).toBe(isTopic && permit.mayPublish(topic, false));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("gapOf", () => {
  it("allows a filter when every topic that it matches is allowed, and only then", () => {
    fc.assert(
      fc.property(filter, entries, (asked, all) => {
        // Five levels are more than any filter here has, so longer topics bring nothing new.
        const matching = TOPICS.filter((topic) => trieMatches(asked, topic));
        const gap = gapOf(asked.join("/"), all);
        expect(gap === undefined).toBe(matching.every((topic) => isAllowed(all, topic)));
        if (gap === undefined) return;
        expect(trieMatches(asked, gap.topic)).toBe(true);
        expect(isAllowed(all, gap.topic)).toBe(false);
        expect(gap.entry).toBe(firstMatch(all, gap.topic));
      }),
      { numRuns: 400 },
    );
  });

  it("sees that several filters together cover one", () => {
    expect(gapOf("a/#", [allow("a"), allow("a/+"), allow("a/+/+/#")])).toBeUndefined();
    expect(gapOf("a/#", [allow("a/+/#")])).toMatchObject({ topic: "a", entry: undefined });
  });

  it("ends for filters that are made to be hard", () => {
    const hard = Array.from({ length: 60 }, (_, index) => ({
      levels: Array.from({ length: 30 }, (_level, at) => ((index >> (at % 6)) & 1 ? "a" : "+")),
      allow: true,
    }));
    expect(gapOf("+/".repeat(29).concat("+"), hard.slice(1))).toBeDefined();
  });
});
