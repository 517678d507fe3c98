import { connect } from "node:net";
import { generate } from "mqtt-packet";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Broker } from "../../../src/broker/broker.ts";
import { eventually } from "../../support/eventually.ts";
import { RawClient, startBroker } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

const INFLIGHT_MAX = 20;

const site = brokerForEach({ inflightMax: INFLIGHT_MAX });

afterEach(() => {
  for (const answer of site.intake.held) answer();
});

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `in/a=${index + 1}`);
}

function publish(index: number, protocolVersion = 4): Buffer {
  const packet = { cmd: "publish", topic: "in/a", payload: String(index), qos: 1, messageId: index, dup: false, retain: false } as const;
  return generate(packet, { protocolVersion });
}

/** Lets the journal answer what it holds until it has taken `count` messages. */
async function answerUntil(count: number): Promise<number> {
  let heldMost = 0;
  await eventually(
    () => {
      heldMost = Math.max(heldMost, site.intake.held.length);
      site.intake.held.shift()?.();
      expect(site.intake.taken).toHaveLength(count);
    },
    { interval: 1 },
  );
  return heldMost;
}

describe.each([4, 5] as const)("messages that wait for the journal, in MQTT version %i,", (version) => {
  it.each(["one by one", "all at once"])("are no more than the limit in memory, and all are taken in their order, sent %s", async (how) => {
    site.intake.holding = true;
    await using client = await RawClient.connect(site.broker.address, { id: "c", version });
    // A version 5 client that is told the limit must not send more than this many.
    const count = how === "all at once" && version === 5 ? 2 * INFLIGHT_MAX : 300;
    for (let index = 1; index <= count; index++) {
      client.publish("in/a", String(index), { qos: 1, messageId: index });
      if (how === "one by one") await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => expect(site.intake.held).toHaveLength(INFLIGHT_MAX));
    expect(await answerUntil(count)).toBe(INFLIGHT_MAX);
    expect(site.intake.texts).toEqual(numbers(count));
    await eventually(() => expect(client.received.filter(({ cmd }) => cmd === "puback")).toHaveLength(count));
    expect(site.broker.counters.received).toBe(count);
  });

  it("do not keep a client that has as many as it may from being answered otherwise", async () => {
    site.intake.holding = true;
    await using client = await RawClient.connect(site.broker.address, { id: "c", version });
    for (let index = 1; index <= INFLIGHT_MAX; index++) client.publish("in/a", String(index), { qos: 1, messageId: index });
    await eventually(() => expect(site.intake.held).toHaveLength(INFLIGHT_MAX));
    await client.ping();
    client.publish("elsewhere", "x");
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 1 }] });
    await client.next("suback");
  });
});

it("a version 5 client that sends far more than it was told it may is disconnected with Receive Maximum exceeded", async () => {
  site.intake.holding = true;
  await using client = await RawClient.connect(site.broker.address, { id: "c", version: 5 });
  const packets = Array.from({ length: 2 * INFLIGHT_MAX + 1 }, (_, index) => publish(index + 1, 5));
  client.socket.write(Buffer.concat(packets));
  expect(await client.next("disconnect")).toMatchObject({ reasonCode: 0x93 });
  await client.ended();
  expect(site.intake.held).toHaveLength(INFLIGHT_MAX);
});

it("QoS 0 in numbers neither waits for messages that are under way nor gets out of order", async () => {
  await using client = await RawClient.connect(site.broker.address, { id: "c" });
  for (let index = 1; index <= 5_000; index++) client.publish("in/a", String(index));
  await eventually(() => expect(site.intake.taken).toHaveLength(5_000));
  expect(site.intake.texts).toEqual(numbers(5_000));
});

it.each([1, 2, 100])(
  "%i messages that come with the CONNECT, and more while the session's queue is sent, keep their order",
  async (early) => {
    {
      await using stored = await RawClient.connect(site.broker.address, { id: "c", clean: false });
      stored.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "q/#", qos: 1 }] });
      await stored.next("suback");
    }
    await using publisher = await RawClient.connect(site.broker.address, { id: "publisher" });
    for (let index = 1; index <= 100; index++) {
      publisher.publish("q/a", "x", { qos: 1, messageId: index });
      await publisher.next("puback");
    }
    const { hostname, port } = new URL(site.broker.address);
    const socket = connect(Number(port), hostname);
    const hello = generate({ cmd: "connect", clientId: "c", protocolId: "MQTT", protocolVersion: 4, clean: false, keepalive: 0 });
    socket.write(Buffer.concat([hello, ...Array.from({ length: early }, (_, index) => publish(index + 1))]));
    socket.once("data", () => {
      for (let index = early + 1; index <= early + 10; index++) socket.write(publish(index));
    });
    await eventually(() => expect(site.intake.texts).toEqual(numbers(early + 10)));
    socket.destroy();
  },
);

describe("when clients have sent more than there is room for", () => {
  const ROOM = 64 * 1024;
  const PAYLOAD = "x".repeat(8_000);
  /** One packet goes past the bound, and each of the two clients may always have one. */
  const MOST = ROOM + 2 * 8_000;
  let small: Broker;

  beforeEach(async () => {
    small = await startBroker(site.intake, `${site.folder.path}/small`, { inflightMax: 1_000, inflightBytesMax: ROOM });
    site.intake.holding = true;
  });
  afterEach(async () => {
    site.intake.holding = false;
    for (const answer of site.intake.held.splice(0)) answer();
    await small.close();
  });

  const flood = (client: RawClient, count: number, topic = "in/a"): void => {
    for (let index = 1; index <= count; index++) client.publish(topic, PAYLOAD, { qos: 1, messageId: index });
  };

  it("they are not read any further, whatever they send, and all of it comes through in the end", async () => {
    await using one = await RawClient.connect(small.address, { id: "one" });
    await using two = await RawClient.connect(small.address, { id: "two", version: 5 });
    flood(one, 200);
    await eventually(() => expect(small.inflight.bytes).toBeGreaterThanOrEqual(ROOM));
    flood(two, 200, "in/b");
    await eventually(() => expect(site.intake.held).toHaveLength(10));
    expect(small.inflight.waits).toBeGreaterThan(0);
    let most = 0;
    await eventually(
      () => {
        most = Math.max(most, small.inflight.bytes);
        site.intake.held.shift()?.();
        expect(site.intake.taken).toHaveLength(400);
      },
      { interval: 1 },
    );
    expect(most).toBeLessThanOrEqual(MOST);
    await eventually(() => expect(small.inflight.bytes).toBe(0));
  });

  it("a client that has nothing under way still gets through what waits for nothing", async () => {
    await using full = await RawClient.connect(small.address, { id: "full" });
    await using other = await RawClient.connect(small.address, { id: "other" });
    flood(full, 100);
    await eventually(() => expect(small.inflight.bytes).toBeGreaterThanOrEqual(ROOM));
    for (let index = 1; index <= 50; index++) other.publish("elsewhere", PAYLOAD, { qos: 1, messageId: index });
    await eventually(() => expect(other.received.filter(({ cmd }) => cmd === "puback")).toHaveLength(50));
  });

  it("a client that goes away gives back its room, and the others go on", async () => {
    await using full = await RawClient.connect(small.address, { id: "full" });
    await using other = await RawClient.connect(small.address, { id: "other" });
    flood(full, 12); // Little enough that the broker learns of the end behind it.
    await eventually(() => expect(small.inflight.bytes).toBeGreaterThanOrEqual(ROOM));
    flood(other, 5, "in/b");
    await eventually(() => expect(site.intake.held).toHaveLength(10));
    full.socket.destroy();
    await eventually(() => expect(site.intake.held).toHaveLength(14));
    expect(small.inflight.bytes).toBe(5 * 8_000);
    for (const answer of site.intake.held.splice(0)) answer();
    await eventually(() => expect(small.inflight.bytes).toBe(0));
  });
});
