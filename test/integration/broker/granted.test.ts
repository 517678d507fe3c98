import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

const site = brokerForEach();

interface Filter {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly identifier?: number;
}

async function subscriber(options: {
  version: 4 | 5;
  clean: boolean;
  receiveMaximum?: number;
  maximumPacketSize?: number;
}): Promise<RawClient> {
  const { version, clean, ...properties } = options;
  return RawClient.connect(site.broker.address, { id: "s", version, clean, ...(version === 5 ? { properties } : {}) });
}

async function subscribe(client: RawClient, ...filters: readonly Filter[]): Promise<void> {
  for (const { topic, qos, identifier } of filters) {
    const properties = identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } };
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos }], ...properties });
    await client.next("suback");
  }
}

/** Publishes, and resolves when the broker has taken everything. */
async function publish(...messages: readonly { topic: string; text: string; qos?: 0 | 1 | 2; retain?: boolean }[]): Promise<void> {
  await using client = await RawClient.connect(site.broker.address, { id: "p", version: 5 });
  for (const [index, { topic, text, qos = 1, retain = false }] of messages.entries()) {
    client.publish(topic, text, { qos, retain, ...(qos === 0 ? {} : { messageId: index + 1 }) });
    if (qos === 1) await client.next("puback");
    if (qos === 2) await client.next("pubrec");
  }
  await client.ping();
}

/** Text and QoS of what has come. */
function heard(client: RawClient): string[] {
  return client.received.flatMap((packet) => (packet.cmd === "publish" ? [`${packet.payload.toString()} at ${packet.qos}`] : []));
}

describe.each([
  { version: 4, clean: true },
  { version: 4, clean: false },
  { version: 5, clean: true },
  { version: 5, clean: false },
] as const)("a subscriber ($version, clean: $clean)", (options) => {
  it("gets a message with the QoS that it has asked for at most, also behind a wildcard", async () => {
    await using client = await subscriber(options);
    await subscribe(client, { topic: "one/+", qos: 1 }, { topic: "none/#", qos: 0 });
    await publish(
      { topic: "one/a", text: "two", qos: 2 },
      { topic: "none/a", text: "one", qos: 1 },
      { topic: "one/a", text: "zero", qos: 0 },
    );
    await eventually(() => expect(heard(client).toSorted()).toEqual(["one at 0", "two at 1", "zero at 0"]));
  });

  it("gets a message once, with the highest QoS of the subscriptions that match", async () => {
    await using client = await subscriber(options);
    await subscribe(client, { topic: "a/b", qos: 0 }, { topic: "a/#", qos: 2 }, { topic: "a/+", qos: 1 });
    await publish({ topic: "a/b", text: "x", qos: 2 });
    await publish({ topic: "a/end", text: "end", qos: 1 });
    await eventually(() => expect(heard(client)).toEqual(["x at 2", "end at 1"]));
  });

  it("gets a kept message with the QoS that it has asked for at most", async () => {
    await publish({ topic: "kept/a", text: "x", qos: 2, retain: true });
    await using client = await subscriber(options);
    await subscribe(client, { topic: "kept/+", qos: 1 });
    await eventually(() => expect(heard(client)).toEqual(["x at 1"]));
  });
});

describe.each([true, false])("a version 5 subscriber (clean: %s)", (clean) => {
  it("sees the identifiers of all its subscriptions that match", async () => {
    await using client = await subscriber({ version: 5, clean });
    await subscribe(client, { topic: "a/b", qos: 1, identifier: 5 }, { topic: "a/#", qos: 1, identifier: 6 }, { topic: "a/+", qos: 0 });
    await publish({ topic: "a/b", text: "x" });
    const packet = await client.next("publish");
    expect(packet).toMatchObject({ properties: { subscriptionIdentifier: [5, 6] } });
  });

  it("gets no more without an acknowledgement than it has said, and the rest in the order of its QoS afterwards", async () => {
    await using client = await subscriber({ version: 5, clean, receiveMaximum: 3 });
    await subscribe(client, { topic: "a", qos: 2 });
    await publish(
      ...Array.from({ length: 20 }, (_, index) => ({ topic: "a", text: String(index), qos: index % 2 === 0 ? 1 : 2 }) as const),
    );
    await eventually(() => expect(heard(client)).toHaveLength(3));
    await client.ping();
    expect(heard(client)).toHaveLength(3);
    const order: string[] = [];
    for (let index = 0; index < 20; index++) {
      const packet = await client.next("publish");
      if (packet.cmd !== "publish") throw new Error("next gives what it is asked for");
      const { messageId = 0 } = packet;
      order.push(packet.payload.toString());
      client.send({ cmd: packet.qos === 1 ? "puback" : "pubrec", messageId });
      if (packet.qos === 2) {
        await client.next("pubrel");
        client.send({ cmd: "pubcomp", messageId });
      }
    }
    // The order is that of each QoS [MQTT-4.6.0-6].
    const numbers = Array.from({ length: 20 }, (_, index) => String(index));
    for (const rest of [0, 1]) {
      const own = (text: string): boolean => Number(text) % 2 === rest;
      expect(order.filter(own)).toEqual(numbers.filter(own));
    }
  });

  it("does not get what is larger than it accepts, and goes on", async () => {
    await using client = await subscriber({ version: 5, clean, maximumPacketSize: 100 });
    await subscribe(client, { topic: "a", qos: 1 });
    await publish({ topic: "a", text: "x".repeat(200) }, { topic: "a", text: "small" });
    await eventually(() => expect(heard(client)).toEqual(["small at 1"]));
  });
});

it("a subscriber that refuses a QoS 2 message has room for another one", async () => {
  await using client = await subscriber({ version: 5, clean: true, receiveMaximum: 1 });
  await subscribe(client, { topic: "a", qos: 2 });
  await publish({ topic: "a", text: "1", qos: 2 }, { topic: "a", text: "2", qos: 2 });
  const { messageId = 0 } = await client.next("publish");
  client.send({ cmd: "pubrec", messageId, reasonCode: 0x83 });
  expect(await client.next("publish")).toMatchObject({ payload: Buffer.from("2") });
});
