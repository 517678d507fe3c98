import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeMessage, encodeMessage, locateMessage, type Message, peekMessage } from "../../../src/core/message.ts";

const text = fc.string({ unit: "grapheme", maxLength: 60 }).map((value) => value.toWellFormed());
const properties = fc.record(
  {
    contentType: text,
    responseTopic: text,
    correlationData: fc.base64String(),
    user: fc.dictionary(text, fc.oneof(text, fc.array(text, { maxLength: 3 }))),
  },
  { requiredKeys: [] },
);

const messages: fc.Arbitrary<Message> = fc
  .record({
    topic: text.filter((topic) => topic.length > 0),
    payload: fc.uint8Array({ maxLength: 300 }),
    qos: fc.constantFrom(0, 1, 2),
    retain: fc.boolean(),
    time: fc.nat({ max: 2 ** 48 - 1 }),
    source: text,
    hops: fc.nat(255),
    properties: fc.option(properties, { nil: undefined }),
  })
  .map(({ properties: some, ...rest }) => (some === undefined ? rest : { ...rest, properties: some }));

const plain = (message: Message): unknown => ({
  ...message,
  payload: [...message.payload],
  properties: message.properties === undefined ? undefined : JSON.parse(JSON.stringify(message.properties)),
});

describe("the record of a message", () => {
  it("gives the message back", () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(plain(decodeMessage(encodeMessage(message)))).toEqual(plain(message));
      }),
    );
  });

  it("can be peeked at anywhere in a block of records", () => {
    fc.assert(
      fc.property(fc.array(messages, { minLength: 1, maxLength: 8 }), (many) => {
        const records = many.map(encodeMessage);
        const block = Buffer.concat(records);
        let at = 0;
        for (const [index, { topic, time, hops }] of many.entries()) {
          const end = at + (records[index]?.length ?? 0);
          expect(peekMessage(block, at)).toEqual({ topic, time, hops, end });
          at = end;
        }
        expect(at).toBe(block.length);
      }),
    );
  });

  it("says where its topic and payload are, with properties and without", () => {
    fc.assert(
      fc.property(messages, (message) => {
        const record = encodeMessage(message);
        const { topicAt, topicEnd, payloadAt, qos, retain } = locateMessage(record);
        const found = { topic: record.toString("utf8", topicAt, topicEnd), payload: [...record.subarray(payloadAt)], qos, retain };
        const { topic, payload } = message;
        expect(found).toEqual({ topic, payload: [...payload], qos: message.qos, retain: message.retain });
      }),
    );
  });

  it("is decoded where it lies: its payload is a view on it", () => {
    const block = Buffer.concat([
      Buffer.alloc(7),
      encodeMessage({ topic: "a", payload: Buffer.from([1, 2]), qos: 0, retain: false, time: 1, source: "", hops: 0 }),
    ]);
    const { payload } = decodeMessage(block.subarray(7));
    block[block.length - 1] = 9;
    expect([...payload]).toEqual([1, 9]);
  });
});
