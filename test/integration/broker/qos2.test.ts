import { connect, type Socket } from "node:net";
import { generate, parser } from "mqtt-packet";
import { afterEach, describe, expect, it } from "vitest";
import type { Broker } from "../../../src/broker/broker.ts";
import type { Intake } from "../../../src/broker/intake.ts";
import { openDatabase } from "../../../src/journal/database.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { eventually } from "../../support/eventually.ts";
import { RawClient, startBroker } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

/** Syncs of the sessions that are not done yet, while `holding` is set. */
const held: (() => void)[] = [];
let holding = false;

const site = brokerForEach({ synced: () => (holding ? new Promise((resolve) => held.push(resolve)) : Promise.resolve()) });

afterEach(release);

function release(): void {
  holding = false;
  for (const synced of held.splice(0)) synced();
}

async function subscribed(id: string, topic: string, qos: 1 | 2 = 1, at: Broker = site.broker): Promise<RawClient> {
  const client = await RawClient.connect(at.address, { id, clean: false });
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos }] });
  await client.next("suback");
  return client;
}

const texts = (client: RawClient): string[] =>
  client.received.flatMap((packet) => (packet.cmd === "publish" ? [packet.payload.toString()] : []));
const answers = (client: RawClient): string[] => client.received.map(({ cmd }) => cmd);

/** A connection that sends a QoS 2 message with its CONNECT. */
function eager(id: string, { topic, text }: { topic: string; text: string }, acknowledged: () => void): Socket {
  const { hostname, port } = new URL(site.broker.address);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined); // One of them is cut off by the other.
  const packets = parser();
  packets.on("packet", ({ cmd }) => (cmd === "pubrec" ? acknowledged() : undefined));
  socket.on("data", (chunk: Buffer) => void packets.parse(chunk));
  const hello = { cmd: "connect", clientId: id, protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0 } as const;
  const message = { cmd: "publish", topic, payload: text, qos: 2, messageId: 1, dup: false, retain: false } as const;
  socket.write(Buffer.concat([generate(hello), generate(message)]));
  return socket;
}

async function complete(client: RawClient, messageId: number): Promise<void> {
  await client.next("pubrec");
  client.send({ cmd: "pubrel", messageId });
  await client.next("pubcomp");
}

it("QoS 2 messages reach subscribers in the order of each topic, also when their client has changed its connection between them", async () => {
  const topics = Array.from({ length: 40 }, (_, index) => `out/${index}`);
  await using near = await subscribed("near", "#", 2);
  await using before = await RawClient.connect(site.broker.address, { id: "c", clean: false });
  holding = true;
  before.publish("first", "0", { qos: 2, messageId: 100 });
  await eventually(() => expect(held).toHaveLength(1));
  for (const [index, topic] of topics.entries()) before.publish(topic, "1", { qos: 2, messageId: index + 1 });
  await eventually(() => expect(site.broker.counters.received).toBe(41));
  await using client = await RawClient.connect(site.broker.address, { id: "c", clean: false });
  for (const [index, topic] of topics.entries()) client.publish(topic, "1", { qos: 2, messageId: index + 1, dup: true });
  for (const [index, topic] of topics.entries()) client.publish(topic, "2", { qos: 2, messageId: index + 41 });
  await eventually(() => expect(site.broker.counters.received).toBe(121));
  release();
  await eventually(() => expect(texts(near)).toHaveLength(81));
  for (const topic of topics) {
    const heard = near.received.flatMap((packet) =>
      packet.cmd === "publish" && packet.topic === topic ? [packet.payload.toString()] : [],
    );
    expect([topic, heard]).toEqual([topic, ["1", "2"]]);
  }
});

describe.each(["in/a", "out/a"])("a QoS 2 message to %s", (topic) => {
  it("that is sent again gets its PUBREC when the copies of the first one are on disk", async () => {
    await using away = await subscribed("away", "#");
    await using before = await RawClient.connect(site.broker.address, { id: "c", clean: false });
    holding = true;
    before.publish(topic, "1", { qos: 2, messageId: 1 });
    await eventually(() => expect(held).toHaveLength(1));
    await using client = await RawClient.connect(site.broker.address, { id: "c", clean: false });
    client.publish(topic, "1", { qos: 2, messageId: 1, dup: true });
    await eventually(() => expect(site.broker.counters.received).toBe(2));
    await client.ping();
    expect(answers(client)).toEqual([]);
    release();
    await complete(client, 1);
    // The id is free: it stands for another message now.
    client.publish(topic, "2", { qos: 2, messageId: 1 });
    await complete(client, 1);
    await eventually(() => expect(texts(away)).toEqual(["1", "2"]));
  });

  it("of a connection whose session ends meanwhile does not stand for one of the next session", async () => {
    await using away = await subscribed("away", "#");
    await using before = await RawClient.connect(site.broker.address, { id: "c", clean: true });
    [site.intake.holding, holding] = [true, true];
    before.publish(topic, "1", { qos: 2, messageId: 1 });
    await eventually(() => expect(site.intake.held.length + held.length).toBe(1));
    await using client = await RawClient.connect(site.broker.address, { id: "c", clean: true });
    site.intake.holding = false;
    release();
    for (const journaled of site.intake.held.splice(0)) journaled();
    await eventually(() => expect(texts(away)).toEqual(["1"]));
    client.publish(topic, "2", { qos: 2, messageId: 1 });
    await complete(client, 1);
    await eventually(() => expect(texts(away)).toEqual(["1", "2"]));
  });

  it("behind the CONNECT of one of two connections with an id is not taken for the other one's", async () => {
    await using connected = await RawClient.connect(site.broker.address, { id: "connected" });
    connected.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 2 }] });
    await connected.next("suback");
    const acknowledged: string[] = [];
    for (let round = 0; round < 20; round++) {
      const id = `c${round}`;
      const sockets = ["first", "second"].map((name) => {
        const text = `${round} ${name}`;
        return eager(id, { topic, text }, () => acknowledged.push(text));
      });
      await eventually(() => expect(acknowledged).toContain(`${round} second`));
      for (const socket of sockets) socket.destroy();
    }
    await eventually(() => expect(acknowledged.filter((text) => !texts(connected).includes(text))).toEqual([]));
  });

  it("and those that follow it reach subscribers in the order in which they came", async () => {
    const count = 90;
    await using connected = await RawClient.connect(site.broker.address, { id: "connected" });
    connected.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 2 }] });
    await connected.next("suback");
    const expected = Array.from({ length: 3 * count }, (_, i) => String(i + 1));
    await using client = await RawClient.connect(site.broker.address, { id: "c" });
    client.onPacket = ({ cmd, messageId }) => {
      if (cmd === "pubrec" && messageId !== undefined) client.send({ cmd: "pubrel", messageId });
    };
    for (const round of [0, 1, 2]) {
      // In the second round with copies for a session that is away.
      if (round === 1) await (await subscribed("away", topic))[Symbol.asyncDispose]();
      const [from, to] = [round * count, (round + 1) * count];
      for (let at = from; at < to; at++) client.publish(topic, expected[at] ?? "", { qos: 2, messageId: at + 1 });
      await eventually(() => expect(client.received.filter(({ cmd }) => cmd === "pubcomp")).toHaveLength(to));
    }
    await eventually(() => expect(texts(connected)).toEqual(expected));
    await using away = await RawClient.connect(site.broker.address, { id: "away", clean: false });
    await eventually(() => expect(texts(away)).toEqual(expected.slice(count)));
  });

  it("gets no PUBREC when its copies cannot be stored, however often it is sent", async () => {
    let full = false;
    await site.restart({
      synced: () => (full ? Promise.reject(new Error("No space left on device")) : Promise.resolve()),
    });
    await using away = await subscribed("away", "#");
    full = true;
    for (const dup of [false, true, true]) {
      await using client = await RawClient.connect(site.broker.address, { id: "c", clean: false });
      client.publish(topic, "1", { qos: 2, messageId: 1, dup });
      await client.ended();
      expect(answers(client)).toEqual([]);
    }
    await expect(site.broker.stopped).rejects.toMatchObject({ code: "DISK_FULL" });
    expect(away.closed).toBe(false);
  });
});

it.each([1, 2] as const)("a session that subscribes between two messages of QoS %i gets them in order", async (qos) => {
  await using client = await RawClient.connect(site.broker.address, { id: "c" });
  const answer = qos === 1 ? "puback" : "pubrec";
  client.publish("in/a", "0", { qos, messageId: 9 });
  await client.next(answer); // From here on the broker knows that nobody wants the topic.
  site.intake.holding = true;
  client.publish("in/a", "1", { qos, messageId: 1 });
  await eventually(() => expect(site.intake.held).toHaveLength(1));
  await (await subscribed("away", "in/#"))[Symbol.asyncDispose]();
  client.publish("in/a", "2", { qos, messageId: 2 });
  await eventually(() => expect(site.intake.held).toHaveLength(2));
  for (const journaled of site.intake.held.splice(0)) journaled();
  await client.next(answer);
  await client.next(answer);
  await using away = await RawClient.connect(site.broker.address, { id: "away", clean: false });
  await eventually(() => expect(texts(away)).toEqual(["1", "2"]));
});

it("a QoS 2 message that the journal got while the broker was closing reaches sessions when it is sent again", async () => {
  let slow = Promise.withResolvers<void>();
  const open: typeof openDatabase = async (location) => {
    const database = await openDatabase(location);
    const batch = database.batch.bind(database);
    database.batch = async (ops, options) => {
      await batch(ops, options);
      if (options.points.has("qos2-append")) await slow.promise;
    };
    return database;
  };
  const start = async (): Promise<{ journal: Journal; own: Broker } & AsyncDisposable> => {
    const journal = await Journal.open({ location: site.folder.join("journal"), batchMax: 1_000 }, open);
    const real: Intake = {
      ledger: journal.qos2,
      matches: () => "durable",
      append: (entry, done) => journal.append(entry, done),
      appendOnce: (client, packetId, entry, done) => journal.qos2.append(client, packetId, entry, done),
    };
    const own = await startBroker(real, site.folder.join("real"));
    const dispose = async (): Promise<void> => {
      await own.close();
      slow.resolve();
      await journal.close();
    };
    return { journal, own, [Symbol.asyncDispose]: dispose };
  };
  {
    await using running = await start();
    await (await subscribed("away", "#", 1, running.own))[Symbol.asyncDispose]();
    await using client = await RawClient.connect(running.own.address, { id: "c", clean: false });
    client.publish("in/a", "1", { qos: 2, messageId: 1 });
    await eventually(() => expect(running.journal.appended).toBe(1));
  }
  slow = Promise.withResolvers();
  slow.resolve();
  await using running = await start();
  expect(running.journal.opened).toMatchObject({ end: "clean", qos2: 1 });
  await using client = await RawClient.connect(running.own.address, { id: "c", clean: false });
  client.publish("in/a", "1", { qos: 2, messageId: 1, dup: true });
  await complete(client, 1);
  await using away = await RawClient.connect(running.own.address, { id: "away", clean: false });
  await eventually(() => expect(texts(away)).toEqual(["1"]));
  expect(running.journal.nextSeq).toBe(2);
});
