import { ClassicLevel } from "classic-level";
import { describe, expect, it } from "vitest";
import type { SessionLimits } from "../../../src/broker/session-ends.ts";
import { BOUNDS, RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";
import { eventually } from "../../support/eventually.ts";

const site = brokerForEach();

async function start(limits: Partial<SessionLimits>): Promise<void> {
  await site.restart({ sessions: { ...BOUNDS.sessions, ...limits } });
}

type Options = Parameters<typeof RawClient.connect>[1];

function connect(id: string, more: Partial<Options> = {}): Promise<RawClient> {
  return RawClient.connect(site.broker.address, { id, clean: false, ...more });
}

/** Subscribes and goes away; resolves when the broker knows that it is away. */
async function leave(id: string, more: Partial<Options> = {}): Promise<void> {
  const { clients } = site.broker;
  {
    await using client = await connect(id, more);
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "q", qos: 1 }] });
    await client.next("suback");
  }
  await eventually(() => expect(site.broker.clients).toBe(clients));
}

/** Whether there is a session for the client. */
async function isKept(id: string): Promise<boolean> {
  await using client = await connect(id);
  return client.sessionPresent;
}

/** Of the session: its end, its subscriptions and what waits for it. */
async function keysOnDisk(id: string): Promise<readonly string[]> {
  await site.broker.close();
  await using database = new ClassicLevel(site.folder.join("sessions"));
  return (await database.keys().all()).filter((key) => key.includes(id));
}

describe("more sessions than there may be", () => {
  it("ends the one that was left first, with what waits for it, also when it was left before a restart", async () => {
    await leave("first");
    await leave("second");
    await using publisher = await connect("publisher", { clean: true });
    publisher.publish("q", "waits", { qos: 1, messageId: 1 });
    await publisher.next("puback");
    await publisher[Symbol.asyncDispose]();
    expect(site.broker.stored).toMatchObject({ sessionsAway: 2, queuedMessages: 2 });
    await start({ max: 2 });
    expect(site.broker.stored.sessionsAway).toBe(2);
    await leave("third");
    await eventually(() =>
      expect(site.broker.stored).toMatchObject({ sessionsAway: 2, queuedMessages: 1, drops: [{ reason: "sessions", count: 1 }] }),
    );
    expect(await isKept("third")).toBe(true);
    expect(await isKept("second")).toBe(true);
    expect(await keysOnDisk("first")).toEqual([]);
  });

  it("publishes the will of a session that ends, which waited for its client", async () => {
    await start({ max: 1 });
    await using watcher = await connect("watcher", { clean: true });
    watcher.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "wills", qos: 0 }] });
    await watcher.next("suback");
    const properties = { willDelayInterval: 900 };
    await leave("first", { version: 5, will: { topic: "wills", payload: Buffer.from("w"), qos: 0, retain: false, properties } });
    await watcher.ping();
    expect(watcher.received).toEqual([]);
    await leave("second");
    expect(await watcher.next("publish")).toMatchObject({ topic: "wills", payload: Buffer.from("w") });
  });

  it("ends none whose client is connected, or when the broker closes", async () => {
    await start({ max: 1 });
    await using one = await connect("one");
    await using two = await connect("two");
    await using three = await connect("three");
    await Promise.all([one, two, three].map((client) => client.ping()));
    await start({ max: 1 });
    expect(site.broker.stored).toMatchObject({ sessionsAway: 3, drops: [] });
    const back = await Promise.all(["one", "two", "three"].map((id) => connect(id)));
    expect(back.map(({ sessionPresent }) => sessionPresent)).toEqual([true, true, true]);
    await Promise.all(back.map((client) => client[Symbol.asyncDispose]()));
  });
});

describe("a session whose client is away for longer than it may be", () => {
  it.each([4, 5] as const)("ends, with version %i and also over a restart", async (version) => {
    await start({ ageSecondsMax: 2 });
    await leave("c", { version });
    await start({ ageSecondsMax: 2 });
    await eventually(() => expect(site.broker.stored.sessionsAway).toBe(0));
    expect(site.broker.stored.drops).toEqual([]);
    expect(await keysOnDisk("c")).toEqual([]);
  });

  it("ends with what it was stored with before there was a limit", async () => {
    await leave("c");
    await start({ ageSecondsMax: 1 });
    await eventually(() => expect(site.broker.stored.sessionsAway).toBe(0));
    expect(await isKept("c")).toBe(false);
  });

  it("is told of in the CONNACK of version 5, when the client asks for more (MQTT 5, 3.2.2.3.2)", async () => {
    await start({ ageSecondsMax: 60 });
    await using asks = await connect("asks", { version: 5, expiry: 1_000 });
    expect(asks.connack).toMatchObject({ properties: { sessionExpiryInterval: 60 } });
    await using modest = await connect("modest", { version: 5, expiry: 10 });
    expect(modest.connack).not.toMatchObject({ properties: { sessionExpiryInterval: expect.anything() as unknown } });
    await using before = await connect("before");
    expect(before.connack).toMatchObject({ returnCode: 0 });
  });

  it("stays when the client is back in time", async () => {
    await start({ ageSecondsMax: 1 });
    await leave("c");
    await using client = await connect("c");
    await leave("other");
    await eventually(() => expect(site.broker.stored.sessionsAway).toBe(0));
    await client.ping();
    await client[Symbol.asyncDispose]();
    expect(await isKept("c")).toBe(true);
  });
});
