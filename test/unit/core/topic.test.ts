import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  coversFilter,
  parseTopicFilter,
  TOPIC_BYTES_MAX,
  TOPIC_LEVELS_MAX,
  topicParams,
  topicProblem,
  TopicTrie,
} from "../../../src/core/topic.ts";

/** MQTT 5, 4.7, word for word and slow. */
function matches(filter: string, topic: string): boolean {
  if (topic.startsWith("$") && /^[+#]/.test(filter)) return false;
  const [wanted, levels] = [filter.split("/"), topic.split("/")];
  for (const [index, level] of wanted.entries()) {
    if (level === "#") return true;
    if (index >= levels.length || (level !== "+" && level !== levels[index])) return false;
  }
  return wanted.length === levels.length;
}

function trieOf(...filters: readonly string[]): TopicTrie<string> {
  const trie = new TopicTrie<string>();
  for (const filter of filters) trie.add(parseTopicFilter(filter), filter);
  return trie;
}

const level = fc.constantFrom("", "a", "b", "$x", "ä", "constructor", "__proto__");
const topics = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join("/"));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant("+")), { maxLength: 4 }), fc.constantFrom("", "a", "+", "#"))
  .map(([levels, last]) => [...levels, last].join("/"))
  .filter((filter) => filter.length > 0);

describe("topic filters", () => {
  // Every example of sections 4.7.1 and 4.7.2.
  it.each([
    ["sport/tennis/player1/#", "sport/tennis/player1", true],
    ["sport/tennis/player1/#", "sport/tennis/player1/ranking", true],
    ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true],
    ["sport/#", "sport", true],
    ["#", "sport/tennis", true],
    ["sport/tennis/+", "sport/tennis/player1", true],
    ["sport/tennis/+", "sport/tennis/player2", true],
    ["sport/tennis/+", "sport/tennis/player1/ranking", false],
    ["sport/+", "sport", false],
    ["sport/+", "sport/", true],
    ["+", "sport", true],
    ["+/tennis/#", "sport/tennis/player1", true],
    ["sport/+/player1", "sport/tennis/player1", true],
    ["+/+", "/finance", true],
    ["/+", "/finance", true],
    ["+", "/finance", false],
    ["#", "$SYS/monitor/Clients", false],
    ["+/monitor/Clients", "$SYS/monitor/Clients", false],
    ["$SYS/#", "$SYS/monitor/Clients", true],
    ["$SYS/monitor/+", "$SYS/monitor/Clients", true],
    ["ACCOUNTS", "Accounts", false],
    ["a//b", "a//b", true],
    ["a/+/b", "a//b", true],
    ["a//b", "a/b", false],
  ])("%s and %s: %s", (filter, topic, expected) => {
    expect(trieOf(filter).match(topic).has(filter)).toBe(expected);
    expect(matches(filter, topic)).toBe(expected);
  });

  it("in a trie match what they match one by one", () => {
    fc.assert(
      fc.property(fc.array(filters, { maxLength: 12 }), topics, (many, topic) => {
        expect([...trieOf(...many).match(topic)].toSorted()).toEqual(
          [...new Set(many)].filter((filter) => matches(filter, topic)).toSorted(),
        );
      }),
      { numRuns: 500 },
    );
  });

  it("do not let a trie blow up on deep topics", () => {
    const deep = Array.from({ length: TOPIC_LEVELS_MAX - 1 }, () => "a").join("/");
    const trie = trieOf(
      ...Array.from({ length: 30 }, (_row, i) => Array.from({ length: 30 }, (_column, j) => (i === j ? "+" : "a")).join("/") + "/#"),
    );
    expect(trie.match(deep).size).toBe(30);
  });

  it("may name their wildcards", () => {
    const filter = parseTopicFilter("sensors/+site/+/+device_1/#");
    expect(filter.mqtt).toBe("sensors/+/+/+/#");
    expect(topicParams(filter, "sensors/milan/x/b-7/raw/1")).toEqual({ site: "milan", device_1: "b-7" });
    expect(topicParams(parseTopicFilter("+a/+b"), "/")).toEqual({ a: "", b: "" });
  });

  it("parse to what they are, whatever their names", () => {
    fc.assert(
      fc.property(filters, (source) => {
        let n = 0;
        const named = source.replaceAll("+", () => `+n${n++}`);
        expect(parseTopicFilter(named)).toMatchObject({ source: named, mqtt: source, levels: source.split("/") });
        expect(parseTopicFilter(named).names.size).toBe(n);
      }),
    );
  });

  it.each([
    ["", "it is empty"],
    ["a/#/b", '"#" in level 2 is not the last level'],
    ["sport/tennis#", 'level 2 "tennis#" mixes'],
    ["sport+", 'level 1 "sport+" mixes'],
    ["a/+1x", 'level 2 "+1x" mixes'],
    ["a/##", "mixes"],
    ["+a/+a", 'two wildcards are named "a"'],
    ["a\0", "NUL"],
    ["a/".repeat(TOPIC_LEVELS_MAX), "levels"],
    ["ä".repeat(TOPIC_BYTES_MAX), "longer"],
  ])("that are wrong are refused with the reason: %.20s", (source, reason) => {
    expect(() => parseTopicFilter(source)).toThrow(
      expect.objectContaining({ code: "TOPIC_FILTER_INVALID", message: expect.stringContaining(reason) }),
    );
  });

  it.each(["", "a/+", "a/#", "a\0b", "$SYS/x", "$", "ä".repeat(TOPIC_BYTES_MAX), "/".repeat(TOPIC_LEVELS_MAX)])(
    "are not topics to publish to: %.20s",
    (topic) => expect(topicProblem(topic)).toBeTypeOf("string"),
  );

  it.each(["a", "/", "a//b", "a/$b", "/".repeat(TOPIC_LEVELS_MAX - 1)])("such as %.20s are", (topic) => {
    expect(topicProblem(topic)).toBeUndefined();
  });
});

describe("a filter", () => {
  const texts = ["a", "b", "c", ""];
  /** "c" stands in no filter, so it shows what only a wildcard matches. */
  const all = [1, 2, 3, 4].flatMap((count) => product(Array.from({ length: count }, () => texts)).map((each) => each.join("/")));
  const filter = fc
    .tuple(fc.array(fc.constantFrom("a", "b", "+", "+x", ""), { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([some, rest]) => [...some.map((text, index) => (text === "+x" ? `+x${index}` : text)), ...(rest ? ["#"] : [])].join("/"))
    .filter((text) => text !== "");

  it("covers another when it matches every topic that the other matches", () => {
    fc.assert(
      fc.property(filter, filter, (one, other) => {
        const [its, others] = [parseTopicFilter(one), parseTopicFilter(other)];
        const isCovered = all.every((topic) => !matches(others.mqtt, topic) || matches(its.mqtt, topic));
        expect(coversFilter(its, others)).toBe(isCovered);
      }),
      { numRuns: 1_000 },
    );
  });

  it("that is # covers all", () => {
    for (const text of ["a", "+/b", "a/#", "#"]) expect(coversFilter(parseTopicFilter("#"), parseTopicFilter(text))).toBe(true);
  });
});

function product(lists: readonly (readonly string[])[]): string[][] {
  return lists.reduce<string[][]>((before, list) => before.flatMap((some) => list.map((each) => [...some, each])), [[]]);
}
