import { describe, expect, it } from "vitest";
import { encodeMessage } from "../../../src/core/message.ts";
import { parseTopicFilter } from "../../../src/core/topic.ts";
import { keyed, keyOf, type Routed, RouteTable, routingOf, type Trigger } from "../../../src/runtime/route.ts";

function triggers(owner: string, key: string | undefined, ...filters: readonly string[]): Trigger<string>[] {
  return filters.map((filter, index) => ({ owner, index, key, durable: true, filter: parseTopicFilter(filter) }));
}

const show = (table: RouteTable<string>, topic: string): string[] =>
  table
    .match(topic)
    .map(({ owner, index, key, keyBytes }) => `${owner} ${index} ${key} ${keyBytes.toString() || "-"}`)
    .toSorted();

function messageOf(topic: string, text = ""): Routed {
  return { topic, record: encodeMessage({ topic, payload: Buffer.from(text), qos: 1, retain: false, time: 1, source: "s", hops: 0 }) };
}

describe("routes", () => {
  it("say whether anything that they wake needs the message on disk", () => {
    const table = new RouteTable([
      ...triggers("f", undefined, "a/#").map((trigger) => ({ ...trigger, durable: false })),
      ...triggers("g", undefined, "a/b"),
    ]);
    expect(["a/b", "a/c", "b"].map((topic) => table.wakes(topic))).toEqual(["durable", "volatile", "none"]);
  });

  it("come back from their text and give the same keys", () => {
    const filters = ["a/+device/x", "b/+device"].map((source) => parseTopicFilter(source));
    const byDevice = keyOf(routingOf(filters, "device"));
    expect(["a/d1/x", "b/d2", "c"].map((topic) => byDevice(messageOf(topic)))).toEqual(["d1", "d2", undefined]);
    expect(keyOf(routingOf(filters, undefined))(messageOf("b/d2"))).toBe("b/d2");
    expect(keyOf(routingOf(filters, "data.id"))(messageOf("b/d2", '{"id":7}'))).toBe("7");
  });

  it("have the key that stands in the payload, or say why there is none", () => {
    const [route] = new RouteTable(triggers("f", "data.id", "a")).match("a");
    if (route === undefined) throw new Error("no route");
    expect(keyed(route, messageOf("a", '{"id":"x"}'))).toEqual({
      owner: "f",
      index: 0,
      durable: true,
      key: "x",
      keyBytes: Buffer.from("x"),
    });
    expect(keyed(route, messageOf("a", "{}"))).toMatchObject({ key: "", missing: "the payload has nothing under data.id" });
    const [plain] = new RouteTable(triggers("f", undefined, "a")).match("a");
    expect(plain === undefined ? undefined : keyed(plain, messageOf("a"))).toBe(plain);
  });

  it("wake each function once, through the first of its triggers that match, under its key", () => {
    const table = new RouteTable([
      ...triggers("f", "device", "a/+device/x", "a/+device/+", "a/+/+device"),
      ...triggers("g", undefined, "#"),
      ...triggers("h", "site", "b/+site"),
    ]);
    expect(show(table, "a/d1/x")).toEqual(["f 0 d1 d1", "g 0 a/d1/x -"]);
    expect(show(table, "a/d1/y")).toEqual(["f 1 d1 d1", "g 0 a/d1/y -"]);
    expect(show(table, "b/milan")).toEqual(["g 0 b/milan -", "h 0 milan milan"]);
    expect(show(table, "c")).toEqual(["g 0 c -"]);
  });

  it("use the topic as key where the wildcard is empty", () => {
    expect(show(new RouteTable(triggers("f", "k", "a/+k")), "a/")).toEqual(["f 0 a/ -"]);
  });

  it("are the same however many topics were asked for before", () => {
    const table = new RouteTable(triggers("f", "k", "in/+k"));
    const before = show(table, "in/x");
    for (let i = 0; i < 25_000; i++) table.match(`in/${i}`);
    expect(show(table, "in/x")).toEqual(before);
  });
});
