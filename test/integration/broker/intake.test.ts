import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { connectClient, RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

const site = brokerForEach();

const id = (packet: { messageId?: number | undefined }): number | undefined => packet.messageId;

describe.each([4, 5] as const)("a message that wakes a function, in MQTT version %i,", (version) => {
  it("is acknowledged when the journal has it, and not before", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "c", version });
    site.intake.holding = true;
    client.publish("in/a", "1", { qos: 1, messageId: 7 });
    await eventually(() => expect(site.intake.held).toHaveLength(1));
    await client.ping().catch(() => undefined);
    expect(client.received.filter(({ cmd }) => cmd === "puback")).toEqual([]);
    site.intake.held[0]?.();
    expect(id(await client.next("puback"))).toBe(7);
    expect(site.intake.texts).toEqual(["in/a=1"]);
  });

  it("is not acknowledged at all when the journal cannot take it, also to a client with subscriptions", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "c", version });
    client.send({
      cmd: "subscribe",
      messageId: 1,
      subscriptions: [
        { topic: "x/#", qos: 1 },
        { topic: "y/#", qos: 1 },
      ],
    });
    await client.next("suback");
    site.intake.failing = new Error("the disk is full");
    client.publish("in/a", "1", { qos: 1, messageId: 7 });
    client.publish("in/a", "2", { qos: 2, messageId: 8 });
    await client.ended();
    expect(client.received.filter(({ cmd }) => cmd === "puback" || cmd === "pubrec")).toEqual([]);
    site.intake.failing = undefined;
    await using again = await RawClient.connect(site.broker.address, { id: "c", version });
    again.publish("in/a", "1", { qos: 1, messageId: 7, dup: true });
    expect(id(await again.next("puback"))).toBe(7);
    expect(site.intake.texts).toEqual(["in/a=1"]);
  });

  it("of QoS 2 that is sent again, with or without a broken connection and a restart, is journaled once", async () => {
    {
      await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
      client.publish("in/a", "1", { qos: 2, messageId: 7 });
      await client.next("pubrec");
      client.publish("in/a", "1", { qos: 2, messageId: 7, dup: true });
      await client.next("pubrec");
    }
    {
      await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
      client.publish("in/a", "1", { qos: 2, messageId: 7, dup: true });
      await client.next("pubrec");
    }
    await site.restart();
    await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
    client.publish("in/a", "1", { qos: 2, messageId: 7, dup: true });
    await client.next("pubrec");
    client.send({ cmd: "pubrel", messageId: 7 });
    await client.next("pubcomp");
    expect(site.intake.texts).toEqual(["in/a=1"]);
    expect(site.intake.openIds).toEqual([]);
    // The id is free: it stands for another message now.
    client.publish("in/a", "2", { qos: 2, messageId: 7 });
    await client.next("pubrec");
    expect(site.intake.texts).toEqual(["in/a=1", "in/a=2"]);
  });

  it("of QoS 2 reaches subscribers once, however often it is sent", async () => {
    await using subscriber = await connectClient(site.broker.address, { clientId: "s" });
    await subscriber.mqtt.subscribeAsync("in/#", { qos: 2 });
    await using client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
    for (const dup of [false, true, true]) {
      client.publish("in/a", "1", { qos: 2, messageId: 7, dup });
      await client.next("pubrec");
    }
    client.send({ cmd: "pubrel", messageId: 7 });
    await client.next("pubcomp");
    client.publish("in/a", "2", { qos: 1, messageId: 8 });
    await eventually(() => expect(subscriber.heard).toEqual(["in/a=1", "in/a=2"]));
  });

  it("keeps its topic, bytes, properties, flags and source", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "sensor-ä", version });
    const properties = {
      contentType: "application/json",
      responseTopic: "r",
      correlationData: Buffer.from([0, 255]),
      userProperties: { a: ["1", "2"], b: "3" },
    };
    client.publish("in/ä//x", '{"ü":1}', { qos: 1, messageId: 1, retain: true, ...(version === 5 ? { properties } : {}) });
    await client.next("puback");
    const [message] = site.intake.taken;
    expect(message).toMatchObject({ topic: "in/ä//x", qos: 1, retain: true, source: "sensor-ä", hops: 0 });
    expect(Buffer.from(message?.payload ?? []).toString()).toBe('{"ü":1}');
    expect(Math.abs((message?.time ?? 0) - Date.now())).toBeLessThan(10_000);
    const kept = { contentType: "application/json", responseTopic: "r", correlationData: "AP8=", user: { a: ["1", "2"], b: "3" } };
    expect(message?.properties).toEqual(version === 5 ? kept : undefined);
  });
});

describe("packet ids of a client", () => {
  it("whose session ends with its connection are forgotten then, or the ledger would grow for ever", async () => {
    for (let i = 0; i < 5; i++) {
      await using client = await RawClient.connect(site.broker.address, { id: `passing-${i}`, clean: true });
      client.publish("in/a", "1", { qos: 2, messageId: 1 });
      await client.next("pubrec");
    }
    await eventually(() => expect(site.intake.openIds).toEqual([]));
  });

  it("of a connection that took over another one outlive the end of that one", async () => {
    for (let round = 0; round < 20; round++) {
      await using before = await RawClient.connect(site.broker.address, { id: "c", clean: true });
      before.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a/#", qos: 1 }] });
      await before.next("suback");
      // Its end and the connection that follows it come at the same moment.
      before.socket.destroy();
      await using client = await RawClient.connect(site.broker.address, { id: "c", clean: true });
      client.publish("in/a", String(round), { qos: 2, messageId: 1 });
      await client.next("pubrec");
      client.publish("in/a", String(round), { qos: 2, messageId: 1, dup: true });
      await client.next("pubrec");
    }
    expect(site.intake.texts).toEqual(Array.from({ length: 20 }, (_, round) => `in/a=${round}`));
  });

  it("whose session ended with a connection that it takes over stand for new messages, once that is on disk", async () => {
    await using before = await RawClient.connect(site.broker.address, { id: "c", clean: true });
    before.publish("in/a", "old", { qos: 2, messageId: 1 });
    await before.next("pubrec");
    await using other = await RawClient.connect(site.broker.address, { id: "other" });
    site.intake.holdingClears = true;
    let connected = false;
    const connecting = RawClient.connect(site.broker.address, { id: "c", clean: false }).finally(() => (connected = true));
    await eventually(() => expect(site.intake.heldClears.length).toBeGreaterThan(0));
    for (let i = 0; i < 5; i++) await other.ping();
    expect(connected).toBe(false);
    site.intake.holdingClears = false;
    for (const written of site.intake.heldClears.splice(0)) written();
    await using client = await connecting;
    client.publish("in/a", "new", { qos: 2, messageId: 1 });
    await client.next("pubrec");
    expect(site.intake.texts).toEqual(["in/a=old", "in/a=new"]);
  });

  it("of a session that has just ended stand for new messages, once that is on disk", async () => {
    const before = await RawClient.connect(site.broker.address, { id: "c", clean: true });
    before.publish("in/a", "old", { qos: 2, messageId: 1 });
    await before.next("pubrec");
    site.intake.holdingClears = true;
    before.socket.destroy();
    await eventually(() => expect(site.intake.heldClears).toHaveLength(1));
    let connected = false;
    const connecting = RawClient.connect(site.broker.address, { id: "c", clean: false }).finally(() => (connected = true));
    await using other = await RawClient.connect(site.broker.address, { id: "other", clean: false });
    for (let i = 0; i < 5; i++) await other.ping();
    expect(connected).toBe(false);
    for (const written of site.intake.heldClears.splice(0)) written();
    await using client = await connecting;
    client.publish("in/a", "new", { qos: 2, messageId: 1 });
    await client.next("pubrec");
    expect(site.intake.texts).toEqual(["in/a=old", "in/a=new"]);
  });

  it.each([true, false])("of messages that are only brokered end with their session too (clean: %s)", async (clean) => {
    await using subscriber = await connectClient(site.broker.address);
    await subscriber.mqtt.subscribeAsync("other/#", { qos: 2 });
    {
      await using client = await RawClient.connect(site.broker.address, { id: "c", clean });
      client.publish("other/a", "old", { qos: 2, messageId: 1 });
      await client.next("pubrec");
    }
    await using client = await RawClient.connect(site.broker.address, { id: "c", clean: true });
    client.publish("other/a", "new", { qos: 2, messageId: 1 });
    await client.next("pubrec");
    await eventually(() => expect(subscriber.heard).toEqual(["other/a=old", "other/a=new"]));
  });

  it("that starts anew stand for new messages", async () => {
    {
      await using client = await RawClient.connect(site.broker.address, { id: "c", clean: false });
      client.publish("in/a", "old", { qos: 2, messageId: 1 });
      await client.next("pubrec");
    }
    expect(site.intake.openIds).toEqual(["c 1"]);
    await using client = await RawClient.connect(site.broker.address, { id: "c", clean: true });
    client.publish("in/a", "new", { qos: 2, messageId: 1 });
    await client.next("pubrec");
    expect(site.intake.texts).toEqual(["in/a=old", "in/a=new"]);
  });
});

describe("a message that wakes no function", () => {
  it("is brokered and not journaled", async () => {
    await using subscriber = await connectClient(site.broker.address);
    await subscriber.mqtt.subscribeAsync("#", { qos: 1 });
    await using publisher = await connectClient(site.broker.address);
    for (const qos of [0, 1, 2] as const) await publisher.mqtt.publishAsync("other/a", String(qos), { qos });
    await eventually(() => expect(subscriber.heard).toEqual(["other/a=0", "other/a=1", "other/a=2"]));
    expect(site.intake.taken).toEqual([]);
    expect(site.broker.counters).toMatchObject({ received: 3 });
  });
});

describe("a will", () => {
  it.each([0, 1, 2] as const)("of QoS %i wakes functions and subscribers, every time it is due", async (qos) => {
    await using subscriber = await connectClient(site.broker.address);
    await subscriber.mqtt.subscribeAsync("in/will", { qos: 2 });
    for (const text of ["first", "second"]) {
      const client = await RawClient.connect(site.broker.address, {
        id: "c",
        clean: false,
        will: { topic: "in/will", payload: Buffer.from(text), qos, retain: false },
      });
      client.socket.destroy();
      await client.ended();
      await eventually(() => expect(subscriber.heard).toContain(`in/will=${text}`));
    }
    expect(site.intake.texts).toEqual(["in/will=first", "in/will=second"]);
  });
});

describe("a packet that cannot be taken", () => {
  it.each([
    ["topic of the broker", "$SYS/x", "1"],
    ["payload over its limit", "in/a", "x".repeat(10_001)],
    ["packet far over its limit", "in/a", "x".repeat(200_000)],
    ["topic with too many levels", "in" + "/a".repeat(100), "1"],
  ])("because of a %s is refused, and the broker goes on", async (_what, topic, text) => {
    for (const version of [4, 5] as const) {
      await using client = await RawClient.connect(site.broker.address, { id: "c", version });
      client.publish(topic, text, { qos: 1, messageId: 7 });
      const answer = await client.next("puback").catch(() => ({ reasonCode: 0x87 })); // Or the connection is closed instead.
      // Before version 5 there is no way to say so [MQTT-3.3.5-2].
      expect(answer).toMatchObject(version === 4 && topic.startsWith("$") ? { cmd: "puback" } : { reasonCode: 0x87 });
    }
    await using other = await connectClient(site.broker.address);
    await other.mqtt.publishAsync("in/b", "2", { qos: 1 });
    expect(site.intake.texts).toEqual(["in/b=2"]);
    expect(site.broker.counters.refused).toBeGreaterThan(0);
  });

  it("because of properties that do not fit into a record is refused, and the broker goes on", async () => {
    const large = [
      { userProperties: { a: "x".repeat(60_000), b: "y".repeat(20_000) } },
      { correlationData: Buffer.alloc(60_000, 1) },
      { userProperties: { a: "\u0001".repeat(30_000) } },
    ];
    for (const properties of large) {
      await using client = await RawClient.connect(site.broker.address, { id: "c", version: 5 });
      client.publish("in/a", "1", { qos: 1, messageId: 7, properties });
      expect(await client.next("puback")).toMatchObject({ reasonCode: 0x87 });
    }
    expect(site.intake.taken).toEqual([]);
  });

  it("because it is no MQTT ends its connection only", async () => {
    await using good = await connectClient(site.broker.address);
    await using bad = await RawClient.connect(site.broker.address, { id: "c" });
    bad.socket.write(Buffer.from([0xf7, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]));
    await bad.ended();
    await good.mqtt.publishAsync("in/a", "1", { qos: 1 });
    expect(site.intake.texts).toEqual(["in/a=1"]);
  });
});
