import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { connectClient, RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

/** Everything that an object has without having been given it. */
const NAMES = [...Object.getOwnPropertyNames(Object.prototype), "prototype", "length"];

const site = brokerForEach();

function heard(client: RawClient): string[] {
  return client.received.flatMap((packet) => (packet.cmd === "publish" ? [packet.topic] : []));
}

function user(client: RawClient): object | undefined {
  return client.received.flatMap((packet) => (packet.cmd === "publish" ? [{ ...packet.properties?.userProperties }] : []))[0];
}

describe.each([4, 5] as const)("names that objects have of themselves, in MQTT version %i,", (version) => {
  it("are client ids as any other", async () => {
    for (const id of NAMES) {
      await using first = await RawClient.connect(site.broker.address, { id, version });
      await first.ping();
      await using second = await RawClient.connect(site.broker.address, { id, version, clean: false });
      await first.ended();
      second.publish("in/a", id, { qos: 2, messageId: 1 });
      await second.next("pubrec");
      second.send({ cmd: "pubrel", messageId: 1 });
      await second.next("pubcomp");
    }
    expect(site.intake.texts).toEqual(NAMES.map((name) => `in/a=${name}`));
  });

  it("are topics as any other: of messages, kept ones, wills and of filters", async () => {
    const names = NAMES.filter((name) => name !== "__proto__");
    await using client = await RawClient.connect(site.broker.address, { id: "c", version });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: names.map((topic) => ({ topic, qos: 1 })) });
    const answer = await client.next("suback");
    expect(answer).toMatchObject({ granted: names.map(() => 1) });
    await using publisher = await connectClient(site.broker.address, { protocolVersion: version });
    for (const topic of NAMES) await publisher.mqtt.publishAsync(topic, "x", { qos: 1, retain: true });
    await eventually(() => expect(heard(client)).toEqual(names));
    for (const topic of names) {
      const dying = await RawClient.connect(site.broker.address, {
        id: "dying",
        version,
        will: { topic, payload: Buffer.from("w"), qos: 1, retain: false },
      });
      dying.socket.destroy();
    }
    await eventually(() => expect(heard(client)).toEqual([...names, ...names]));
    client.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: names });
    await client.next("unsuback");
    await site.restart();
    await using later = await RawClient.connect(site.broker.address, { id: "later", version });
    later.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "+", qos: 1 }] });
    await eventually(() => expect(heard(later).toSorted()).toEqual(NAMES.toSorted()));
  });

  it("are filters of stored sessions, but for one that is refused, alone and among others", async () => {
    {
      await using client = await RawClient.connect(site.broker.address, { id: "away", version, clean: false });
      client.send({ cmd: "subscribe", messageId: 1, subscriptions: NAMES.map((topic) => ({ topic, qos: 1 })) });
      expect(await client.next("suback")).toMatchObject({
        granted: NAMES.map((name) => (name === "__proto__" ? (version === 5 ? 0x87 : 0x80) : 1)),
      });
      client.send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic: "__proto__", qos: 1 }] });
      await client.next("suback");
      client.send({ cmd: "unsubscribe", messageId: 3, unsubscriptions: ["__proto__", "toString"] });
      await client.next("unsuback");
    }
    await site.restart();
    await using publisher = await connectClient(site.broker.address, { protocolVersion: version });
    for (const topic of NAMES) await publisher.mqtt.publishAsync(topic, "x", { qos: 1 });
    await using client = await connectClient(site.broker.address, {
      clientId: "away",
      clean: false,
      protocolVersion: version,
      ...(version === 5 ? { properties: { sessionExpiryInterval: 1_000 } } : {}),
    });
    const stored = NAMES.filter((name) => name !== "__proto__" && name !== "toString");
    await eventually(() => expect(client.heard).toEqual(stored.map((name) => `${name}=x`)));
    await publisher.mqtt.publishAsync("constructor", "live", { qos: 1 });
    await eventually(() => expect(client.heard.at(-1)).toBe("constructor=live"));
  });
});

it("a SUBACK has a code for every filter in the order of the SUBSCRIBE, also for numbers and for one that comes twice", async () => {
  await using client = await RawClient.connect(site.broker.address, { id: "c" });
  const subscriptions = (["b", "7", "b", "__proto__", "1"] as const).map((topic, index) => ({ topic, qos: (index % 3) as 0 | 1 | 2 }));
  client.send({ cmd: "subscribe", messageId: 1, subscriptions });
  expect(await client.next("suback")).toMatchObject({ granted: [0, 1, 2, 0x80, 1] });
  await using publisher = await connectClient(site.broker.address);
  await publisher.mqtt.publishAsync("b", "x", { qos: 2 });
  await eventually(() => expect(client.received).toMatchObject([{ cmd: "publish", topic: "b", qos: 2 }]));
});

it("user properties keep such names, for functions and for those who are connected", async () => {
  const userProperties = Object.fromEntries(NAMES.flatMap((name) => [[name, `of ${name}`]]));
  await using connected = await RawClient.connect(site.broker.address, { id: "connected", version: 5 });
  connected.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "in/#", qos: 1 }] });
  await connected.next("suback");
  connected.publish("in/a", "x", { qos: 1, messageId: 1, properties: { userProperties } });
  await connected.next("puback");
  await eventually(() => expect(user(connected)).toEqual(userProperties));
  expect(site.intake.taken[0]?.properties?.user).toEqual(userProperties);
});

it("no subscription stays behind when its client is gone", async () => {
  for (const topic of NAMES) {
    await using client = await RawClient.connect(site.broker.address, { id: "c" });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 1 }] });
    await client.next("suback");
  }
  await eventually(() => expect(site.broker.clients).toBe(0));
  await using client = await RawClient.connect(site.broker.address, { id: "c" });
  for (const topic of NAMES) client.publish(topic, "x", { qos: 1, messageId: 1 });
  await client.ping();
  expect(client.received.filter(({ cmd }) => cmd === "publish")).toEqual([]);
});
