import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { generate, type Packet, parser } from "mqtt-packet";
import { expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

/**
 * The invariant: a client whose session is stored gets CONNACK before everything else [MQTT-3.2.0-1], then what waits for it and what is being
 * published, in the order of each topic [MQTT-4.6.0-6], nothing of it twice unless it did not acknowledge it, and nothing never.
 */
const TOPICS = ["q/a", "q/b", "q/c"];
const RECONNECTS = 30;

const site = brokerForEach();

interface Heard {
  readonly topic: string;
  readonly number: number;
  readonly dup: boolean;
}

/** A connection of the stored session that answers everything until it leaves. */
class Subscriber {
  readonly packets: Packet[] = [];
  readonly heard: Heard[] = [];
  /** What it acknowledged, or with QoS 2 took for good. */
  readonly acknowledged = new Set<string>();
  readonly socket: Socket;
  readonly #version: 4 | 5;
  #leaving = false;

  constructor(version: 4 | 5, { receiveMaximum, expiry = 1_000 }: { receiveMaximum?: number; expiry?: number } = {}) {
    this.#version = version;
    const { hostname, port } = new URL(site.broker.address);
    this.socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.socket.on("error", () => undefined);
    const packets = parser({ protocolVersion: version });
    packets.on("packet", (packet) => this.#take(packet));
    this.socket.on("data", (chunk: Buffer) => void packets.parse(chunk));
    const limits = receiveMaximum === undefined ? {} : { receiveMaximum };
    this.send({
      cmd: "connect",
      clientId: "stored",
      protocolId: "MQTT",
      protocolVersion: version,
      clean: false,
      keepalive: 0,
      ...(version === 5 ? { properties: { sessionExpiryInterval: expiry, ...limits } } : {}),
    });
  }

  send(packet: Packet): void {
    this.socket.write(generate(packet, { protocolVersion: this.#version }));
  }

  async until(cmd: Packet["cmd"]): Promise<void> {
    while (!this.packets.some((packet) => packet.cmd === cmd)) await once(this.socket, "data");
  }

  #take(packet: Packet): void {
    this.packets.push(packet);
    const { messageId = 0 } = packet;
    if (this.#leaving) return; // The broker may never see an answer to this.
    if (packet.cmd === "publish") {
      const number = Number(packet.payload.toString());
      this.heard.push({ topic: packet.topic, number, dup: packet.dup });
      if (packet.qos === 0) return;
      this.acknowledged.add(`${packet.topic} ${number}`);
      this.send({ cmd: packet.qos === 1 ? "puback" : "pubrec", messageId });
    } else if (packet.cmd === "pubrel") {
      this.send({ cmd: "pubcomp", messageId });
    }
  }

  /** Leaves when everything that it sent was taken. */
  async leave(): Promise<void> {
    this.#leaving = true;
    this.send({ cmd: "pingreq" });
    await this.until("pingresp");
    const closed = once(this.socket, "close");
    this.socket.destroy();
    await closed;
  }
}

/** Publishes round the topics, with numbers that grow by one in each, until it is told to stop. */
class Traffic {
  #next = 0;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(publisher: RawClient, qos: 1 | 2, perTurn: number) {
    this.#done = this.#run(publisher, qos, perTurn);
  }

  get published(): number {
    return this.#next;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(publisher: RawClient, qos: 1 | 2, perTurn: number): Promise<void> {
    let waiting = Promise.withResolvers<void>();
    let unanswered = 0;
    const last = qos === 1 ? "puback" : "pubcomp";
    publisher.onPacket = ({ cmd, messageId = 0 }) => {
      if (cmd === "pubrec") publisher.send({ cmd: "pubrel", messageId });
      else if (cmd === last && --unanswered === 0) waiting.resolve();
    };
    while (!this.#stopped) {
      waiting = Promise.withResolvers();
      unanswered = perTurn;
      for (let i = 0; i < perTurn; i++) {
        const number = this.#next++;
        publisher.publish(TOPICS[number % 3] ?? "", String(Math.floor(number / 3)), { qos, messageId: (number % 60_000) + 1 });
      }
      await waiting.promise;
      publisher.received.length = 0;
    }
  }
}

async function publisherNamed(id: string): Promise<RawClient> {
  return RawClient.connect(site.broker.address, { id });
}

function inOrder(heard: readonly Heard[]): boolean {
  return TOPICS.every((topic) => {
    const numbers = heard.filter((one) => one.topic === topic).map(({ number }) => number);
    return numbers.every((number, at) => at === 0 || number > (numbers[at - 1] ?? 0));
  });
}

function keys(heard: readonly Heard[]): string[] {
  return heard.map(({ topic, number }) => `${topic} ${number}`);
}

it.each([
  { version: 4, qos: 1 },
  { version: 5, qos: 2 },
] as const)(
  "a stored session that connects again and again under load, version $version, QoS $qos",
  { timeout: 60_000 },
  async ({ version, qos }) => {
    await using publisher = await publisherNamed("publisher");
    await using telemetry = await publisherNamed("telemetry");
    const first = new Subscriber(version);
    await first.until("connack");
    first.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "q/#", qos: 2 }] });
    first.send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic: "live", qos: 0 }] });
    await first.until("suback");
    await first.leave();
    const traffic = new Traffic(publisher, qos, 40);
    const acknowledged = new Set<string>();
    for (let round = 0; round < RECONNECTS; round++) {
      const gone = traffic.published;
      await eventually(() => expect(traffic.published).toBeGreaterThan(gone + 100), { interval: 5 });
      const back = new Subscriber(version);
      for (let i = 0; i < 20; i++) telemetry.publish("live", String(i));
      const from = traffic.published;
      await eventually(() => expect(traffic.published).toBeGreaterThan(from + 200), { interval: 5 });
      await back.leave();
      expect(back.packets[0]?.cmd).toBe("connack");
      const heard = back.heard.filter(({ topic }) => topic !== "live");
      expect(inOrder(heard)).toBe(true);
      expect(keys(heard).filter((key) => acknowledged.has(key))).toEqual([]);
      for (const one of back.acknowledged) acknowledged.add(one);
    }
    await traffic.stop();
    const last = new Subscriber(version);
    await eventually(() => expect(acknowledged.size + last.acknowledged.size).toBe(traffic.published));
    await last.leave();
    expect(inOrder(last.heard)).toBe(true);
  },
);

it(
  "a session that many messages wait for gets all of them in order, though more than one read is needed and the client is slow",
  { timeout: 60_000 },
  async () => {
    await using publisher = await publisherNamed("publisher");
    const first = new Subscriber(5);
    await first.until("connack");
    first.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "q/#", qos: 1 }] });
    await first.until("suback");
    await first.leave();
    const traffic = new Traffic(publisher, 1, 90);
    await eventually(() => expect(traffic.published).toBeGreaterThan(3_000));
    const back = new Subscriber(5, { receiveMaximum: 7 });
    const from = traffic.published;
    back.socket.pause();
    await eventually(() => expect(traffic.published).toBeGreaterThan(from + 300));
    back.socket.resume();
    await eventually(() => expect(back.heard.length).toBeGreaterThan(from));
    await traffic.stop();
    await eventually(() => expect(back.heard).toHaveLength(traffic.published));
    expect(inOrder(back.heard)).toBe(true);
    await back.leave();
  },
);

it("a session that is taken over under load loses nothing, and gets again only what the connection before did not acknowledge, marked so", async () => {
  await using publisher = await publisherNamed("publisher");
  let current = new Subscriber(5);
  await current.until("connack");
  current.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "q/#", qos: 1 }] });
  await current.until("suback");
  const traffic = new Traffic(publisher, 1, 40);
  const all = [current];
  for (let round = 0; round < 10; round++) {
    const from = traffic.published;
    await eventually(() => expect(traffic.published).toBeGreaterThan(from + 200), { interval: 5 });
    current = new Subscriber(5);
    all.push(current);
    await current.until("connack");
  }
  await traffic.stop();
  await eventually(() => expect(new Set(all.flatMap(({ heard }) => keys(heard))).size).toBe(traffic.published));
  await current.leave();
  for (const [at, { heard, packets }] of all.entries()) {
    expect(packets[0]?.cmd).toBe("connack");
    expect(inOrder(heard)).toBe(true);
    const before = new Set(all.slice(0, at).flatMap((other) => keys(other.heard)));
    expect(keys(heard.filter(({ dup }) => !dup)).filter((key) => before.has(key))).toEqual([]);
  }
});

it("a session of version 5 that is resumed to end with its connection gets what waits for it", async () => {
  await using publisher = await publisherNamed("publisher");
  const first = new Subscriber(5);
  await first.until("connack");
  first.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "q/#", qos: 1 }] });
  await first.until("suback");
  await first.leave();
  publisher.publish("q/a", "1", { qos: 1, messageId: 1 });
  await publisher.next("puback");
  const back = new Subscriber(5, { expiry: 0 });
  await back.until("publish");
  publisher.publish("q/a", "2", { qos: 1, messageId: 2 });
  await eventually(() => expect(back.heard.map(({ number }) => number)).toEqual([1, 2]));
  back.send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic: "r", qos: 1 }] });
  await back.until("suback");
  publisher.publish("r", "3", { qos: 1, messageId: 3 });
  await eventually(() => expect(back.heard.map(({ number }) => number)).toEqual([1, 2, 3]));
  await back.leave();
  publisher.publish("q/a", "3", { qos: 1, messageId: 3 });
  const later = new Subscriber(5);
  await later.until("connack");
  expect(later.packets[0]).toMatchObject({ sessionPresent: false });
  await later.leave();
  expect(later.heard).toEqual([]);
});

function numbersOf(client: RawClient): Set<number> {
  return new Set(client.received.flatMap((packet) => (packet.cmd === "publish" ? [Number.parseInt(packet.payload.toString(), 10)] : [])));
}

it.each([1, 2] as const)("a connection that ends while its queue is being sent takes nothing of it along (QoS %i)", async (qos) => {
  const COUNT = 2_000;
  await using publisher = await publisherNamed("publisher");
  await using first = await RawClient.connect(site.broker.address, { id: "stored", clean: false });
  first.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "q/#", qos }] });
  await first.next("suback");
  const body = "x".repeat(8_000);
  for (let n = 0; n < COUNT; n++) {
    publisher.publish("q/a", `${n} ${body}`, { qos: 1, messageId: n + 1 });
  }
  await eventually(() => expect(numbersOf(first).size).toBe(COUNT));
  // It has everything and has acknowledged nothing; the next one leaves when it has seen the first bytes.
  first.socket.destroy();
  const { hostname, port } = new URL(site.broker.address);
  const second = connect({ host: hostname, port: Number(port) });
  second.write(generate({ cmd: "connect", clientId: "stored", protocolId: "MQTT", protocolVersion: 4, clean: false, keepalive: 0 }));
  await once(second, "data");
  second.destroy();
  await using third = await RawClient.connect(site.broker.address, { id: "stored", clean: false });
  await eventually(() => expect(numbersOf(third).size).toBe(COUNT));
});
