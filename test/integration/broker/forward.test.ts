import { describe, expect, it } from "vitest";
import { encodeMessage } from "../../../src/core/message.ts";
import { eventually } from "../../support/eventually.ts";
import { connectClient, RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

const site = brokerForEach({ payloadBytesMax: 100_000 });

async function subscribed(version: 4 | 5, filter: object): Promise<RawClient> {
  const client = await RawClient.connect(site.broker.address, { id: "subscriber", version });
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "out/#", qos: 1, ...filter }] });
  await client.next("suback");
  return client;
}

function heardBy(client: RawClient): { text: string; id: number | undefined }[] {
  return client.received.flatMap((packet) =>
    packet.cmd === "publish" ? [{ text: String(packet.payload).trim(), id: packet.messageId }] : [],
  );
}

function record(text: string): Uint8Array {
  return encodeMessage({ topic: "out/a", payload: Buffer.from(text), qos: 1, retain: false, time: 0, source: "fn:f", hops: 1 });
}

describe("a client whose session ends with its connection", () => {
  it.each([4, 5] as const)("gets what is published in order, each with an id of its own, in version %d", async (version) => {
    await using subscriber = await subscribed(version, {});
    await using publisher = await RawClient.connect(site.broker.address, { id: "publisher", version: 5 });
    const sent = Array.from({ length: 300 }, (_, index) => String(index));
    // Some take the engine's way: they have properties, or are long.
    sent.forEach((text, index) => {
      const properties = index % 7 === 3 ? { properties: { contentType: "text/plain" } } : {};
      publisher.publish("out/a", index % 11 === 5 ? text.padEnd(20_000) : text, { qos: 1, messageId: index + 1, ...properties });
    });
    await eventually(() => expect(heardBy(subscriber)).toHaveLength(sent.length));
    expect(heardBy(subscriber).map(({ text }) => text)).toEqual(sent);
    expect(new Set(heardBy(subscriber).map(({ id }) => id)).size).toBe(sent.length);
  });

  it("goes on with the smallest packet id after the largest", async () => {
    await using subscriber = await subscribed(4, {});
    subscriber.onPacket = ({ cmd, messageId = 0 }) => void (cmd === "publish" && subscriber.send({ cmd: "puback", messageId }));
    let taken = 0;
    for (let from = 0; from < 70_000; from += 1_000) {
      site.broker.deliver(
        Array.from({ length: 1_000 }, () => record("x")),
        () => (taken += 1_000),
      );
      await eventually(() => expect(taken).toBe(from + 1_000), { interval: 1 });
    }
    await eventually(() => expect(heardBy(subscriber)).toHaveLength(taken));
    const ids = heardBy(subscriber).map(({ id }) => id ?? 0);
    expect(ids.slice(1)).toEqual(ids.slice(0, -1).map((id) => (id % 65_535) + 1));
  });

  it("does not get its own messages when it asked for that", async () => {
    await using subscriber = await subscribed(5, { nl: true });
    subscriber.publish("out/a", "mine", { qos: 1, messageId: 5 });
    await subscriber.next("puback");
    await using other = await connectClient(site.broker.address);
    await other.mqtt.publishAsync("out/a", "another's", { qos: 1 });
    await eventually(() => expect(heardBy(subscriber)).toHaveLength(1));
    expect(heardBy(subscriber)[0]?.text).toBe("another's");
  });

  it("holds back whoever publishes while it does not read, and loses nothing", async () => {
    await using subscriber = await subscribed(4, {});
    subscriber.socket.pause();
    let taken = 0;
    const pieces = 400;
    for (let index = 0; index < pieces; index++) site.broker.deliver([record(String(index).padEnd(15_000))], () => taken++);
    await using other = await connectClient(site.broker.address);
    await other.mqtt.publishAsync("elsewhere", "", { qos: 1 });
    expect(taken).toBeLessThan(pieces);
    subscriber.socket.resume();
    await eventually(() => expect(taken).toBe(pieces));
    await eventually(() => expect(heardBy(subscriber)).toHaveLength(pieces));
    expect(heardBy(subscriber).map(({ text }) => text)).toEqual(Array.from({ length: pieces }, (_, index) => String(index)));
  });

  it("keeps nothing waiting when it is gone", async () => {
    const subscriber = await subscribed(4, {});
    subscriber.socket.pause();
    let taken = 0;
    for (let index = 0; index < 400; index++) site.broker.deliver([record(String(index).padEnd(15_000))], () => taken++);
    subscriber.socket.destroy();
    await eventually(() => expect(taken).toBe(400));
  });
});
