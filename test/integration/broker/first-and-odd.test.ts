import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { generate, type Packet } from "mqtt-packet";
import { describe, expect, it } from "vitest";
import { brokerForEach } from "../../support/broker-site.ts";
import { RawClient } from "../../support/broker.ts";
import { eventually } from "../../support/eventually.ts";

const site = brokerForEach();

const PUBLISH = { cmd: "publish", payload: "x", dup: false, retain: false } as const;

/** Everything in one write, so that it arrives together. */
function together(version: 4 | 5, ...packets: readonly Packet[]): Buffer {
  return Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion: version })));
}

function retained(qos: 0 | 1 | 2): Packet {
  return { ...PUBLISH, topic: "first/a", qos, retain: true, ...(qos === 0 ? {} : { messageId: 7 }) };
}

describe.each([4, 5] as const)("what a client of version %i sends in one go", (version) => {
  it.each([0, 1, 2] as const)("is taken in its order: a message of QoS %i is retained before its sender subscribes", async (qos) => {
    await using client = await RawClient.connect(site.broker.address, { id: "c", version });
    client.socket.write(
      together(version, retained(qos), { cmd: "subscribe", messageId: 8, subscriptions: [{ topic: "first/#", qos: 0 }] }),
    );
    expect(await client.next("publish")).toMatchObject({ topic: "first/a", retain: true });
    client.send({ cmd: "pingreq" });
    await client.next("pingresp");
    expect(client.received.filter(({ cmd }) => cmd === "publish")).toHaveLength(0);
  });

  it("reaches a subscription that ends behind it", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "c", version });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "first/#", qos: 0 }] });
    await client.next("suback");
    client.socket.write(
      together(
        version,
        { ...PUBLISH, topic: "first/b", qos: 0 },
        {
          cmd: "unsubscribe",
          messageId: 2,
          unsubscriptions: ["first/#"],
        },
      ),
    );
    await client.next("unsuback");
    expect(client.received.filter(({ cmd }) => cmd === "publish")).toHaveLength(1);
  });

  it("has as first packet id of a new session 1", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "c", version });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "first/#", qos: 1 }] });
    await client.next("suback");
    client.publish("first/c", "x", { qos: 1, messageId: 40 });
    expect(await client.next("publish")).toMatchObject({ messageId: 1 });
  });
});

const MISPLACED: readonly (readonly [string, 1 | 2, readonly ("puback" | "pubrec" | "pubcomp")[]])[] = [
  ["QoS 1 with PUBREC", 1, ["pubrec"]],
  ["QoS 1 with PUBCOMP", 1, ["pubcomp"]],
  ["QoS 2 with PUBACK", 2, ["puback"]],
  ["QoS 2 with PUBCOMP at once", 2, ["pubcomp"]],
  ["QoS 2 with PUBACK in the end", 2, ["pubrec", "puback"]],
];

describe("a client that answers a message of", () => {
  it.each(MISPLACED)("%s is told so in version 5", async (_, qos, answers) => {
    await using client = await subscribed(5, qos);
    for (const cmd of answers) client.send({ cmd, messageId: 1, reasonCode: 0 });
    expect(await client.next("disconnect")).toMatchObject({ reasonCode: 0x82 });
    await client.ended();
  });

  it.each(MISPLACED)("%s is closed in version 3.1.1", async (_, qos, answers) => {
    await using client = await subscribed(4, qos);
    for (const cmd of answers) client.send({ cmd, messageId: 1 });
    await client.ended();
    expect(client.closed).toBe(true);
  });
});

it.each([4, 5] as const)("a client of version %i may repeat its PUBREC, and answer what it does not know", async (version) => {
  await using client = await subscribed(version, 2);
  for (let round = 0; round < 2; round++) {
    client.send({ cmd: "pubrec", messageId: 1, reasonCode: 0 });
    await client.next("pubrel");
  }
  for (const messageId of [1, 1, 77]) client.send({ cmd: "pubcomp", messageId, reasonCode: 0 });
  client.send({ cmd: "puback", messageId: 78, reasonCode: 0 });
  client.send({ cmd: "pingreq" });
  await client.next("pingresp");
  expect(client.closed).toBe(false);
});

/** It was sent a message with packet id 1. */
async function subscribed(version: 4 | 5, qos: 1 | 2): Promise<RawClient> {
  const client = await RawClient.connect(site.broker.address, { id: "c", version, clean: false });
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "first/#", qos }] });
  await client.next("suback");
  client.publish("first/d", "x", { qos, messageId: 40 });
  expect(await client.next("publish")).toMatchObject({ qos, messageId: 1 });
  return client;
}

describe("a client that accepts only small packets", () => {
  it("is closed without a CONNACK that is too large for it", async () => {
    const socket = await open();
    socket.write(connectPacket(2));
    expect(await answer(socket)).toHaveLength(0);
  });

  it("gets a DISCONNECT without the words", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "c", version: 5, properties: { maximumPacketSize: 30 } });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a/#/b", qos: 0 }] });
    const disconnect = await client.next("disconnect");
    expect(disconnect).toMatchObject({ reasonCode: 0x8f });
    expect(JSON.stringify(disconnect)).not.toContain("reasonString");
  });
});

function connect31(id: string): Buffer {
  return generate({ cmd: "connect", protocolId: "MQIsdp", protocolVersion: 3, clientId: id, clean: true, keepalive: 0 });
}

describe("a client of version 3.1", () => {
  it("may send a SUBSCRIBE and a PUBREL again, and say so", async () => {
    const socket = await open();
    let bytes = Buffer.alloc(0);
    socket.on("data", (part: Buffer) => (bytes = Buffer.concat([bytes, part])));
    socket.write(connect31("old"));
    await eventually(() => expect(bytes).toHaveLength(4));
    socket.write(Buffer.from([0x8a, 6, 0, 1, 0, 1, 97, 1, 0x6a, 2, 0, 9]));
    await eventually(() => expect(bytes.subarray(4).toString("hex")).toMatch(/^(9003000101|700200099003000101|90030001017002000)/));
    await eventually(() => expect(bytes.toString("hex")).toContain("70020009"));
    socket.destroy();
  });

  it("is told that its client id must not be empty", async () => {
    const socket = await open();
    socket.write(Buffer.from([0x10, 14, 0, 6, 77, 81, 73, 115, 100, 112, 3, 2, 0, 10, 0, 0]));
    expect([...(await answer(socket))]).toEqual([0x20, 2, 0, 2]);
  });
});

function deep(levels: number): string {
  return "a/".repeat(levels - 1) + "a";
}

describe("topics with too many levels", () => {
  it("are refused with a reason, and 100 levels are not too many", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "c", version: 5 });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: deep(100), qos: 0 }] });
    expect(await client.next("suback")).toMatchObject({ granted: [0] });
    client.publish(deep(100), "x", { qos: 0 });
    expect(await client.next("publish")).toMatchObject({ topic: deep(100) });
    client.send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic: deep(500), qos: 0 }] });
    expect(await client.next("disconnect")).toMatchObject({ reasonCode: 0x8f });
    await using other = await RawClient.connect(site.broker.address, { id: "d", version: 5 });
    other.publish(deep(500), "x", { qos: 0 });
    expect(await other.next("disconnect")).toMatchObject({ reasonCode: 0x90 });
  });
});

it("the first byte of a packet that no client sends is enough to be disconnected", async () => {
  await using client = await RawClient.connect(site.broker.address, { id: "c", version: 5 });
  client.socket.write(Buffer.from([0x0a, 0xc0]));
  expect(await client.next("disconnect")).toMatchObject({ reasonCode: 0x82 });
});

async function open(): Promise<Socket> {
  const { hostname, port } = new URL(site.broker.address);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => undefined); // A connection that is reset is closed.
  await once(socket, "connect");
  return socket;
}

/** Everything that comes until the broker closes the connection. */
async function answer(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on("data", (part: Buffer) => parts.push(part));
  await once(socket, "close");
  return Buffer.concat(parts);
}

function connectPacket(maximumPacketSize: number): Buffer {
  return generate(
    {
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 5,
      clientId: "tiny",
      clean: true,
      keepalive: 0,
      properties: { maximumPacketSize },
    },
    { protocolVersion: 5 },
  );
}
