import { describe, expect, it } from "vitest";
import { ProtocolError } from "../../../src/broker/wire-reader.ts";
import { checkPacket } from "../../../src/broker/wire-rules.ts";

type Part = number | string | readonly number[];

/** The bytes of a packet: its first byte, and what comes behind the fixed header. */
function packet(first: number, ...parts: readonly Part[]): { bytes: Buffer; bodyAt: number } {
  const body = Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.from([part]) : Buffer.from(part as string))));
  return { bytes: Buffer.concat([Buffer.from([first, body.length]), body]), bodyAt: 2 };
}

/** The reason code and the message of what is wrong with it; undefined when nothing is. */
function wrong(version: number | undefined, first: number, ...parts: readonly Part[]): string | undefined {
  const { bytes, bodyAt } = packet(first, ...parts);
  try {
    checkPacket(bytes, { start: 0, bodyAt, end: bytes.length }, version);
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return `${error.reasonCode.toString(16)} ${error.message}`;
    throw error;
  }
}

function connect(version: number, flags: number, ...rest: readonly Part[]): string | undefined {
  return wrong(undefined, 0x10, [0, 4], "MQTT", version, flags, [0, 0], ...rest);
}

const ID = [0, 2, 97, 98];
const NOT_UTF8 = [0, 2, 0xc3, 0x28];
const SURROGATE = [0, 3, 0xed, 0xa0, 0x80];

describe("a CONNECT", () => {
  it.each([
    ["of version 3.1.1", connect(4, 2, ID)],
    ["of version 3.1", wrong(undefined, 0x10, [0, 6], "MQIsdp", 3, 2, [0, 0], ID)],
    ["of a bridge", connect(132, 2, ID)],
    ["of version 5 with properties", connect(5, 2, 5, [0x11, 0, 0, 0, 9], ID)],
    ["with everything", connect(4, 0xf6, ID, [0, 1, 116], [0, 1, 112], [0, 1, 117], [0, 1, 119])],
    ["of version 5 with a password alone", connect(5, 66, 0, ID, [0, 1, 119])],
  ])("%s is right", (_, problem) => expect(problem).toBeUndefined());

  it.each([
    ["another protocol", wrong(undefined, 0x10, [0, 4], "MQTX", 4, 2, [0, 0], ID), "82 the protocol is not MQTT"],
    ["a version that is not there", connect(6, 2, ID), "84 version 6 of MQTT is not supported"],
    ["flags of the fixed header", wrong(undefined, 0x11, [0, 4], "MQTT", 4, 2, [0, 0], ID), "81 reserved flags"],
    ["the reserved flag", connect(4, 3, ID), "81 the reserved flag"],
    ["a will of QoS 3", connect(4, 30, ID, [0, 1, 116], [0, 0]), "81 the will has QoS 3"],
    ["a QoS for no will", connect(4, 10, ID), "81 there is no will"],
    ["a retain for no will", connect(4, 34, ID), "81 there is no will"],
    ["a password without a user", connect(4, 66, ID, [0, 1, 119]), "81 there is a password"],
    ["a will for a wildcard", connect(4, 6, ID, [0, 1, 35], [0, 0]), "90 the topic cannot be published to"],
    ["a client id that is not UTF-8", connect(4, 2, NOT_UTF8), "81 the client id is not UTF-8"],
    ["a client id with U+0000", connect(4, 2, [0, 2, 97, 0]), "81 the client id contains U+0000"],
    ["Receive Maximum 0", connect(5, 2, 3, [0x21, 0, 0], ID), "82 Receive Maximum must not be 0"],
    ["Maximum Packet Size 0", connect(5, 2, 5, [0x27, 0, 0, 0, 0], ID), "82 Maximum Packet Size must not be 0"],
    ["a property twice", connect(5, 2, 6, [0x21, 0, 9, 0x21, 0, 9], ID), "82 the property Receive Maximum comes twice"],
    ["a property of another packet", connect(5, 2, 3, [0x23, 0, 5], ID), "81 the property Topic Alias does not belong"],
    ["a property that is not there", connect(5, 2, 2, [0x7e, 1], ID), "81 there is no property 126"],
    ["a flag that is 2", connect(5, 2, 2, [0x17, 2], ID), "82 Request Problem Information must be 0 or 1"],
    ["properties beyond its end", connect(5, 2, 60, ID), "81 a field reaches beyond"],
    ["bytes behind the last field", connect(4, 2, ID, 0), "81 there are bytes behind"],
    ["a field that is cut short", connect(4, 2, [0, 9, 97]), "81 a field reaches beyond"],
  ])("with %s is wrong", (_, problem, expected) => expect(problem).toContain(expected));
});

describe.each([4, 5])("in version %i", (version) => {
  const none: readonly number[] = version === 5 ? [0] : [];
  const badFilter = (filter: string): string | undefined => wrong(version, 0x82, [0, 5], none, [0, filter.length], filter, 0);

  it.each([
    ["PUBLISH of QoS 0", wrong(version, 0x30, [0, 1, 97], none, "x")],
    ["PUBLISH of QoS 2 with DUP and retain", wrong(version, 0x3d, [0, 1, 97, 0, 1], none)],
    ["SUBSCRIBE", wrong(version, 0x82, [0, 5], none, [0, 3], "+/#", 1, [0, 1, 97], 2)],
    ["UNSUBSCRIBE", wrong(version, 0xa2, [0, 5], none, [0, 1, 97])],
    ["PUBACK", wrong(version, 0x40, [0, 5])],
    ["PUBREL", wrong(version, 0x62, [0, 5])],
    ["PINGREQ", wrong(version, 0xc0)],
    ["DISCONNECT", wrong(version, 0xe0)],
  ])("%s is right", (_, problem) => expect(problem).toBeUndefined());

  it.each([
    ["PUBLISH of QoS 3", wrong(version, 0x36, [0, 1, 97, 0, 1], none), "81 the message has QoS 3"],
    ["PUBLISH of QoS 0 with DUP", wrong(version, 0x38, [0, 1, 97], none), "81 a message of QoS 0 has DUP set"],
    ["PUBLISH with packet id 0", wrong(version, 0x32, [0, 1, 97, 0, 0], none), "81 the packet id is 0"],
    ["PUBLISH without a topic", wrong(version, 0x30, [0, 0], none, "x"), "82 there is neither a topic nor an alias"],
    ["PUBLISH to a wildcard", wrong(version, 0x30, [0, 3], "a/+", none), "90 the topic cannot be published to"],
    ["PUBLISH to what is not UTF-8", wrong(version, 0x30, NOT_UTF8, none), "81 the topic is not UTF-8"],
    ["PUBLISH to a surrogate", wrong(version, 0x30, SURROGATE, none), "81 the topic is not UTF-8"],
    ["SUBSCRIBE with other flags", wrong(version, 0x80, [0, 5], none, [0, 1, 97], 0), "81 reserved flags"],
    ["SUBSCRIBE with packet id 0", wrong(version, 0x82, [0, 0], none, [0, 1, 97], 0), "81 the packet id is 0"],
    ["SUBSCRIBE without a filter", wrong(version, 0x82, [0, 5], none), "82 SUBSCRIBE has no filter"],
    ["SUBSCRIBE of QoS 3", wrong(version, 0x82, [0, 5], none, [0, 1, 97], 3), "81 a subscription has QoS 3"],
    ["SUBSCRIBE with reserved bits", wrong(version, 0x82, [0, 5], none, [0, 1, 97], 0x40), "81 reserved bits"],
    ["SUBSCRIBE to what is not UTF-8", wrong(version, 0x82, [0, 5], none, NOT_UTF8, 0), "81 a topic filter is not UTF-8"],
    ["UNSUBSCRIBE without a filter", wrong(version, 0xa2, [0, 5], none), "82 UNSUBSCRIBE has no filter"],
    ["PUBREL with other flags", wrong(version, 0x60, [0, 5]), "81 reserved flags"],
    ["PUBACK with packet id 0", wrong(version, 0x40, [0, 0]), "81 the packet id is 0"],
    ["PUBACK that is cut short", wrong(version, 0x40, 0), "81 a field reaches beyond"],
    ["PINGREQ with something in it", wrong(version, 0xc0, 0), "81 there are bytes behind"],
    ["DISCONNECT with flags", wrong(version, 0xe1), "81 reserved flags"],
    ["CONNACK", wrong(version, 0x20, [0, 0]), "82 a client sends no packet of type 2"],
    ["SUBACK", wrong(version, 0x90, [0, 1, 0]), "82 a client sends no packet of type 9"],
    ["a packet of type 0", wrong(version, 0x00), "82 a client sends no packet of type 0"],
  ])("%s is wrong", (_, problem, expected) => expect(problem).toContain(expected));

  it.each(["", "a/#/b", "a+", "#a", "+a/b", "$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/g/a#"])(
    "the filter %j is none",
    (filter) => expect(badFilter(filter)).toContain("8f"),
  );

  it.each(["a", "/", "+", "#", "a/+/b/#", "$SYS/#", "$share/g/a/+", "+/+"])("the filter %j is one", (filter) =>
    expect(badFilter(filter)).toBeUndefined(),
  );
});

it.each([
  ["PUBLISH with alias 0", wrong(5, 0x30, [0, 1, 97], 3, [0x23, 0, 0]), "94 the topic alias must not be 0"],
  ["PUBLISH with a subscription identifier", wrong(5, 0x30, [0, 1, 97], 2, [0x0b, 3]), "81 the property Subscription Identifier does not"],
  ["PUBLISH that wants its answer at a wildcard", wrong(5, 0x30, [0, 1, 97], 4, [0x08, 0, 1, 35]), "82 the Response Topic is not a topic"],
  ["SUBSCRIBE with identifier 0", wrong(5, 0x82, [0, 5], 2, [0x0b, 0], [0, 1, 97], 0), "82 Subscription Identifier must not be 0"],
  ["SUBSCRIBE with retain handling 3", wrong(5, 0x82, [0, 5], 0, [0, 1, 97], 0x30), "82 the retain handling"],
  ["a shared SUBSCRIBE with no-local", wrong(5, 0x82, [0, 5], 0, [0, 10], "$share/g/a", 4), "82 a shared subscription"],
  ["a number of five bytes", wrong(5, 0x30, [0, 1, 97], [0x80, 0x80, 0x80, 0x80, 0]), "81 a number takes more than four bytes"],
  ["AUTH before version 5", wrong(4, 0xf0), "81 there is no AUTH"],
])("in version 5, %s is wrong", (_, problem, expected) => expect(problem).toContain(expected));

it("in version 5 user properties may come more than once, and an alias stands for a topic", () => {
  const pair = [0x26, 0, 1, 97, 0, 1, 98];
  expect(wrong(5, 0x30, [0, 1, 97], 14, pair, pair)).toBeUndefined();
  expect(wrong(5, 0x30, [0, 0], 3, [0x23, 0, 7])).toBeUndefined();
});
