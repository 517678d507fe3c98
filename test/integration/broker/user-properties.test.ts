import { once } from "node:events";
import { connect } from "node:net";
import { expect, it } from "vitest";
import { RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

const site = brokerForEach();

const PAIRS = ["z=1", "a=2", "z=3", "1=4"];

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

/** User properties as they are on the wire. */
const WIRE = Buffer.concat(PAIRS.map((pair) => Buffer.concat([Buffer.from([0x26]), ...pair.split("=").map(text)])));

/** A PUBLISH of QoS 1 with them, which the library would put in another order. */
function publish(topic: string, retain: boolean): Buffer {
  const body = Buffer.concat([text(topic), Buffer.from([0, 1, WIRE.length]), WIRE, Buffer.from("payload")]);
  return Buffer.concat([Buffer.from([0x32 | (retain ? 1 : 0), body.length]), body]);
}

function hasThem({ chunks }: RawClient): boolean {
  return Buffer.concat(chunks).includes(WIRE);
}

async function subscribe(client: RawClient, topic: string): Promise<void> {
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 1 }] });
  await client.next("suback");
}

async function send(topic: string, retain: boolean): Promise<void> {
  await using publisher = await RawClient.connect(site.broker.address, { id: "p", version: 5 });
  publisher.socket.write(publish(topic, retain));
  await publisher.next("puback");
}

it.each([true, false])("keep their order to those who are connected (clean: %s) [MQTT-3.3.2-18]", async (clean) => {
  await using client = await RawClient.connect(site.broker.address, { id: "s", version: 5, clean });
  await subscribe(client, "live");
  await send("live", false);
  await client.next("publish");
  expect(hasThem(client)).toBe(true);
});

it("keep their order in a queue, with what is kept, and over a restart", async () => {
  {
    await using client = await RawClient.connect(site.broker.address, { id: "away", version: 5, clean: false });
    await subscribe(client, "kept");
  }
  await send("kept", true);
  await site.restart();
  await using away = await RawClient.connect(site.broker.address, { id: "away", version: 5, clean: false });
  await away.next("publish");
  expect(hasThem(away)).toBe(true);
  await using later = await RawClient.connect(site.broker.address, { id: "later", version: 5 });
  await subscribe(later, "kept");
  await later.next("publish");
  expect(hasThem(later)).toBe(true);
});

it("of a will keep their order [MQTT-3.1.3-10]", async () => {
  await using client = await RawClient.connect(site.broker.address, { id: "s", version: 5 });
  await subscribe(client, "will");
  const { hostname, port } = new URL(site.broker.address);
  const socket = connect({ host: hostname, port: Number(port) });
  await once(socket, "connect");
  const will = Buffer.concat([Buffer.from([WIRE.length]), WIRE, text("will"), text("gone")]);
  const body = Buffer.concat([text("MQTT"), Buffer.from([5, 0x06, 0, 0, 0]), text("w"), will]);
  socket.write(Buffer.concat([Buffer.from([0x10, body.length]), body]));
  await once(socket, "data");
  socket.destroy();
  await client.next("publish");
  expect(hasThem(client)).toBe(true);
});
