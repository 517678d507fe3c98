import { ClassicLevel } from "classic-level";
import { describe, expect, it } from "vitest";
import type { RetainedLimits } from "../../../src/broker/bounds/retained-messages.ts";
import { entryBytes } from "../../../src/broker/session-shelf.ts";
import { BOUNDS, RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";
import { eventually } from "../../support/eventually.ts";

const site = brokerForEach();

async function start(limits: Partial<RetainedLimits>): Promise<void> {
  await site.restart({ retained: { ...BOUNDS.retained, ...limits } });
}

async function retain(topic: string, text: string, expirySeconds?: number): Promise<void> {
  await using client = await RawClient.connect(site.broker.address, { id: "publisher", version: 5 });
  const properties = expirySeconds === undefined ? {} : { messageExpiryInterval: expirySeconds };
  client.publish(topic, text, { qos: 1, messageId: 1, retain: true, properties });
  expect(await client.next("puback")).toMatchObject({ messageId: 1 });
}

async function subscriber(id: string): Promise<RawClient> {
  const client = await RawClient.connect(site.broker.address, { id, version: 5 });
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "r/#", qos: 0 }] });
  await client.next("suback");
  return client;
}

function heard(client: RawClient): string[] {
  return client.received.flatMap((packet) => (packet.cmd === "publish" ? [`${packet.topic}=${packet.payload.toString()}`] : []));
}

async function entriesOnDisk(): Promise<readonly [string, Buffer][]> {
  await using database = new ClassicLevel<string, Buffer>(site.folder.join("sessions"), { valueEncoding: "buffer" });
  return await database.iterator({ gte: "retained:", lt: "retained;" }).all();
}

describe("retained messages at their bound", () => {
  it("are delivered and not kept, unless they replace one; deleting makes room; counters are right after a restart", async () => {
    await start({ messagesMax: 2 });
    await using listener = await subscriber("listener");
    for (const [topic, text] of [
      ["r/a", "1"],
      ["r/b", "2"],
      ["r/c", "3"],
      ["r/a", "4"],
    ] as const)
      await retain(topic, text);
    await eventually(() => expect(heard(listener)).toEqual(["r/a=1", "r/b=2", "r/c=3", "r/a=4"]));
    expect(site.broker.stored).toMatchObject({ retainedMessages: 2, drops: [{ reason: "retained-messages", count: 1 }] });
    await retain("r/b", "");
    await retain("r/d", "5");
    const { stored } = site.broker;
    await site.broker.close();
    const entries = await entriesOnDisk();
    expect(stored).toMatchObject({
      retainedMessages: entries.length,
      retainedBytes: entries.reduce((sum, [key, value]) => sum + entryBytes(key, value), 0),
    });
    await start({ messagesMax: 2 });
    expect(site.broker.stored).toEqual({ ...stored, drops: [] });
    await retain("r/e", "6");
    await using later = await subscriber("later");
    await eventually(() => expect(heard(later)).toEqual(["r/a=4", "r/d=5"]));
  });

  it("leave no old value behind when a new one has no room", async () => {
    await start({ bytesMax: 3_000 });
    await retain("r/a", "small");
    await retain("r/b", "other");
    await retain("r/a", "x".repeat(4_000));
    expect(site.broker.stored).toMatchObject({ retainedMessages: 1, drops: [{ reason: "retained-bytes", count: 1 }] });
    await using later = await subscriber("later");
    await eventually(() => expect(heard(later)).toEqual(["r/b=other"]));
  });

  it("may be replaced by what takes no more, also after a start with lower bounds", async () => {
    await retain("r/a", "1");
    await retain("r/b", "2");
    await start({ messagesMax: 1, bytesMax: 100 });
    await retain("r/a", "3");
    await using later = await subscriber("later");
    await eventually(() => expect(heard(later)).toEqual(["r/a=3", "r/b=2"]));
  });
});

it("a retained message that has expired is deleted from the disk, while the broker runs and when it starts", async () => {
  await retain("r/a", "1", 1);
  await retain("r/b", "2");
  await eventually(() => expect(site.broker.stored.retainedMessages).toBe(1), { timeout: 20_000 });
  await retain("r/c", "3", 1);
  await site.broker.close();
  expect((await entriesOnDisk()).map(([key]) => key)).toEqual(["retained:r/b", "retained:r/c"]);
  await eventually(async () => {
    await site.restart();
    await site.broker.close();
    expect((await entriesOnDisk()).map(([key]) => key)).toEqual(["retained:r/b"]);
  });
});
