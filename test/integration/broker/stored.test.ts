import { ClassicLevel } from "classic-level";
import { describe, expect, it } from "vitest";
import { encodeMessage } from "../../../src/core/message.ts";
import { eventually } from "../../support/eventually.ts";
import { RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

const site = brokerForEach();

type Filter = { topic: string; qos: 0 | 1 | 2; nl?: boolean };

async function stored(id: string, version: 4 | 5, ...filters: readonly Filter[]): Promise<RawClient> {
  const client = await RawClient.connect(site.broker.address, { id, version, clean: false });
  for (const filter of filters) {
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [filter] });
    await client.next("suback");
  }
  return client;
}

/** Leaves when everything that it sent was taken. */
async function leave(client: RawClient): Promise<void> {
  await client.ping();
  await client[Symbol.asyncDispose]();
}

function heard(client: RawClient): string[] {
  return client.received.flatMap((packet) => (packet.cmd === "publish" ? [`${packet.topic}=${packet.payload.toString()}`] : []));
}

async function publish(topics: readonly string[], more: object = {}, answer: "puback" | "pubrec" = "puback"): Promise<void> {
  await using client = await RawClient.connect(site.broker.address, { id: "publisher", version: 5 });
  for (const topic of topics) {
    client.publish(topic, "x", { qos: 1, messageId: 1, ...more });
    await client.next(answer);
    if (answer === "pubrec") await complete(client);
  }
}

async function complete(client: RawClient): Promise<void> {
  client.send({ cmd: "pubrel", messageId: 1 });
  await client.next("pubcomp");
}

async function copiesOf(id: string): Promise<number> {
  await site.broker.close();
  await using database = new ClassicLevel(site.folder.join("sessions"));
  return (await database.keys({ gte: `outgoing:${id}:`, lt: `outgoing:${id};` }).all()).length;
}

describe.each([false, true])("a stored session whose filters overlap, after a restart: %s,", (restarted) => {
  const wide = { topic: "a/#", qos: 1 } as const;

  it.each([
    { name: "gets what only the wider one matches", filters: [wide, { topic: "a/b", qos: 2 }], gone: [], expected: ["a/b=x", "a/c=x"] },
    {
      name: "gets what the narrower one matches when the wider is gone",
      filters: [wide, { topic: "a/b", qos: 1 }],
      gone: ["a/#"],
      expected: ["a/b=x"],
    },
    {
      name: "gets what the wider one matches when the narrower is gone",
      filters: [{ topic: "a/b", qos: 1 }, wide],
      gone: ["a/b"],
      expected: ["a/b=x", "a/c=x"],
    },
    {
      name: "gets what the wider one matches beside one of QoS 0",
      filters: [wide, { topic: "a/b", qos: 0 }],
      gone: [],
      expected: ["a/b=x", "a/c=x"],
    },
    {
      name: "gets nothing for a filter that became QoS 0",
      filters: [wide, { topic: "a/#", qos: 0 }, { topic: "a/c", qos: 1 }],
      gone: [],
      expected: ["a/c=x"],
    },
  ] as const)("$name", async ({ filters, gone, expected }) => {
    const client = await stored("away", 4, ...filters);
    for (const filter of gone) {
      client.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: [filter] });
      await client.next("unsuback");
    }
    await leave(client);
    if (restarted) {
      await site.restart();
    }
    await publish(["a/b", "a/c", "b"]);
    await using back = await stored("away", 4);
    await eventually(() => expect(heard(back)).toEqual(expected));
    await back.ping();
    expect(heard(back)).toEqual(expected);
  });
});

it("a session keeps no copies of what it subscribes to at QoS 0", async () => {
  await leave(await stored("one", 4, { topic: "q/#", qos: 1 }));
  await using zero = await stored("zero", 4, { topic: "q/#", qos: 0 });
  await publish(Array.from({ length: 20 }, () => "q/a"));
  await eventually(() => expect(heard(zero)).toHaveLength(20));
  await leave(zero);
  expect(await copiesOf("zero")).toBe(0);
  expect(await copiesOf("one")).toBe(20);
});

it("a session with no-local gets what others publish, and no copies of what its own client does [MQTT-3.8.3-3]", async () => {
  const bridge = await stored("bridge", 5, { topic: "q/#", qos: 1, nl: true });
  for (let id = 1; id <= 20; id++) {
    bridge.publish("q/a", "mine", { qos: 1, messageId: id });
    await bridge.next("puback");
  }
  await leave(bridge);
  await publish(["q/b"]);
  await using back = await stored("bridge", 5);
  await eventually(() => expect(heard(back)).toEqual(["q/b=x"]));
  await leave(back);
  expect(await copiesOf("bridge")).toBe(1);
});

describe("a version 5 message", () => {
  it("with properties has them for those who were away, until it expires", async () => {
    await leave(await stored("away", 5, { topic: "a", qos: 1 }));
    const kept = { contentType: "text/plain", responseTopic: "r", userProperties: { u: ["1", "2"], constructor: "c" } };
    await publish(["a"], { properties: { ...kept, messageExpiryInterval: 1_000 } });
    await using back = await stored("away", 5);
    await eventually(() => expect(heard(back)).toEqual(["a=x"]));
    const { properties } = (await back.next("publish")) as { properties: { userProperties: object; messageExpiryInterval: number } };
    expect({ ...properties, userProperties: { ...properties.userProperties } }).toEqual({
      ...kept,
      messageExpiryInterval: expect.any(Number),
    });
    expect(properties.messageExpiryInterval).toBeLessThanOrEqual(1_000);
  });

  it("that came with a topic alias reaches everybody, now and later, also as a kept message and after it was not acknowledged", async () => {
    await leave(await stored("away", 5, { topic: "a/#", qos: 1 }));
    await using live = await stored("live", 5, { topic: "a/#", qos: 1 });
    await publish(["a/b"], { retain: true, properties: { topicAlias: 3 } });
    await publish(["a/c"], { retain: true, properties: { topicAlias: 3, contentType: "text/plain" } });
    await eventually(() => expect(heard(live)).toHaveLength(2));
    await leave(live);
    await site.restart();
    for (const id of ["away", "live", "fresh"]) {
      await using client = await stored(id, 5, ...(id === "fresh" ? [{ topic: "a/#", qos: 1 } as const] : []));
      await eventually(() => expect(heard(client)).toEqual(["a/b=x", "a/c=x"]));
      await client.ping();
    }
  });
});

it("what a session had and did not acknowledge comes again after a restart with its packet ids, and with DUP [MQTT-4.4.0-1]", async () => {
  const client = await stored("c", 5, { topic: "a/#", qos: 2 });
  await publish(["a/1", "a/2"]);
  await publish(["a/3", "a/4"], { qos: 2 }, "pubrec");
  await eventually(() => expect(heard(client)).toHaveLength(4));
  const ids = client.received.flatMap((packet) => (packet.cmd === "publish" ? [packet.messageId ?? 0] : []));
  client.send({ cmd: "puback", messageId: ids[0] ?? 0 });
  client.send({ cmd: "pubrec", messageId: ids[2] ?? 0 });
  await client.next("pubrel");
  await site.restart();
  await publish(["a/5"]);
  await using back = await stored("c", 5);
  await eventually(() => expect(heard(back)).toEqual(["a/2=x", "a/4=x", "a/5=x"]));
  const sent = back.received.map((packet) => (packet.cmd === "publish" ? { id: packet.messageId, dup: packet.dup } : packet.messageId));
  expect(sent.slice(0, 3)).toEqual([{ id: ids[1], dup: true }, ids[2], { id: ids[3], dup: true }]);
  expect(sent[3]).toMatchObject({ dup: false });
  expect(ids).not.toContain(back.received.at(-1)?.messageId);
});

it.each([true, false])("what waited is marked as its subscription has it: retain as published %s", async (rap) => {
  const client = await RawClient.connect(site.broker.address, { id: "c", version: 5, clean: false });
  const properties = rap ? { properties: { subscriptionIdentifier: 7 } } : {};
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a/#", qos: 1, rap }], ...properties });
  await client.next("suback");
  await publish(["a/live"], { retain: true });
  const live = await client.next("publish");
  client.send({ cmd: "puback", messageId: live.messageId ?? 0 });
  await leave(client);
  await publish(["a/later"], { retain: true });
  await using back = await stored("c", 5);
  const later = await back.next("publish");
  expect(later).toMatchObject({ topic: "a/later", retain: rap });
  for (const packet of [live, later]) {
    expect(packet).toMatchObject({ retain: rap });
    expect(Reflect.get(packet, "properties")?.subscriptionIdentifier).toBe(rap ? 7 : undefined);
  }
});

it("a message whose PUBACK its client does not take any more reaches connected sessions, once", async () => {
  const held: (() => void)[] = [];
  let holding = false;
  await site.restart({
    payloadBytesMax: 100_000,
    synced: () => (holding ? new Promise((resolve) => held.push(resolve)) : Promise.resolve()),
  });
  const connected = await stored("connected", 4, { topic: "a", qos: 1 });
  await using deaf = await RawClient.connect(site.broker.address, { id: "deaf" });
  deaf.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "much", qos: 1 }] });
  await deaf.next("suback");
  holding = true;
  deaf.publish("a", "x", { qos: 1, messageId: 1 });
  await eventually(() => expect(held).toHaveLength(1));
  deaf.socket.pause();
  const payload = Buffer.alloc(50_000);
  const much = encodeMessage({ topic: "much", payload, qos: 1, retain: false, time: 0, source: "fn:f", hops: 1 });
  let taken = 0;
  for (let i = 0; i < 400; i++) site.broker.deliver([much], () => taken++);
  await connected.ping();
  expect(taken).toBeLessThan(400);
  holding = false;
  for (const synced of held.splice(0)) synced();
  await eventually(() => expect(heard(connected)).toEqual(["a=x"]));
  const { messageId = 0 } = await connected.next("publish");
  connected.send({ cmd: "puback", messageId });
  await leave(connected);
  deaf.socket.destroy();
  await using back = await stored("connected", 4);
  await back.ping();
  expect(heard(back)).toEqual([]);
});

it("a session that subscribes at QoS 2 to a kept message of QoS 2 gets its PUBREL and stays", async () => {
  await using publisher = await RawClient.connect(site.broker.address, { id: "publisher" });
  publisher.publish("a/b", "x", { qos: 2, messageId: 1, retain: true });
  await publisher.next("pubrec");
  publisher.send({ cmd: "pubrel", messageId: 1 });
  await publisher.next("pubcomp");
  await using client = await stored("c", 4, { topic: "a/#", qos: 2 });
  const { messageId = 0 } = await client.next("publish");
  client.send({ cmd: "pubrec", messageId });
  expect(await client.next("pubrel")).toMatchObject({ messageId });
  client.send({ cmd: "pubcomp", messageId });
  await client.ping();
});
