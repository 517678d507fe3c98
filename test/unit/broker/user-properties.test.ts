import { generate } from "mqtt-packet";
import { describe, expect, it } from "vitest";
import { encodeInOrder, keepNames, namesInDisorder } from "../../../src/broker/user-properties.ts";

it.each([
  [[], false],
  [["a"], false],
  [["a", "b"], false],
  [["a", "a", "b"], false],
  [["b", "a", "b"], true],
  [["a", "1"], true],
  [["1", "2", "a"], false],
  [["__proto__", "a"], false],
])("of user properties called %j the order is lost by gathering them: %s", (names, isLost) => {
  expect(namesInDisorder(names) !== undefined).toBe(isLost);
});

function wire(part: string): Buffer {
  return Buffer.concat([Buffer.from([part.length >> 8, part.length & 255]), Buffer.from(part)]);
}

describe("a PUBLISH whose user properties are in another order", () => {
  it.each([0, 1, 2] as const)("is encoded as it came (QoS %i)", (qos) => {
    const properties = { contentType: "text", userProperties: { "1": "x".repeat(200), b: ["2", "4"], a: "3" } };
    const packet = { cmd: "publish", topic: "t/ü", payload: "payload", qos, dup: false, retain: true, messageId: 7, properties } as const;
    keepNames(packet, ["b", "a", "b", "1"]);
    const bytes = encodeInOrder(packet, (plain) => generate(plain, { protocolVersion: 5 }));
    const pairs = ["b", "2", "a", "3", "b", "4", "1", "x".repeat(200)];
    const expected = pairs.flatMap((part, at) => (at % 2 === 0 ? [Buffer.from([0x26]), wire(part)] : [wire(part)]));
    expect(bytes?.includes(Buffer.concat(expected))).toBe(true);
    // As long as one that has them by name, which the library encodes.
    const { userPropertyNames: _, ...named } = packet.properties as typeof properties & { userPropertyNames?: unknown };
    expect(bytes).toHaveLength(generate({ ...packet, properties: named }, { protocolVersion: 5 }).length);
    expect(bytes?.toString().endsWith("payload")).toBe(true);
  });

  it("and any other is left to the library", () => {
    expect(encodeInOrder({ properties: { userProperties: { a: "1" } } }, () => Buffer.alloc(0))).toBeUndefined();
    expect(encodeInOrder({}, () => Buffer.alloc(0))).toBeUndefined();
  });
});
