import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeMessage, type JournaledMessage } from "../../../src/core/message.ts";
import { decodeBlock, encodeBlock, endOfBlock } from "../../../src/journal/block.ts";

const messages = fc
  .array(fc.record({ topic: fc.string({ minLength: 1 }), payload: fc.uint8Array({ maxLength: 400 }), volatile: fc.boolean() }), {
    maxLength: 20,
  })
  .map((all) =>
    all.map(({ topic, payload, volatile }, index): JournaledMessage => {
      const record = encodeMessage({ topic, payload, qos: 1, retain: false, time: 5_000 + index, source: "s", hops: index });
      const message = { seq: 1_000 + index, topic, time: 5_000 + index, hops: index, record };
      return volatile ? { ...message, volatile } : message;
    }),
  );

const ofPayload = (payload: Uint8Array): JournaledMessage[] =>
  Array.from({ length: 20 }, (_, index) => {
    const record = encodeMessage({ topic: "t", payload, qos: 1, retain: false, time: 5, source: "s", hops: 0 });
    return { seq: index + 1, topic: "t", time: 5, hops: 0, record };
  });

const size = (all: readonly JournaledMessage[], compression: "none" | "zstd"): number => encodeBlock(all, compression)?.value.length ?? 0;

describe("a block", () => {
  it.each(["none", "zstd"] as const)("with compression %s gives back every message that is not volatile, under its seq", (compression) => {
    fc.assert(
      fc.property(messages, (all) => {
        const durable = all.filter((message) => message.volatile !== true);
        const block = encodeBlock(all, compression);
        const found = block === undefined ? [] : decodeBlock(block.first, block.value);
        expect(found.map((each) => ({ ...each, record: Buffer.from(each.record) }))).toEqual(durable);
        expect(block && endOfBlock(block.first, block.value)).toBe(durable.length === 0 ? undefined : (durable.at(-1)?.seq ?? 0) + 1);
      }),
    );
  });

  it("is smaller with compression when that brings something, and as it is otherwise", () => {
    const readings = ofPayload(Buffer.from('{"n":"sensor-0001","u":"Cel","v":21.53}'));
    expect(size(readings, "zstd")).toBeLessThan(size(readings, "none") / 4);
    expect(size(readings.slice(0, 2), "zstd")).toBe(size(readings.slice(0, 2), "none"));
  });

  it("that is none is told apart", () => {
    expect(() => decodeBlock(1, Buffer.from([0xf0, 1, 2]))).toThrow(/unknown mark/);
    expect(() => decodeBlock(1, Buffer.from([0x82, 1, 2, 3]))).toThrow(/prefix|unknown|header/i);
    expect(() => decodeBlock(1, Buffer.from([0, 0, 1, 0, 5]))).toThrow(RangeError);
  });
});
