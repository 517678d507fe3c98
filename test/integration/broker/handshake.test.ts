import type { Packet } from "mqtt-packet";
import { describe, expect, it } from "vitest";
import { RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";
import { eventually } from "../../support/eventually.ts";

const site = brokerForEach({ inflightMax: 5 });

type Options = Parameters<typeof RawClient.connect>[1];

/** Connects, and leaves in good order. Answers whether there was a session. */
async function visit(options: Options): Promise<boolean> {
  const client = await RawClient.connect(site.broker.address, options);
  client.send({ cmd: "disconnect", reasonCode: 0 });
  await client.ended();
  return client.sessionPresent;
}

describe("a session is present", () => {
  it.each([4, 5] as const)(
    "when there is one, also without subscriptions and after a restart [MQTT-3.2.2-2] (version %i)",
    async (version) => {
      const options = { id: "c", version, clean: false } as const;
      expect(await visit(options)).toBe(false);
      expect(await visit(options)).toBe(true);
      await site.restart();
      expect(await visit(options)).toBe(true);
      expect(await visit({ ...options, clean: true })).toBe(false);
      expect(await visit(options)).toBe(false);
    },
  );

  it("not when it has ended with its connection or in time", async () => {
    const options = { id: "c", version: 5, clean: false } as const;
    expect(await visit({ ...options, expiry: 0 })).toBe(false);
    expect(await visit({ ...options, expiry: 1 })).toBe(false);
    await eventually(
      async () => expect((await RawClient.connect(site.broker.address, { ...options, expiry: 0 })).sessionPresent).toBe(false),
      {
        interval: 1_500,
        timeout: 8_000,
      },
    );
  });

  it("when it is taken over [MQTT-3.1.4-3]", async () => {
    await using before = await RawClient.connect(site.broker.address, { id: "c", version: 5, clean: false });
    await using after = await RawClient.connect(site.broker.address, { id: "c", version: 5, clean: false });
    expect(await before.next("disconnect")).toMatchObject({ reasonCode: 0x8e });
    expect(after.sessionPresent).toBe(true);
  });

  it("and gives its messages to a client that resumes it to end with the connection", async () => {
    await using publisher = await RawClient.connect(site.broker.address, { id: "p", version: 5 });
    {
      await using client = await RawClient.connect(site.broker.address, { id: "c", version: 5, clean: false });
      client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 1 }] });
      await client.next("suback");
    }
    publisher.publish("a", "x", { qos: 1, messageId: 1 });
    await publisher.next("puback");
    const last = await RawClient.connect(site.broker.address, { id: "c", version: 5, clean: false, expiry: 0 });
    expect(last.sessionPresent).toBe(true);
    expect(await last.next("publish")).toMatchObject({ topic: "a" });
    last.send({ cmd: "disconnect", reasonCode: 0 });
    await last.ended();
    expect(await visit({ id: "c", version: 5, clean: false })).toBe(false);
  });
});

describe("keep alive", () => {
  it("of more than a minute is a minute for a version 5 client (MQTT 5, 3.2.2.3.14)", async () => {
    await using long = await RawClient.connect(site.broker.address, { id: "a", version: 5, keepalive: 120 });
    expect(long.connack).toMatchObject({ properties: { serverKeepAlive: 60 } });
    await using short = await RawClient.connect(site.broker.address, { id: "b", version: 5, keepalive: 60 });
    expect(short.connack).not.toHaveProperty("properties.serverKeepAlive");
    await using older = await RawClient.connect(site.broker.address, { id: "c", version: 4, keepalive: 600 });
    expect(older.connack).toMatchObject({ returnCode: 0 });
  });

  it("that has run out is told to a version 5 client [MQTT-3.1.2-22], and its will published", async () => {
    await using other = await RawClient.connect(site.broker.address, { id: "other", version: 5 });
    other.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "will", qos: 1 }] });
    await other.next("suback");
    const will = { topic: "will", payload: Buffer.from("gone"), qos: 1, retain: false } as const;
    await using client = await RawClient.connect(site.broker.address, { id: "a", version: 5, keepalive: 1, will });
    expect(await client.next("disconnect")).toMatchObject({ reasonCode: 0x8d });
    await client.ended();
    expect(await other.next("publish")).toMatchObject({ topic: "will" });
  });
});

describe("a will that waits", () => {
  const will = { topic: "will", payload: Buffer.from("gone"), qos: 0, retain: false, properties: { willDelayInterval: 600 } } as const;

  it.each([
    [true, ["gone"]],
    [false, []],
  ])("is due when its session ends, by a client that starts anew (clean start: %s, MQTT 5, 3.1.3.2.2)", async (clean, expected) => {
    await using other = await RawClient.connect(site.broker.address, { id: "other", version: 5 });
    other.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "will", qos: 0 }] });
    await other.next("suback");
    const client = await RawClient.connect(site.broker.address, { id: "a", version: 5, clean: false, will });
    client.socket.destroy();
    await client.ended();
    await using again = await RawClient.connect(site.broker.address, { id: "a", version: 5, clean, expiry: 1_000 });
    expect(again.sessionPresent).toBe(!clean);
    await other.ping();
    const heard = other.received.flatMap((packet) => (packet.cmd === "publish" ? [packet.payload.toString()] : []));
    expect(heard).toEqual(expected);
  });
});

it("how long a will was to wait is no property of its message (MQTT 5, 3.3.2.3)", async () => {
  await using other = await RawClient.connect(site.broker.address, { id: "other", version: 5 });
  other.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "will", qos: 0 }] });
  await other.next("suback");
  const will = { topic: "will", payload: Buffer.from("gone"), qos: 0, retain: false, properties: { willDelayInterval: 1 } } as const;
  const client = await RawClient.connect(site.broker.address, { id: "a", version: 5, will });
  client.socket.destroy();
  expect(await other.next("publish")).not.toHaveProperty("properties.willDelayInterval");
});

describe("a packet id that is not known", () => {
  it("of a PUBREL is answered as such to a version 5 client (MQTT 5, 3.7.2.1)", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "a", version: 5 });
    client.send({ cmd: "pubrel", messageId: 7 });
    expect(await client.next("pubcomp")).toMatchObject({ messageId: 7, reasonCode: 0x92 });
    client.publish("x", "x", { qos: 2, messageId: 7 });
    await client.next("pubrec");
    client.send({ cmd: "pubrel", messageId: 7 });
    expect(await client.next("pubcomp")).toMatchObject({ messageId: 7, reasonCode: 0 });
    // Whoever resumes a session may have had no PUBCOMP for what was released; whoever begins one that lasts cannot.
    const lasting = { id: "c", version: 5, clean: false } as const;
    for (const [clean, reasonCode] of [
      [false, 0x92],
      [false, 0],
      [true, 0x92],
      [false, 0],
    ] as const) {
      await using back = await RawClient.connect(site.broker.address, { ...lasting, clean, expiry: 1_000 });
      back.send({ cmd: "pubrel", messageId: 7 });
      expect(await back.next("pubcomp")).toMatchObject({ messageId: 7, reasonCode });
    }
    await using older = await RawClient.connect(site.broker.address, { id: "b", version: 4 });
    older.send({ cmd: "pubrel", messageId: 7 });
    expect(await older.next("pubcomp")).toMatchObject({ messageId: 7 });
  });

  it.each([true, false])("of a PUBREC is answered as such (clean: %s, MQTT 5, 3.6.2.1)", async (clean) => {
    await using client = await RawClient.connect(site.broker.address, { id: "a", version: 5, clean });
    client.send({ cmd: "pubrec", messageId: 7 });
    expect(await client.next("pubrel")).toMatchObject({ messageId: 7, reasonCode: 0x92 });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 2 }] });
    await client.next("suback");
    client.publish("a", "x", { qos: 2, messageId: 1 });
    const { messageId = 0 } = await client.next("publish");
    client.send({ cmd: "pubrec", messageId });
    expect(await client.next("pubrel")).toMatchObject({ messageId, reasonCode: 0 });
    // Once more is the same message (MQTT 5, 4.3.3).
    client.send({ cmd: "pubrec", messageId });
    expect(await client.next("pubrel")).toMatchObject({ messageId, reasonCode: 0 });
  });
});

describe("Receive Maximum of the broker", () => {
  it("counts QoS 2 messages until they are released; one more ends the connection [MQTT-3.3.4-7]", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "a", version: 5 });
    expect(client.connack).toMatchObject({ properties: { receiveMaximum: 5 } });
    for (let messageId = 1; messageId <= 5; messageId++) client.publish("x", "x", { qos: 2, messageId });
    await client.ping();
    client.publish("x", "x", { qos: 2, messageId: 5, dup: true });
    client.send({ cmd: "pubrel", messageId: 1 });
    await client.next("pubcomp");
    client.publish("x", "x", { qos: 2, messageId: 6 });
    await client.ping();
    expect(client.closed).toBe(false);
    client.publish("x", "x", { qos: 2, messageId: 7 });
    expect(await client.next("disconnect")).toMatchObject({ reasonCode: 0x93 });
  });

  it("does not count what was refused (MQTT 5, 4.9)", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "a", version: 5 });
    for (let messageId = 1; messageId <= 12; messageId++) {
      client.publish("$SYS/x", "x", { qos: 2, messageId });
      expect(await client.next("pubrec")).toMatchObject({ reasonCode: 0x87 });
    }
    await client.ping();
  });
});

it("what an older client publishes to topics of the broker is acknowledged and not published [MQTT-3.3.5-2]", async () => {
  await using client = await RawClient.connect(site.broker.address, { id: "a", version: 4 });
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "$mine/#", qos: 2 }] });
  await client.next("suback");
  client.publish("$mine/x", "x", { qos: 0 });
  client.publish("$mine/x", "x", { qos: 1, messageId: 1 });
  await client.next("puback");
  client.publish("$mine/x", "x", { qos: 2, messageId: 2 });
  await client.next("pubrec");
  client.send({ cmd: "pubrel", messageId: 2 });
  await client.next("pubcomp");
  await client.ping();
  expect(client.received).toEqual([]);
});

async function publish(...topics: readonly string[]): Promise<void> {
  await using client = await RawClient.connect(site.broker.address, { id: "p", version: 5 });
  for (const [index, topic] of topics.entries()) {
    const properties = topic.startsWith("with") ? { contentType: "text" } : {};
    client.publish(topic, "x", { qos: 1, messageId: index + 1, properties });
    await client.next("puback");
  }
}

function seen({ received }: RawClient): unknown[] {
  return received.flatMap((packet) => (packet.cmd === "publish" ? [[packet.topic, packet.properties?.topicAlias]] : []));
}

describe.each([true, false])("topic aliases towards a client (clean: %s)", (clean) => {
  async function subscriber(properties: { topicAliasMaximum?: number; maximumPacketSize?: number }): Promise<RawClient> {
    const client = await RawClient.connect(site.broker.address, { id: "s", version: 5, clean, properties });
    client.onPacket = (packet: Packet): void => {
      if (packet.cmd === "publish" && packet.qos === 1) client.send({ cmd: "puback", messageId: packet.messageId ?? 0 });
    };
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "#", qos: 1 }] });
    await client.next("suback");
    return client;
  }

  it("are as many as it allows, and none when it does not [MQTT-3.3.2-9]", async () => {
    await using two = await subscriber({ topicAliasMaximum: 2 });
    await publish("a", "with", "c", "a", "with", "c");
    await eventually(() => expect(seen(two)).toHaveLength(6));
    expect(seen(two)).toEqual([
      ["a", 1],
      ["with", 2],
      ["c", undefined],
      ["", 1],
      ["", 2],
      ["c", undefined],
    ]);
    await using none = await subscriber({});
    await publish("a", "a");
    await eventually(() => expect(seen(none)).toHaveLength(2));
    expect(seen(none)).toEqual([
      ["a", undefined],
      ["a", undefined],
    ]);
  });

  it("make no packet larger than the client accepts [MQTT-3.1.2-24]", async () => {
    await using client = await subscriber({ topicAliasMaximum: 10, maximumPacketSize: 20 });
    await publish("1234567890123", "a"); // 2 + 2 + 13 + 2 + 1 + 1 bytes.
    await publish("123456789012", "123456789012"); // With an alias it would have 23.
    await eventually(() => expect(seen(client)).toHaveLength(3));
    expect(seen(client)).toEqual([
      ["a", 1],
      ["123456789012", undefined],
      ["123456789012", undefined],
    ]);
  });
});
