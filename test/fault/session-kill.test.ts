import { expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { connectClient, RawClient } from "../support/broker.ts";
import { TempFolder } from "../support/temp-folder.ts";
import { startBrokerProcess } from "./broker-process.ts";

/**
 * The invariant: a client's message of QoS 1 or 2 that was acknowledged is with every subscriber that is away, and retained if it is to be,
 * whatever moment `kill -9` comes at after the acknowledgement; whether a function listens to it or not.
 */
const MESSAGES = 200;
/** The kill comes with the first, in the middle, and with the last acknowledgement. */
const KILLS_AFTER = [1, MESSAGES / 2, MESSAGES];

it.each(["plain/a", "in/a"])("what is published to %s and acknowledged reaches those who are away", { timeout: 180_000 }, async (topic) => {
  await using folder = await TempFolder.make();
  const subscriber = { clientId: "away", clean: false } as const;
  const acknowledged: string[] = [];
  const retained: string[] = [];
  {
    await using broker = await startBrokerProcess(folder.path);
    await using client = await connectClient(broker.address, subscriber);
    await client.mqtt.subscribeAsync(topic, { qos: 2 });
  }
  for (const qos of [1, 2] as const) {
    for (const [round, killAfter] of KILLS_AFTER.entries()) {
      await using broker = await startBrokerProcess(folder.path);
      await using client = await RawClient.connect(broker.address, { id: "publisher" });
      const name = (messageId: number): string => `${qos} ${round} ${messageId}`;
      let left = killAfter;
      let killed: Promise<void> | undefined;
      client.onPacket = ({ cmd, messageId = 0 }) => {
        if (cmd !== "puback" && cmd !== "pubrec") return;
        acknowledged.push(name(messageId));
        if (messageId === MESSAGES) retained.push(name(messageId));
        if (--left === 0) killed = broker.kill();
      };
      for (let messageId = 1; messageId <= MESSAGES; messageId++) {
        client.publish(topic, name(messageId), { qos, messageId, retain: messageId === MESSAGES });
      }
      await client.ended();
      await killed;
      expect(left).toBeLessThanOrEqual(0);
    }
  }
  await using broker = await startBrokerProcess(folder.path);
  await using client = await connectClient(broker.address, subscriber);
  await eventually(() => expect(acknowledged.filter((text) => !client.heard.includes(`${topic}=${text}`))).toEqual([]));
  // Of every message that was not acknowledged any more there may be copies too; of those that were there is one.
  expect(new Set(client.heard).size).toBe(client.heard.length);
  await using later = await connectClient(broker.address);
  await later.mqtt.subscribeAsync(topic, { qos: 1 });
  await eventually(() => expect(later.heard).toHaveLength(1));
  expect(retained.map((text) => `${topic}=${text}`)).toContain(later.heard[0]);
});

it.each(["plain/a", "in/a"])(
  "what a group is to get of %s and was acknowledged is with one of its members",
  { timeout: 180_000 },
  async (topic) => {
    await using folder = await TempFolder.make();
    const members = ["w1", "w2", "w3"].map((clientId) => ({ clientId, clean: false }) as const);
    const acknowledged: string[] = [];
    {
      await using broker = await startBrokerProcess(folder.path);
      for (const member of members) {
        await using client = await connectClient(broker.address, member);
        await client.mqtt.subscribeAsync(`$share/workers/${topic}`, { qos: 1 });
      }
    }
    for (const [round, killAfter] of KILLS_AFTER.entries()) {
      await using broker = await startBrokerProcess(folder.path);
      await using client = await RawClient.connect(broker.address, { id: "publisher" });
      let left = killAfter;
      let killed: Promise<void> | undefined;
      client.onPacket = ({ cmd, messageId = 0 }) => {
        if (cmd !== "puback") return;
        acknowledged.push(`${round} ${messageId}`);
        if (--left === 0) killed = broker.kill();
      };
      for (let messageId = 1; messageId <= MESSAGES; messageId++) client.publish(topic, `${round} ${messageId}`, { qos: 1, messageId });
      await client.ended();
      await killed;
    }
    await using broker = await startBrokerProcess(folder.path);
    const clients = await Promise.all(members.map((member) => connectClient(broker.address, member)));
    const heard = (): string[] => clients.flatMap((client) => client.heard);
    await eventually(() => expect(acknowledged.filter((text) => !heard().includes(`${topic}=${text}`))).toEqual([]));
    expect(new Set(heard()).size).toBe(heard().length);
    for (const client of clients) {
      expect(client.heard).not.toEqual([]);
      await client[Symbol.asyncDispose]();
    }
  },
);
