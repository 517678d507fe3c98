import { ClassicLevel } from "classic-level";
import { expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { connectClient, type TestClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

const site = brokerForEach();

function connect(clientId: string, sessionExpiryInterval: number, clean = false): Promise<TestClient> {
  return connectClient(site.broker.address, { protocolVersion: 5, clientId, clean, properties: { sessionExpiryInterval } });
}

async function leave(clientId: string, seconds: number): Promise<void> {
  await using client = await connect(clientId, seconds);
  await client.mqtt.subscribeAsync("q/#", { qos: 1 });
  await client.mqtt.endAsync();
}

/** Whether a message is kept for the client. */
async function isKept(clientId: string): Promise<boolean> {
  await using publisher = await connectClient(site.broker.address);
  await publisher.mqtt.publishAsync("q/a", "x", { qos: 1 });
  await site.broker.close();
  await using database = new ClassicLevel(site.folder.join("sessions"));
  const kept = await database.keys({ gte: `outgoing:${clientId}:`, lt: `outgoing:${clientId};` }).all();
  await database.close();
  await site.restart();
  return kept.length > 0;
}

it("a session whose client is away ends in time, also when the gateway was restarted meanwhile; one with more time stays", async () => {
  await leave("short", 1);
  await leave("long", 1_000);
  await leave("forever", 0xff_ff_ff_ff);
  await site.restart();
  await eventually(async () => expect(await isKept("short")).toBe(false), { interval: 2_000 });
  expect(await isKept("long")).toBe(true);
  expect(await isKept("forever")).toBe(true);
});

it("what waited for a session that ended does not reach the next one of its client", async () => {
  await leave("c", 1_000);
  await using publisher = await connectClient(site.broker.address);
  await publisher.mqtt.publishAsync("q/a", "before", { qos: 1 });
  {
    await using ending = await connect("c", 0, true);
    await ending.mqtt.endAsync();
  }
  await using next = await connect("c", 1_000);
  await next.mqtt.subscribeAsync("q/#", { qos: 1 });
  await publisher.mqtt.publishAsync("q/a", "after", { qos: 1 });
  await eventually(() => expect(next.heard).toEqual(["q/a=after"]));
});
