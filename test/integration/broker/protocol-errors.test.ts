import { once } from "node:events";
import { connect } from "node:net";
import { generate, type Packet } from "mqtt-packet";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Broker } from "../../../src/broker/broker.ts";
import { eventually } from "../../support/eventually.ts";
import { connectClient, RawClient, startBroker, TestIntake } from "../../support/broker.ts";
import { TempFolder } from "../../support/temp-folder.ts";

let folder: TempFolder;
let broker: Broker;

beforeAll(async () => {
  folder = await TempFolder.make();
  broker = await startBroker(new TestIntake(), folder.path);
});

afterAll(async () => {
  await broker.close();
  await folder[Symbol.asyncDispose]();
});

/** What the broker sends to somebody who sends nothing but these bytes, until it closes the connection. */
async function answerTo(bytes: Buffer): Promise<Buffer> {
  const { hostname, port } = new URL(broker.address);
  const socket = connect({ host: hostname, port: Number(port) });
  const parts: Buffer[] = [];
  socket.on("data", (part: Buffer) => parts.push(part));
  socket.on("error", () => undefined); // A connection that is reset is closed.
  await once(socket, "connect");
  socket.write(bytes);
  await once(socket, "close");
  return Buffer.concat(parts);
}

const CONNECT = { cmd: "connect", protocolId: "MQTT", clientId: "again", clean: true, keepalive: 0 } as const;

describe("a version 5 client is told why it is disconnected", () => {
  it.each<[string, Packet | Buffer, number]>([
    ["a second CONNECT", { ...CONNECT, protocolVersion: 5 }, 0x82],
    ["an AUTH", Buffer.from([0xf0, 2, 0x18, 0]), 0x82],
    ["a malformed packet", Buffer.from([0x36, 7, 0, 1, 97, 0, 1, 0, 120]), 0x81],
    ["a remaining length of five bytes", Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0xff]), 0x81],
    ["a wildcard in a topic", Buffer.from([0x30, 6, 0, 3, 97, 47, 43, 0]), 0x90],
    ["a wildcard in the middle of a filter", { cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a/#/b", qos: 0 }] }, 0x8f],
    [
      "an alias that is too high",
      { cmd: "publish", topic: "a", payload: "x", qos: 0, dup: false, retain: false, properties: { topicAlias: 60_000 } },
      0x94,
    ],
    ["a packet that is too large", { cmd: "publish", topic: "a", payload: Buffer.alloc(200_000), qos: 0, dup: false, retain: false }, 0x95],
    ["a session that is to be kept after all", { cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 10 } }, 0x82],
  ])("%s", async (_, packet, reasonCode) => {
    await using client = await RawClient.connect(broker.address, { id: "wrong", version: 5 });
    if (Buffer.isBuffer(packet)) client.socket.write(packet);
    else client.send(packet);
    expect(await client.next("disconnect")).toMatchObject({ reasonCode });
    await client.ended();
  });

  it("as soon as a packet is known to be too large, before the rest of it comes", async () => {
    await using client = await RawClient.connect(broker.address, { id: "large", version: 5 });
    client.socket.write(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 97]));
    expect(await client.next("disconnect")).toMatchObject({ reasonCode: 0x95 });
  });
});

it("a version 4 client that breaks the protocol is cut off without a word, and others go on", async () => {
  await using other = await connectClient(broker.address);
  await using client = await RawClient.connect(broker.address, { id: "old" });
  client.socket.write(Buffer.from([0x32, 6, 0, 1, 97, 0, 0, 120]));
  await client.ended();
  expect(client.received).toEqual([]);
  await other.mqtt.publishAsync("a", "x", { qos: 1 });
});

it("nothing that comes behind a packet that is wrong is taken", async () => {
  await using other = await connectClient(broker.address);
  await other.mqtt.subscribeAsync("behind");
  await using client = await RawClient.connect(broker.address, { id: "old" });
  const publish = generate({ cmd: "publish", topic: "behind", payload: "x", qos: 0, dup: false, retain: false });
  client.socket.write(Buffer.concat([Buffer.from([0xc1, 0]), publish]));
  await client.ended();
  await other.mqtt.publishAsync("behind", "mine", { qos: 1 });
  await eventually(() => expect(other.heard).toContain("behind=mine"));
  expect(other.heard).toEqual(["behind=mine"]);
});

describe("a CONNECT that cannot be accepted", () => {
  it("of an unknown version is answered with code 1 of the old CONNACK", async () => {
    const bytes = Buffer.from([0x10, 14, 0, 4, ...Buffer.from("MQTT"), 6, 2, 0, 0, 0, 2, 97, 98]);
    expect(await answerTo(bytes)).toEqual(Buffer.from([0x20, 2, 0, 1]));
  });

  it("of version 5 is answered with a reason code", async () => {
    const bytes = Buffer.from([0x10, 18, 0, 4, ...Buffer.from("MQTT"), 5, 2, 0, 0, 3, 0x21, 0, 0, 0, 2, 97, 98]);
    expect(await answerTo(bytes)).toEqual(Buffer.from([0x20, 3, 0, 0x82, 0]));
  });

  it("of another protocol is not answered at all", async () => {
    expect(await answerTo(Buffer.from("GET / HTTP/1.1\r\n\r\n"))).toHaveLength(0);
  });
});
