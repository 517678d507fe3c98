import * as fc from "fast-check";
import { generate, type Packet } from "mqtt-packet";
import { expect, it } from "vitest";
import { ProtocolError } from "../../../src/broker/wire-reader.ts";
import { checkPacket } from "../../../src/broker/wire-rules.ts";

const text = fc.string({ unit: "binary", minLength: 1, maxLength: 20 }).filter((value) => value.isWellFormed() && !/[\0+#]/.test(value));
const qos = fc.constantFrom<(0 | 1 | 2)[]>(0, 1, 2);
const messageId = fc.integer({ min: 1, max: 65_535 });
const user = fc.dictionary(text, fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })), { maxKeys: 3, noNullPrototype: true });

const publish = fc
  .record({
    topic: text,
    payload: fc.uint8Array({ maxLength: 50 }),
    qos,
    retain: fc.boolean(),
    messageId,
    userProperties: user,
    contentType: text,
  })
  .map(({ payload, userProperties, contentType, ...rest }) => ({
    cmd: "publish" as const,
    dup: false,
    payload: Buffer.from(payload),
    // The library writes a property of kind 0 for an empty list of them.
    properties: { contentType, ...(Object.keys(userProperties).length > 0 ? { userProperties } : {}) },
    ...rest,
  }));

const subscribe = fc
  .record({ messageId, filters: fc.array(fc.record({ topic: text, qos, nl: fc.boolean(), rh: qos }), { minLength: 1, maxLength: 4 }) })
  .filter(({ filters }) => filters.every(({ topic }) => !topic.startsWith("$share/")))
  .map(({ messageId: id, filters }) => ({ cmd: "subscribe" as const, messageId: id, subscriptions: filters }));

const connect = fc
  .record({
    clientId: text,
    clean: fc.boolean(),
    keepalive: fc.nat(65_535),
    username: text,
    password: fc.uint8Array({ maxLength: 9 }),
    topic: text,
    qos,
  })
  .map(({ password, topic, qos: willQos, ...rest }) => ({
    cmd: "connect" as const,
    protocolId: "MQTT" as const,
    ...rest,
    password: Buffer.from(password),
    will: { topic, qos: willQos, retain: true, payload: Buffer.from("x") },
  }));

const answer = fc.record({ cmd: fc.constantFrom("puback", "pubrec", "pubrel", "pubcomp"), messageId }) as fc.Arbitrary<Packet>;

const packets = fc.oneof(publish, subscribe, connect, answer) as fc.Arbitrary<Packet>;
const version = fc.constantFrom(4, 5);

function check(bytes: Buffer, protocolVersion: number): void {
  let bodyAt = 1;
  while ((bytes[bodyAt++] ?? 0) > 127);
  checkPacket(bytes, { start: 0, bodyAt, end: bytes.length }, protocolVersion);
}

function bytesOf(packet: Packet, protocolVersion: number): Buffer {
  return generate(packet.cmd === "connect" ? { ...packet, protocolVersion: protocolVersion as 4 | 5 } : packet, { protocolVersion });
}

/** What is wrong with the packet; undefined when nothing is. */
function problemOf(bytes: Buffer, protocolVersion: number): unknown {
  try {
    check(bytes, protocolVersion);
    return undefined;
  } catch (error) {
    return error;
  }
}

it("whatever a library writes is right", () => {
  fc.assert(
    fc.property(packets, version, (packet, protocolVersion) => {
      expect(problemOf(bytesOf(packet, protocolVersion), protocolVersion)).toBeUndefined();
    }),
  );
});

it("whatever is damaged is right or a protocol error", () => {
  const damage = fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { minLength: 1, maxLength: 4 });
  const problems: unknown[] = [];
  fc.assert(
    fc.property(packets, version, damage, fc.nat(10), (packet, protocolVersion, changes, cut) => {
      const bytes = bytesOf(packet, protocolVersion);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      problems.push(problemOf(bytes.subarray(0, Math.max(2, bytes.length - cut)), protocolVersion));
    }),
    { numRuns: 2_000 },
  );
  const wrong = problems.filter((problem) => problem !== undefined);
  expect(wrong.filter((problem) => !(problem instanceof ProtocolError))).toEqual([]);
  expect(wrong.length).toBeGreaterThan(1_000);
});
