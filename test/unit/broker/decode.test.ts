import type { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { installPacketDecoder } from "../../../src/broker/decode.ts";
import { TopicTexts } from "../../../src/broker/topic-texts.ts";

interface Parser extends EventEmitter {
  parse(chunk: Buffer): number;
}
interface Library {
  parser(options?: object): Parser;
  generate(packet: object, options: { protocolVersion: number }): Buffer;
}
const engine = createRequire(import.meta.resolve("aedes"));
const library = engine("mqtt-packet") as Library;
const plain = engine("mqtt-packet/parser") as { parser(options?: object): Parser };

const id = fc.integer({ min: 1, max: 65_535 });
const topics = fc.oneof(
  fc.constantFrom("a", "plant/line-1/temp", "plant/line-2/temp", "ä/€"),
  fc.string({ minLength: 1, maxLength: 200 }),
  fc.string({ unit: "binary", minLength: 1, maxLength: 50 }),
);
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.integer({ min: 100, max: 130 }).map((size) => new Uint8Array(size)),
  fc.constantFrom(16_360, 16_383, 16_384, 70_000).map((size) => new Uint8Array(size)),
);
const publish = fc.record({
  cmd: fc.constant("publish"),
  topic: topics,
  payload: payload.map((bytes) => Buffer.from(bytes)),
  qos: fc.constantFrom(0, 1, 2),
  retain: fc.boolean(),
  dup: fc.boolean(),
  messageId: id,
  properties: fc.constantFrom(undefined, undefined, {}, { topicAlias: 3 }, { userProperties: { a: "1" } }, { contentType: "text/plain" }),
});
const acknowledgement = fc.record({
  cmd: fc.constantFrom("puback", "puback", "pubrec", "pubrel", "pubcomp"),
  messageId: id,
  reasonCode: fc.constantFrom(undefined, 0, 0x92),
});
const rest = fc.constantFrom(
  { cmd: "pingreq" },
  { cmd: "subscribe", messageId: 7, subscriptions: [{ topic: "a/#", qos: 1 }] },
  { cmd: "disconnect" },
);
const packetLists = fc.array(
  fc.oneof({ weight: 6, arbitrary: publish }, { weight: 3, arbitrary: acknowledgement }, { weight: 1, arbitrary: rest }),
  {
    minLength: 1,
    maxLength: 30,
  },
);
/** For each packet whether a chunk ends with it, and the sizes of further pieces. */
const cuts = fc.record({
  ends: fc.array(fc.boolean(), { maxLength: 30 }),
  sizes: fc.array(fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 2_000 })), { maxLength: 30 }),
});

function encoded(list: readonly object[], protocolVersion: number): Buffer[] {
  return list.map((packet) => library.generate(packet, { protocolVersion }));
}

/** Views on one piece of memory. */
function chunksOf(packets: readonly Buffer[], { ends, sizes }: { ends: readonly boolean[]; sizes: readonly number[] }): Buffer[] {
  const bytes = Buffer.concat(packets);
  const stops = new Set([bytes.length]);
  packets.reduce((at, packet, index) => {
    if (ends[index] === true) stops.add(at + packet.length);
    return at + packet.length;
  }, 0);
  sizes.reduce((at, size) => {
    stops.add(Math.min(bytes.length, at + size));
    return at + size;
  }, 0);
  const sorted = [...stops].toSorted((one, other) => one - other);
  return sorted.map((stop, index) => bytes.subarray(sorted[index - 1] ?? 0, stop));
}

/** What the parser of a connection that has begun makes of each chunk. */
function heard(parser: Parser, version: number, chunks: readonly Buffer[]): unknown[] {
  const events: unknown[] = [];
  const connect = { cmd: "connect", protocolId: "MQTT", protocolVersion: version, clientId: "c", clean: true, keepalive: 0 };
  parser.parse(library.generate(connect, { protocolVersion: version }));
  parser.on("packet", (packet: object) => events.push(Object.entries(packet).map(([name, value]) => [name, printable(value)])));
  parser.on("error", (error: Error) => events.push(error.message));
  chunks.forEach((chunk, index) => {
    parser.parse(chunk);
    events.push(index);
  });
  return events;
}

function printable(value: unknown): unknown {
  return Buffer.isBuffer(value) ? value.toString("latin1") : value;
}

/** What both decoders make of the chunks. */
function both(version: number, chunks: readonly Buffer[]): { ours: unknown[]; theirs: unknown[] } {
  return { theirs: heard(plain.parser(), version, chunks), ours: heard(library.parser(), version, chunks) };
}

beforeAll(() => installPacketDecoder());

describe("the packet decoder", () => {
  it("reads what the library would have read, whatever the packets and wherever their chunks end", () => {
    fc.assert(
      fc.property(packetLists, fc.constantFrom(4, 5), cuts, (list, version, where) => {
        const { ours, theirs } = both(version, chunksOf(encoded(list, version), where));
        expect(ours).toEqual(theirs);
      }),
      { numRuns: 500 },
    );
  });

  it("fails like the library on bytes that are no packets, and goes on like it", () => {
    const flaw = fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 0, max: 255 }));
    let failures = 0;
    fc.assert(
      fc.property(
        packetLists,
        fc.constantFrom(4, 5),
        cuts,
        fc.array(flaw, { minLength: 1, maxLength: 6 }),
        (list, version, where, flaws) => {
          const chunks = chunksOf(encoded(list, version), where);
          for (const [place, value] of flaws) {
            const chunk = chunks[Math.floor(place * chunks.length)];
            if (chunk !== undefined) chunk[Math.floor(((place * 1_000) % 1) * Math.min(chunk.length, 12))] = value;
          }
          const { ours, theirs } = both(version, chunks);
          expect(ours).toEqual(theirs);
          if (theirs.some((event) => typeof event === "string")) failures++;
        },
      ),
      { numRuns: 1_500 },
    );
    expect(failures).toBeGreaterThan(100);
  });

  it.each([4, 5])("reads a packet cut anywhere, with any remaining length, in version %d", (version) => {
    const cutSizes = Array.from({ length: 12 }, (_, index) => index + 1).flatMap((cut) => [[cut], [cut, 1, 1, 1]]);
    for (const length of [[2], [9], [0x89, 0], [127], [0x80, 1], [0xff, 1], [0xff, 0x80, 0], [0x80, 0x80, 1]]) {
      for (const first of [0x30, 0x32, 0x3d, 0x36, 0x40, 0x41]) {
        const bytes = Buffer.from([first, ...length, 0, 2, 97, 98, 1, 2, 0, ...Buffer.alloc(300, "x"), 0x40, 2, 1, 2]);
        for (const sizes of cutSizes) {
          const { ours, theirs } = both(version, chunksOf([bytes], { ends: [], sizes }));
          expect(ours).toEqual(theirs);
        }
      }
    }
  });

  it("does not mix up topics that share a place", () => {
    const names = Array.from({ length: 20_000 }, (_, index) => `site/${index}`);
    const packets = names.map((name) => ({ cmd: "publish", topic: name, payload: Buffer.alloc(0), qos: 0 }));
    const read: unknown[] = [];
    const parser = library.parser();
    parser.on("packet", (packet: { topic: unknown }) => read.push(packet.topic));
    parser.parse(Buffer.concat(encoded(packets, 4)));
    expect(read).toEqual(names);
  });

  it("does not take bytes that are no text for a topic whose characters have their numbers", () => {
    const texts = new TopicTexts();
    for (let high = 128; high < 256; high++) {
      for (let low = 128; low < 256; low++) {
        const topic = String.fromCharCode(high, low);
        const valid = Buffer.from(topic);
        const invalid = Buffer.from(topic, "latin1");
        expect(texts.at(valid, 0, valid.length)).toBe(topic);
        expect(texts.at(invalid, 0, invalid.length)).toBe(invalid.toString());
      }
    }
  });
});
