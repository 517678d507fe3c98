import type { Packet } from "mqtt-packet";
import { describe, expect, it } from "vitest";
import { connectClient, RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";
import { eventually } from "../../support/eventually.ts";

const site = brokerForEach();

interface Options {
  readonly filter?: string;
  readonly qos?: 0 | 1 | 2;
  readonly version?: 4 | 5;
  readonly clean?: boolean;
  readonly expiry?: number;
  readonly receiveMaximum?: number;
  readonly identifier?: number;
  /** Whether it acknowledges what it gets. */
  readonly isQuiet?: boolean;
}

/** A client that has subscribed, and acknowledges what it gets. */
async function member(id: string, options: Options = {}): Promise<RawClient> {
  const { filter = "$share/g/in", qos = 2, version = 5, clean = true, receiveMaximum, identifier } = options;
  const properties = receiveMaximum === undefined ? {} : { receiveMaximum };
  const { expiry = clean ? 0 : 1_000 } = options;
  const client = await RawClient.connect(site.broker.address, { id, version, clean, properties, expiry });
  if (options.isQuiet !== true) acknowledge(client);
  const named = identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } };
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: filter, qos }], ...named });
  expect(await client.next("suback")).toMatchObject({ granted: [qos] });
  return client;
}

function acknowledge(client: RawClient): void {
  client.onPacket = ({ cmd, ...packet }: Packet & { messageId?: number; qos?: number }): void => {
    const { messageId = 0, qos = 0 } = packet;
    if (cmd === "publish" && qos > 0) client.send({ cmd: qos === 1 ? "puback" : "pubrec", messageId });
    if (cmd === "pubrel") client.send({ cmd: "pubcomp", messageId });
  };
}

/** Publishes, and resolves when the broker has acknowledged everything. */
async function publish(texts: readonly string[], { topic = "in", qos = 1 }: { topic?: string; qos?: 0 | 1 | 2 } = {}): Promise<void> {
  await using client = await RawClient.connect(site.broker.address, { id: "publisher", version: 5 });
  for (const [index, text] of texts.entries()) {
    const messageId = index + 1;
    client.publish(topic, text, { qos, ...(qos === 0 ? {} : { messageId }) });
    if (qos === 1) await client.next("puback");
    if (qos < 2) continue;
    await client.next("pubrec");
    client.send({ cmd: "pubrel", messageId });
    await client.next("pubcomp");
  }
  await client.ping();
}

async function leave(id: string, options: Options = {}): Promise<void> {
  const client = await member(id, { clean: false, ...options });
  client.send({ cmd: "disconnect", reasonCode: 0 });
  await client.ended();
}

async function back(id: string): Promise<RawClient> {
  const client = await RawClient.connect(site.broker.address, { id, version: 5, clean: false });
  acknowledge(client);
  return client;
}

function heard(client: RawClient): string[] {
  return client.received.flatMap((packet) => (packet.cmd === "publish" ? [packet.payload.toString()] : []));
}

function numbers(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => String(from + index));
}

/** Everything that these have got, in order of numbers. */
function together(...clients: readonly RawClient[]): string[] {
  return clients.flatMap(heard).toSorted((a, b) => Number(a) - Number(b));
}

describe.each([
  { version: 5, clean: true },
  { version: 5, clean: false },
  { version: 4, clean: true },
  { version: 4, clean: false },
] as const)("members of a group ($version, clean: $clean)", (options) => {
  it.each([0, 1, 2] as const)("get each message once, in turn (QoS %i, MQTT 5, 4.8.2)", async (qos) => {
    await using a = await member("a", options);
    await using b = await member("b", options);
    await using c = await member("c", options);
    await publish(numbers(9), { qos });
    await eventually(() => expect(together(a, b, c)).toEqual(numbers(9)));
    expect([heard(a), heard(b), heard(c)].map(({ length }) => length)).toEqual([3, 3, 3]);
  });
});

it("CONNACK does not say that there are no shared subscriptions (MQTT 5, 3.2.2.3.13)", async () => {
  await using client = await RawClient.connect(site.broker.address, { id: "a", version: 5 });
  expect(client.connack).toMatchObject({ cmd: "connack", reasonCode: 0 });
  expect(client.connack).not.toHaveProperty("properties.sharedSubscriptionAvailable");
});

it("groups with one filter, and a subscription that is not shared, each get the message", async () => {
  await using a = await member("a", { identifier: 1 });
  a.send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic: "in", qos: 1 }], properties: { subscriptionIdentifier: 2 } });
  a.send({ cmd: "subscribe", messageId: 3, subscriptions: [{ topic: "$share/h/+", qos: 0 }], properties: { subscriptionIdentifier: 3 } });
  await a.next("suback");
  await a.next("suback");
  await publish(["x"], { qos: 2 });
  await eventually(() => expect(heard(a)).toHaveLength(3));
  const seen = a.received.flatMap((packet) =>
    packet.cmd === "publish" ? [`${String(packet.properties?.subscriptionIdentifier)} at ${packet.qos}`] : [],
  );
  expect(seen.toSorted()).toEqual(["1 at 2", "2 at 1", "3 at 0"]);
});

it("what was kept is not sent for a shared subscription (MQTT 5, 4.8.2)", async () => {
  await using publisher = await RawClient.connect(site.broker.address, { id: "p", version: 5 });
  publisher.publish("in", "kept", { qos: 1, messageId: 1, retain: true });
  await publisher.next("puback");
  await using a = await member("a");
  await publish(["after"]);
  await eventually(() => expect(heard(a)).toEqual(["after"]));
});

it.each([
  ["with no-local", { topic: "$share/g/in", qos: 0, nl: true }, 0x82],
  ["of a group without a name", { topic: "$share//in", qos: 0 }, 0x8f],
  ["of a group with a wildcard", { topic: "$share/+/in", qos: 0 }, 0x8f],
  ["without a filter", { topic: "$share/g", qos: 0 }, 0x8f],
] as const)("a shared subscription %s is refused [MQTT-3.8.3-4], [MQTT-4.8.2-1], [MQTT-4.8.2-2]", async (_, subscription, reasonCode) => {
  await using client = await RawClient.connect(site.broker.address, { id: "a", version: 5 });
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [subscription] });
  expect(await client.next("disconnect")).toMatchObject({ reasonCode });
});

it("who unsubscribes gets nothing more, and the others everything", async () => {
  await using a = await member("a");
  await using b = await member("b");
  a.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: ["$share/g/in", "$share/g/other"] });
  expect(await a.next("unsuback")).toMatchObject({ granted: [0, 0x11] });
  await publish(numbers(5));
  await eventually(() => expect(heard(b)).toEqual(numbers(5)));
  expect(heard(a)).toEqual([]);
});

describe.each([true, false])("a member that acknowledges nothing (clean: %s)", (clean) => {
  it("gets as much as it may, and the others the rest", async () => {
    await using slow = await member("slow", { clean, receiveMaximum: 2, isQuiet: true });
    await using fast = await member("fast", { clean });
    await publish(numbers(20));
    await eventually(() => expect(together(slow, fast)).toEqual(numbers(20)));
    expect(heard(slow)).toHaveLength(2);
  });
});

it("what a member has not acknowledged when its session ends with its connection goes to others", async () => {
  const slow = await member("slow", { receiveMaximum: 2, isQuiet: true });
  await publish(numbers(6));
  await eventually(() => expect(heard(slow)).toHaveLength(2));
  await using other = await member("other");
  slow.socket.destroy();
  await slow.ended();
  await eventually(() => expect(together(other)).toEqual(numbers(6)));
});

it("of QoS 2 what was sent to a member goes to no other [MQTT-4.8.2-5]", async () => {
  const slow = await member("slow", { receiveMaximum: 2, isQuiet: true });
  await publish(numbers(4), { qos: 2 });
  await eventually(() => expect(heard(slow)).toHaveLength(2));
  await using other = await member("other");
  slow.socket.destroy();
  await slow.ended();
  await eventually(() => expect(together(other)).toEqual(numbers(2, 2)));
});

it("what a member refuses goes to no other [MQTT-4.8.2-6]", async () => {
  await using slow = await member("slow", { isQuiet: true });
  await publish(["x"]);
  const { messageId = 0 } = await slow.next("publish");
  await using other = await member("other");
  slow.send({ cmd: "puback", messageId, reasonCode: 0x80 });
  await slow.ping();
  slow.socket.destroy();
  await slow.ended();
  await publish(["y"]);
  await eventually(() => expect(heard(other)).toEqual(["y"]));
});

describe("while nobody is connected", () => {
  it("messages wait in the stored sessions in turn, also over a restart", async () => {
    await leave("a");
    await leave("b");
    await publish(numbers(4));
    await site.restart();
    await publish(numbers(4, 4));
    await using a = await back("a");
    await using b = await back("b");
    await eventually(() => expect(together(a, b)).toEqual(numbers(8)));
    expect(heard(a)).toHaveLength(4);
    // The subscription is there again.
    await publish(numbers(2, 8));
    await eventually(() => expect(together(a, b)).toEqual(numbers(10)));
  });

  it("a message goes to a member that is connected rather than to one that is away", async () => {
    await leave("away");
    await using here = await member("here");
    await publish(numbers(5));
    await eventually(() => expect(heard(here)).toEqual(numbers(5)));
  });

  it("what waits for a session that ends goes to another member", async () => {
    await leave("a");
    await publish(numbers(3));
    await leave("b");
    await using again = await RawClient.connect(site.broker.address, { id: "a", version: 5, clean: true });
    expect(again.sessionPresent).toBe(false);
    await using b = await back("b");
    await eventually(() => expect(heard(b)).toEqual(numbers(3)));
  });

  it("what waits for a session that expires goes to a member that is connected", async () => {
    await leave("a", { expiry: 1 });
    await publish(numbers(3));
    await using b = await member("b");
    await eventually(() => expect(heard(b)).toEqual(numbers(3)), { timeout: 5_000 });
  });
});

it("is told to operators as it was sent (4.8.2)", async () => {
  await using operator = await connectClient(site.broker.address, { clientId: "operator" });
  await operator.mqtt.subscribeAsync("$SYS/#");
  await using sharer = await connectClient(site.broker.address, { clientId: '"\\u0000share/' });
  await sharer.mqtt.subscribeAsync("$share/g/a/+", { qos: 1 });
  await sharer.mqtt.unsubscribeAsync("$share/g/a/+");
  const told = (): unknown[] =>
    operator.heard
      .filter((line) => /^\$SYS\/g\/new\/(un)?subscribes=/.test(line))
      .map((line) => JSON.parse(line.slice(line.indexOf("=") + 1)) as { clientId: string; subs: unknown })
      .filter(({ clientId }) => clientId !== "operator");
  await eventually(() => expect(told()).toHaveLength(2));
  const clientId = '"\\u0000share/';
  expect(told()).toMatchObject([
    { clientId, subs: [{ topic: "$share/g/a/+", qos: 1 }] },
    { clientId, subs: ["$share/g/a/+"] },
  ]);
});
