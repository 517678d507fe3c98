import { cp } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Broker } from "../../../src/broker/broker.ts";
import { eventually } from "../../support/eventually.ts";
import { connectClient, RawClient, startBroker, TestIntake } from "../../support/broker.ts";
import { entryOf } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

/**
 * The invariant: a power cut takes nothing from a session that the world outside was told is there: a subscription after its SUBACK, a client's
 * message after its PUBACK or PUBREC, a packet id that is free after its PUBCOMP, a function's message after the journal was told that it need not keep it.
 *
 * The power cut is the worst that there can be: what was written after the last sync is gone.
 */
const AWAY = { clientId: "away", clean: false } as const;

let folder: TempFolder;
let broker: Broker;
let syncs = 0;

/** A broker of which `disk` has what is on disk. */
async function start(): Promise<void> {
  const disk = folder.join("disk");
  const synced = async (location: string): Promise<void> => {
    await cp(location, disk, { recursive: true, force: true });
    syncs++;
  };
  broker = await startBroker(new TestIntake(), folder.path, { synced });
}

async function cutPower(): Promise<void> {
  const before = broker;
  const cut = await TempFolder.make();
  await cp(folder.join("disk"), cut.join("sessions"), { recursive: true });
  await before.close();
  await folder[Symbol.asyncDispose]();
  folder = cut;
  await start();
}

beforeEach(async () => {
  folder = await TempFolder.make();
  syncs = 0;
  await start();
});

afterEach(async () => {
  await broker.close();
  await folder[Symbol.asyncDispose]();
});

async function subscribe(...topics: readonly string[]): Promise<void> {
  await using client = await connectClient(broker.address, AWAY);
  await client.mqtt.subscribeAsync([...topics], { qos: 2 });
}

/** What the session finds when it comes back. */
async function heard(count: number): Promise<readonly string[]> {
  await using client = await connectClient(broker.address, AWAY);
  await eventually(() => expect(client.heard.length).toBeGreaterThanOrEqual(count));
  return client.heard;
}

function deliver(...texts: readonly string[]): Promise<void> {
  const records = texts.map((text) => entryOf("out/a", text).record);
  return new Promise((resolve) => broker.deliver(records, () => broker.secured(resolve)));
}

it.each(["plain/a", "in/a", "volatile/a"])("a message to %s that was acknowledged is still there", async (topic) => {
  await subscribe(topic);
  {
    await using client = await RawClient.connect(broker.address, { id: "c" });
    client.publish(topic, "1", { qos: 1, messageId: 1 });
    await client.next("puback");
    await cutPower();
  }
  {
    await using client = await RawClient.connect(broker.address, { id: "c" });
    client.publish(topic, "2", { qos: 2, messageId: 1 });
    await client.next("pubrec");
    await cutPower();
  }
  expect(await heard(2)).toEqual([`${topic}=1`, `${topic}=2`]);
});

/** Leaves the packet id 1 on disk. */
async function receiveTwo(client: RawClient): Promise<void> {
  client.publish("plain/a", "1", { qos: 2, messageId: 1 });
  await client.next("pubrec");
  client.publish("plain/a", "2", { qos: 1, messageId: 2 });
  await client.next("puback");
}

describe("the packet id of a QoS 2 message that no function wants", () => {
  it("is free after PUBCOMP: the next message with it is no duplicate", async () => {
    await subscribe("plain/a");
    {
      await using client = await RawClient.connect(broker.address, { id: "c", clean: false });
      await receiveTwo(client);
      client.send({ cmd: "pubrel", messageId: 1 });
      await client.next("pubcomp");
      await cutPower();
    }
    await using client = await RawClient.connect(broker.address, { id: "c", clean: false });
    client.publish("plain/a", "3", { qos: 2, messageId: 1 });
    await client.next("pubrec");
    expect((await heard(3)).toSorted()).toEqual(["plain/a=1", "plain/a=2", "plain/a=3"]);
  });

  it("is free in a session that began anew", async () => {
    await subscribe("plain/a");
    {
      await using client = await RawClient.connect(broker.address, { id: "c", clean: false });
      await receiveTwo(client);
    }
    {
      await using again = await RawClient.connect(broker.address, { id: "c", clean: true });
      expect(again.closed).toBe(false);
      await cutPower();
    }
    await using client = await RawClient.connect(broker.address, { id: "c", clean: false });
    client.publish("plain/a", "3", { qos: 2, messageId: 1 });
    await client.next("pubrec");
    expect((await heard(3)).toSorted()).toEqual(["plain/a=1", "plain/a=2", "plain/a=3"]);
  });
});

it("a session of version 5 that was resumed to end with its connection does so when a power cut ends it", async () => {
  const session = { id: "stored", version: 5, clean: false } as const;
  {
    await using client = await RawClient.connect(broker.address, session);
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "q/a", qos: 1 }] });
    await client.next("suback");
  }
  {
    await using client = await RawClient.connect(broker.address, { ...session, expiry: 0 });
    expect(client.sessionPresent).toBe(true);
    await subscribe("q/b"); // What was stored before is on disk with it.
    await cutPower();
  }
  await subscribe("q/b");
  await using client = await RawClient.connect(broker.address, session);
  expect(client.sessionPresent).toBe(false);
});

it("a retained message that was acknowledged is still there, and is the newest", async () => {
  await using client = await RawClient.connect(broker.address, { id: "c" });
  for (let messageId = 1; messageId <= 50; messageId++) {
    client.publish("plain/kept", String(messageId), { qos: 1, messageId, retain: true });
  }
  await eventually(() => expect(client.received.filter(({ cmd }) => cmd === "puback")).toHaveLength(50));
  await cutPower();
  await using later = await connectClient(broker.address);
  await later.mqtt.subscribeAsync("plain/kept", { qos: 1 });
  await eventually(() => expect(later.heard).toEqual(["plain/kept=50"]));
});

it("what functions publish is still there when the journal forgets it, and shares syncs", async () => {
  await subscribe("out/#");
  syncs = 0;
  const texts = Array.from({ length: 200 }, (_, i) => String(i));
  await Promise.all(texts.map((text) => deliver(text)));
  expect(syncs).toBeLessThan(10);
  await cutPower();
  expect(await heard(200)).toEqual(texts.map((text) => `out/a=${text}`));
});

it("what no stored session wants is done with at once", async () => {
  await using live = await connectClient(broker.address);
  await live.mqtt.subscribeAsync("out/#", { qos: 1 });
  syncs = 0;
  await deliver("1", "2");
  await eventually(() => expect(live.heard).toEqual(["out/a=1", "out/a=2"]));
  expect(syncs).toBe(0);
});

it("closing secures what was delivered before it", async () => {
  await subscribe("out/#");
  const forgotten = deliver("1");
  await eventually(() => expect(broker.counters.delivered).toBe(1));
  await broker.close();
  await forgotten;
  await cutPower();
  expect(await heard(1)).toEqual(["out/a=1"]);
});
