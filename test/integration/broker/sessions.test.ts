import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { Broker } from "../../../src/broker/broker.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { encodeMessage, type Message } from "../../../src/core/message.ts";
import { eventually } from "../../support/eventually.ts";
import { accessOf } from "../../support/access.ts";
import { connectClient, BOUNDS, RawClient, startBroker, TestIntake } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const site = brokerForEach({ clientsMax: 3 });

function record(topic: string, text: string, more: Partial<Message> = {}): Buffer {
  return encodeMessage({ topic, payload: Buffer.from(text), qos: 1, retain: false, time: 0, source: "fn:f", hops: 1, ...more });
}

function deliver(...records: readonly Buffer[]): Promise<void> {
  return new Promise((resolve) => site.broker.deliver(records, resolve));
}

describe.each([4, 5] as const)("MQTT version %i", (protocolVersion) => {
  it("subscribes, hears what matches, and unsubscribes", async () => {
    await using client = await connectClient(site.broker.address, { protocolVersion });
    await client.mqtt.subscribeAsync(["a/+/c", "d/#"], { qos: 2 });
    for (const topic of ["a/b/c", "a/b", "d", "d/e/f", "x"])
      for (const qos of [0, 1, 2] as const) await client.mqtt.publishAsync(topic, String(qos), { qos });
    const expected = ["a/b/c", "d", "d/e/f"].flatMap((topic) => [0, 1, 2].map((qos) => `${topic}=${qos}`));
    await eventually(() => expect(client.heard).toEqual(expected));
    await client.mqtt.unsubscribeAsync("d/#");
    await client.mqtt.publishAsync("d", "no more", { qos: 1 });
    await client.mqtt.publishAsync("a/b/c", "end", { qos: 1 });
    await eventually(() => expect(client.heard).toEqual([...expected, "a/b/c=end"]));
  });

  it("gets retained messages when it subscribes, also after a restart", async () => {
    {
      await using client = await connectClient(site.broker.address, { protocolVersion });
      await client.mqtt.publishAsync("kept/a", "1", { qos: 1, retain: true });
      await client.mqtt.publishAsync("kept/b", "2", { qos: 1, retain: true });
      await client.mqtt.publishAsync("kept/b", "", { qos: 1, retain: true });
    }
    await deliver(record("kept/fn", "3", { retain: true }));
    await site.restart();
    await using client = await connectClient(site.broker.address, { protocolVersion });
    await client.mqtt.subscribeAsync("kept/#", { qos: 1 });
    await eventually(() => expect(client.heard.toSorted()).toEqual(["kept/a=1", "kept/fn=3"]));
  });

  it("finds what was published while it was away, from clients and from functions, also after a restart", async () => {
    const options = {
      protocolVersion,
      clientId: "away",
      clean: false,
      ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3_600 } } : {}),
    };
    {
      await using client = await connectClient(site.broker.address, options);
      await client.mqtt.subscribeAsync("q/#", { qos: 1 });
    }
    await using publisher = await connectClient(site.broker.address);
    await publisher.mqtt.publishAsync("q/a", "1", { qos: 1 });
    await publisher.mqtt.publishAsync("q/a", "not kept", { qos: 0 });
    await deliver(record("q/b", "2"), record("q/c", "3"));
    await site.restart();
    await deliver(record("q/d", "4"));
    await using client = await connectClient(site.broker.address, options);
    await eventually(() => expect(client.heard).toEqual(["q/a=1", "q/b=2", "q/c=3", "q/d=4"]));
  });
});

describe("delivering what functions publish", () => {
  it("reaches subscribers in order, with the smaller of both QoS", async () => {
    await using client = await RawClient.connect(site.broker.address, { id: "c" });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "out/a", qos: 1 }] });
    await client.next("suback");
    // Messages of one QoS keep their order (MQTT 5, 4.6); one of QoS 0 may overtake others, which must not get lost by that.
    await deliver(...Array.from({ length: 300 }, (_, i) => record("out/a", String(i), { qos: (i % 3) as 0 | 1 | 2 })));
    await client.ping();
    const published = client.received.filter((packet) => packet.cmd === "publish");
    for (const qos of [0, 1, 2]) {
      const expected = Array.from({ length: 100 }, (_, i) => [String(i * 3 + qos), Math.min(qos, 1)]);
      const heard = published.filter(({ payload }) => Number(payload) % 3 === qos).map((packet) => [String(packet.payload), packet.qos]);
      expect(heard).toEqual(expected);
    }
    expect(site.broker.counters.delivered).toBe(300);
  });

  it("reaches a client once, however many of its subscriptions match", async () => {
    await using client = await connectClient(site.broker.address);
    await client.mqtt.subscribeAsync({ "out/#": { qos: 1 }, "out/+": { qos: 2 }, "out/a": { qos: 0 }, "#": { qos: 1 } });
    await deliver(...Array.from({ length: 30 }, (_, i) => record("out/a", String(i), { qos: (i % 3) as 0 | 1 | 2 })));
    await client.mqtt.publishAsync("end", "", { qos: 1 });
    await eventually(() => expect(client.heard.length).toBeGreaterThanOrEqual(31));
    expect(client.heard.toSorted()).toEqual(["end=", ...Array.from({ length: 30 }, (_, i) => `out/a=${i}`)].toSorted());
  });

  it("does not go through the intake again", async () => {
    await deliver(record("in/a", "1"));
    expect(site.intake.taken).toEqual([]);
  });
});

describe("a client whose session is stored", () => {
  const options = { clientId: "stored", clean: false } as const;

  it("hears everything once and in order while it is connected, and nothing of it again", async () => {
    const expected = Array.from({ length: 300 }, (_, i) => `q/${i % 2}=${i}`);
    {
      await using client = await connectClient(site.broker.address, options);
      await client.mqtt.subscribeAsync("q/#", { qos: 1 });
      await using publisher = await connectClient(site.broker.address);
      await Promise.all(expected.map((_, i) => publisher.mqtt.publishAsync(`q/${i % 2}`, String(i), { qos: 1 })));
      await eventually(() => expect(client.heard).toEqual(expected));
      const published = Array.from({ length: 300 }, (_, i) => String(i));
      await Promise.all(published.map((text) => deliver(record("q/f", text))));
      await eventually(() => expect(client.heard.slice(300)).toEqual(published.map((text) => `q/f=${text}`)));
      await client.mqtt.endAsync();
    }
    await using client = await connectClient(site.broker.address, options);
    await using publisher = await connectClient(site.broker.address);
    await publisher.mqtt.publishAsync("q/0", "last", { qos: 1 });
    await eventually(() => expect(client.heard).toEqual(["q/0=last"]));
  });

  it("may subscribe while others that are stored are being sent to", async () => {
    await using first = await connectClient(site.broker.address, options);
    await first.mqtt.subscribeAsync("q/#", { qos: 1 });
    await using publisher = await connectClient(site.broker.address);
    await using second = await connectClient(site.broker.address, { clientId: "other", clean: false });
    let ended = false;
    second.mqtt.once("close", () => (ended = true));
    for (let round = 0; round < 20; round++) {
      const sent = Array.from({ length: 20 }, (_, i) => publisher.mqtt.publishAsync("q/a", `${round} ${i}`, { qos: 1 }));
      await Promise.all([second.mqtt.subscribeAsync("q/#", { qos: 1 }), ...sent]);
      await publisher.mqtt.publishAsync("q/a", `end of ${round}`, { qos: 1 });
      await eventually(() => expect(second.heard.at(-1)).toBe(`q/a=end of ${round}`));
      await second.mqtt.unsubscribeAsync("q/#");
    }
    expect(ended).toBe(false);
    await eventually(() => expect(first.heard).toHaveLength(20 * 21));
  });
});

describe("the number of clients", () => {
  it("has an upper bound, also when they come all at once", async () => {
    const tries = await Promise.allSettled(Array.from({ length: 12 }, (_, i) => RawClient.connect(site.broker.address, { id: `c${i}` })));
    const tried = tries.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const clients = tried.filter(({ connack }) => connack?.cmd === "connack" && connack.returnCode === 0);
    expect(clients.length).toBe(3);
    expect(site.broker.clients).toBe(3);
    expect(site.broker.counters.refused).toBeGreaterThanOrEqual(9);
    clients[0]?.socket.destroy();
    await eventually(() => expect(site.broker.clients).toBe(2));
    clients.push(await RawClient.connect(site.broker.address, { id: "next" }));
    for (const client of clients) await client[Symbol.asyncDispose]();
  });
});

describe("starting", () => {
  it("says PORT_IN_USE and DATA_LOCKED", async () => {
    await using other = await TempFolder.make();
    await using taken = await new Promise<AsyncDisposable & { port: number }>((resolve) => {
      const server = createServer();
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        const port = typeof address === "object" && address !== null ? address.port : 0;
        resolve({ port, [Symbol.asyncDispose]: () => new Promise((closed) => server.close(() => closed())) });
      });
    });
    const options = {
      gateway: "g",
      location: other.join("sessions"),
      payloadBytesMax: 1,
      clientsMax: 1,
      inflightMax: 1,
      inflightBytesMax: 1_000_000,
      ...BOUNDS,
      durability: "fsync",
      access: accessOf(other.path),
    } as const;
    const second = await Broker.create({ ...options, endpoint: { host: "127.0.0.1", port: taken.port } }, new TestIntake(), silentLogger);
    await expect(second.listen()).rejects.toMatchObject({ code: "PORT_IN_USE" });
    await expect(
      Broker.create({ ...options, endpoint: { host: "127.0.0.1", port: 0 } }, new TestIntake(), silentLogger),
    ).rejects.toMatchObject({ code: "DATA_LOCKED" });
    await second.close();
  });

  it("and closing without ever listening, or with clients in the middle of something, ends", async () => {
    await using other = await TempFolder.make();
    const unused = await startBroker(new TestIntake(), other.path);
    site.intake.holding = true;
    const client = await RawClient.connect(site.broker.address, { id: "c" });
    client.publish("in/a", "1", { qos: 1, messageId: 1 });
    await eventually(() => expect(site.intake.held).toHaveLength(1));
    await Promise.all([unused.close(), site.broker.close(), site.broker.close()]);
    await client.ended();
    for (const answer of site.intake.held) answer();
  });
});
