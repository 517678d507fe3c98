import { ClassicLevel } from "classic-level";
import { expect, it } from "vitest";
import type { QueueLimits } from "../../../src/broker/bounds/queue-bounds.ts";
import { entryBytes } from "../../../src/broker/session-shelf.ts";
import { BOUNDS, RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";
import { eventually } from "../../support/eventually.ts";

const site = brokerForEach();

async function start(limits: Partial<QueueLimits>): Promise<void> {
  await site.restart({ queues: { ...BOUNDS.queues, ...limits } });
}

async function connect(id: string, receiveMaximum = 1_000): Promise<RawClient> {
  return RawClient.connect(site.broker.address, { id, version: 5, clean: false, properties: { receiveMaximum } });
}

/** With a subscription of its own, and then away. */
async function leave(id: string, qos: 1 | 2 = 1): Promise<void> {
  await using client = await connect(id);
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: `to/${id}`, qos }] });
  await client.next("suback");
}

async function publish(id: string, texts: readonly string[], qos: 1 | 2 = 1): Promise<void> {
  await using client = await RawClient.connect(site.broker.address, { id: "publisher" });
  for (const text of texts) {
    client.publish(`to/${id}`, text, { qos, messageId: 1 });
    await client.next(qos === 1 ? "puback" : "pubrec");
    if (qos === 1) continue;
    client.send({ cmd: "pubrel", messageId: 1 });
    await client.next("pubcomp");
  }
}

function textsOf(client: RawClient): string[] {
  return client.received.flatMap((packet) => (packet.cmd === "publish" ? [packet.payload.toString()] : []));
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
}

/** What the counters have to say, read from the disk. */
async function usageOnDisk(): Promise<{ queuedMessages: number; queuedBytes: number }> {
  await using database = new ClassicLevel<string, Buffer>(site.folder.join("sessions"), { valueEncoding: "buffer" });
  const entries = await database.iterator({ gte: "outgoing:", lt: "outgoing;" }).all();
  return {
    queuedMessages: entries.length,
    queuedBytes: entries.reduce((sum, [key, value]) => sum + entryBytes(key, value), 0),
  };
}

it("a client that was away gets the newest messages in their order; what was dropped is counted, and the counters are right after a restart", async () => {
  await start({ messagesMax: 10 });
  await leave("c");
  await publish("c", numbers(1, 25));
  const { stored } = site.broker;
  expect(stored).toMatchObject({ queuedMessages: 10, drops: [{ reason: "queue-messages", count: 15 }] });
  await site.broker.close();
  const { drops: _, ...counted } = stored;
  expect(counted).toMatchObject(await usageOnDisk());
  await start({ messagesMax: 10 });
  expect(site.broker.stored).toEqual({ ...counted, drops: [] });
  await publish("c", ["26"]);
  await using client = await connect("c");
  await eventually(() => expect(textsOf(client)).toEqual(numbers(17, 26)));
  for (const packet of client.received) if (packet.cmd === "publish") client.send({ cmd: "puback", messageId: packet.messageId ?? 0 });
  await client.ping();
  await eventually(() => expect(site.broker.stored).toMatchObject({ queuedMessages: 0, queuedBytes: 0 }));
});

it("a start with lower bounds drops what is above them", async () => {
  await leave("c");
  await publish("c", numbers(1, 20));
  await start({ messagesMax: 4 });
  expect(site.broker.stored).toMatchObject({ queuedMessages: 4, drops: [{ reason: "queue-messages", count: 16 }] });
  await using client = await connect("c");
  await eventually(() => expect(textsOf(client)).toEqual(numbers(17, 20)));
});

it("a message that is larger than a queue may be is not kept, and takes no other with it", async () => {
  await start({ bytesMax: 3_000 });
  await leave("c");
  await publish("c", ["small", "x".repeat(4_000), "after"]);
  expect(site.broker.stored.drops).toEqual([{ reason: "queue-bytes", count: 1 }]);
  await using client = await connect("c");
  await eventually(() => expect(textsOf(client)).toEqual(["small", "after"]));
});

it("when all queues together have too much, it is the longest that gets shorter", async () => {
  await start({ totalBytesMax: 30_000 });
  await leave("small");
  await leave("large");
  await publish("small", ["1", "2", "3"]);
  await publish(
    "large",
    numbers(1, 40).map((text) => text.padEnd(2_000)),
  );
  expect(site.broker.stored.queuedBytes).toBeLessThanOrEqual(30_000);
  await using small = await connect("small");
  await eventually(() => expect(textsOf(small)).toEqual(["1", "2", "3"]));
  await using large = await connect("large");
  await eventually(() => expect(textsOf(large).at(-1)?.trim()).toBe("40"));
  const count = site.broker.stored.drops[0]?.count ?? 0;
  expect(textsOf(large).map((text) => text.trim())).toEqual(numbers(count + 1, 40));
});

it("a slow client gets what it was sent and the newest of the rest, in order; what was sent with QoS 2 is never dropped", async () => {
  await start({ messagesMax: 5 });
  await leave("c", 2);
  await using slow = await connect("c", 3);
  await publish("c", numbers(1, 20), 2);
  await eventually(() => expect(textsOf(slow)).toEqual(["1", "2", "3"]));
  await slow[Symbol.asyncDispose]();
  await publish("c", numbers(21, 30), 2);
  await start({ messagesMax: 5 });
  await using client = await connect("c");
  await eventually(() => expect(textsOf(client)).toEqual(["1", "2", "3", ...numbers(26, 30)]));
  const resent = client.received.flatMap((packet) => (packet.cmd === "publish" && packet.dup ? [packet.payload.toString()] : []));
  expect(resent).toEqual(["1", "2", "3"]);
});

it("a client that keeps up loses nothing, however small the bound", async () => {
  await start({ messagesMax: 1 });
  await leave("c");
  await using client = await connect("c");
  client.onPacket = (packet) => {
    if (packet.cmd === "publish") client.send({ cmd: "puback", messageId: packet.messageId ?? 0 });
  };
  await client.ping();
  await using publisher = await RawClient.connect(site.broker.address, { id: "publisher" });
  for (let messageId = 1; messageId <= 90; messageId++) publisher.publish("to/c", String(messageId), { qos: 1, messageId });
  await eventually(() => expect(textsOf(client)).toEqual(numbers(1, 90)));
  expect(site.broker.stored.drops).toEqual([]);
});
