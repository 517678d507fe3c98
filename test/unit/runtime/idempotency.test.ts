import { describe, expect, it } from "vitest";
import type { Message } from "../../../src/core/message.ts";
import { encodeMessage } from "../../../src/core/message.ts";
import { Idempotency, idempotencyKey, type MarkWrite } from "../../../src/runtime/idempotency.ts";
import type { Item } from "../../../src/runtime/item.ts";

function messageOf(text: string, more: Partial<Message> = {}): Message {
  return { topic: "t", payload: Buffer.from(text), qos: 1, retain: false, time: 1_000, source: "c", hops: 0, ...more };
}

function itemOf(seq: number, id: string, time = 1_000): Item {
  const message = { seq, topic: "t", time, hops: 0, record: encodeMessage(messageOf(JSON.stringify({ id }), { time })) };
  return {
    message,
    start: seq,
    trigger: 0,
    key: "t",
    keyBytes: Buffer.alloc(0),
    attempt: 1,
    resume: false,
    suspect: false,
    trial: "none",
    giveUp: "for good",
  };
}

function handle(idempotency: Idempotency, item: Item): MarkWrite[] {
  const writes: MarkWrite[] = [];
  expect(idempotency.admit(item)).toBe("handle");
  idempotency.done(item, writes);
  idempotency.release(item);
  return writes;
}

const settings = { key: "data.id", windowMs: 1_000, entries: 3 };

describe("the idempotency key of a message", () => {
  it.each<[string, string, Partial<Message>, string | undefined]>([
    ["data.id", '{"id":"a"}', {}, '"a"'],
    ["data.id", '{"id":1}', {}, "1"],
    ["data.id", '{"id":"1"}', {}, '"1"'],
    ["data.head.id", '{"head":{"id":true}}', {}, "true"],
    ["data.id", '{"id":{}}', {}, undefined],
    ["data.id", '{"id":null}', {}, undefined],
    ["data.id", "[]", {}, undefined],
    ["data.constructor", "{}", {}, undefined],
    ["data.id", "not JSON", {}, undefined],
    ["property:id", "", { properties: { user: { id: "x" } } }, '"x"'],
    ["property:id", "", { properties: { user: { id: ["x", "y"] } } }, '"x"'],
    ["property:id", "", { properties: { user: { other: "x" } } }, undefined],
    ["property:id", "", {}, undefined],
  ])("%s of %s", (setting, text, more, expected) => {
    expect(idempotencyKey(setting, messageOf(text, more))).toBe(expected);
  });
});

describe("a key that was handled", () => {
  it("makes a duplicate within the window, also when the clock was set back, and not after it", () => {
    const idempotency = new Idempotency(settings);
    handle(idempotency, itemOf(1, "a", 10_000));
    expect(idempotency.admit(itemOf(2, "a", 10_999))).toBe("duplicate");
    expect(idempotency.admit(itemOf(3, "a", 5))).toBe("duplicate");
    expect(idempotency.admit(itemOf(4, "a", 11_000))).toBe("handle");
  });

  it("is forgotten when it is too old or there are too many, and that is written down", () => {
    const idempotency = new Idempotency(settings);
    const written = ["a", "b", "c"].flatMap((id, index) => handle(idempotency, itemOf(index, id)));
    expect(written.every(({ time }) => time === 1_000)).toBe(true);
    const more = handle(idempotency, itemOf(4, "d"));
    expect(more.map(({ mark, time }) => [mark === written[0]?.mark, time])).toEqual([
      [false, 1_000],
      [true, undefined],
    ]);
    expect(handle(idempotency, itemOf(5, "e", 5_000)).filter(({ time }) => time === undefined)).toHaveLength(3);
  });

  it("comes back from what was kept", () => {
    const idempotency = new Idempotency(settings);
    const [mark] = handle(idempotency, itemOf(1, "a"));
    const again = new Idempotency(settings);
    again.load([{ mark: mark?.mark ?? "", time: 1_000, seq: 1 }]);
    expect(again.admit(itemOf(2, "a"))).toBe("duplicate");
    expect(new Idempotency({ ...settings, key: "data.other" }).admit(itemOf(2, "a"))).toBe("handle");
  });
});

describe("a key that is being handled", () => {
  it("makes others wait, and the same message go on", () => {
    const idempotency = new Idempotency(settings);
    const first = itemOf(1, "a");
    expect([idempotency.admit(first), idempotency.admit(itemOf(2, "a")), idempotency.admit(first)]).toEqual(["handle", "wait", "handle"]);
    const released = [idempotency.release(itemOf(2, "a")), idempotency.release(first), idempotency.release(first)];
    expect(released).toEqual([undefined, first.mark, undefined]);
    expect(first.mark).toBeTypeOf("string");
    expect(idempotency.admit(itemOf(2, "a"))).toBe("handle");
  });
});
