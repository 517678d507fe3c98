import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectClient, RawClient } from "../../support/broker.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { Site } from "../../support/site.ts";

/** What a message becomes. */
const PUBLISHES = 40;
/** Enough for the sockets of both sides and the room that one function has. */
const LARGE = { messages: 70, bytes: 16_384 };
/** More records than a function may have on their way, and more bytes than sockets take. */
const SMALL = { messages: 150, bytes: 1_500 };
const WAIT = { timeout: 60_000 };

const MANY = `
  const { to, from, bytes } = event.data;
  for (let n = 0; n < ${PUBLISHES}; n++) ctx.publish(to, (from + n + ' ').padEnd(bytes));`;

let site: Site;

beforeEach(async () => {
  site = await Site.open(
    functionOf({ name: "many", triggers: ["many"], handler: MANY, limits: { cpuMs: 2_000 } }),
    functionOf({ name: "quick", triggers: ["quick"], handler: "ctx.publish('out/quick', event.text);" }),
  );
});

afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

async function subscriber(topic: string, options: { clean: boolean; qos?: 0 | 1 }): Promise<RawClient> {
  const client = await RawClient.connect(site.gateway.addresses.mqtt, { id: `of ${topic}`, clean: options.clean });
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: options.qos ?? 1 }] });
  await client.next("suback");
  return client;
}

/** Acknowledges and keeps what is published, by number. */
function listen(client: RawClient): number[] {
  const numbers: number[] = [];
  client.onPacket = (packet) => {
    if (packet.cmd !== "publish") return;
    numbers.push(Number(String(packet.payload).trim()));
    if (packet.qos > 0) client.send({ cmd: "puback", messageId: packet.messageId ?? 0 });
    client.received.length = 0;
  };
  return numbers;
}

async function send({ messages, bytes }: typeof LARGE): Promise<void> {
  const from = Array.from({ length: messages }, (_, index) => index * PUBLISHES);
  await Promise.all(from.map((first) => site.send("many", JSON.stringify({ to: "out/many", from: first, bytes }))));
}

function numbersOf({ messages }: typeof LARGE): number[] {
  return Array.from({ length: messages * PUBLISHES }, (_, index) => index);
}

describe("a subscriber that is too slow for what one function publishes", () => {
  it.each([0, 1] as const)("holds back that function, and no other, and misses nothing, with QoS %d", async (qos) => {
    await using slow = await subscriber("out/many", { clean: true, qos });
    slow.socket.pause();
    await using other = await connectClient(site.gateway.addresses.mqtt);
    await other.mqtt.subscribeAsync("out/quick", { qos: 1 });
    await send(LARGE);
    await eventually(() => expect(site.stats("many").waitsFor).toBe("subscribers"), WAIT);
    const before = site.stats("many").handled;
    for (let n = 0; n < 500; n++) await site.send("quick", String(n));
    await eventually(() => expect(other.heard).toHaveLength(500), WAIT);
    expect(site.stats("quick").waitsFor).toBeUndefined();
    // What was under way when it was told to wait is all that was handled meanwhile.
    expect(site.stats("many").handled - before).toBeLessThan(LARGE.messages / 2);
    expect(site.stats("many").backlog).toBeGreaterThan(0);
    const numbers = listen(slow);
    slow.socket.resume();
    await eventually(() => expect(numbers).toHaveLength(LARGE.messages * PUBLISHES), WAIT);
    expect(numbers).toEqual(numbersOf(LARGE));
    expect(site.stats("many").waitsFor).toBeUndefined();
  });

  it("holds back nobody once it is gone", async () => {
    await using slow = await subscriber("out/many", { clean: true });
    slow.socket.pause();
    await send(LARGE);
    await eventually(() => expect(site.stats("many").waitsFor).toBe("subscribers"), WAIT);
    slow.socket.destroy();
    await eventually(() => expect(site.stats("many").handled).toBe(LARGE.messages), WAIT);
  });
});

describe("a subscriber with a stored session", () => {
  it("holds back nobody while it is away, and gets everything when it is back", async () => {
    const before = await subscriber("out/many", { clean: false });
    before.send({ cmd: "disconnect" });
    await before.ended();
    await send(SMALL);
    await eventually(() => expect(site.stats("many").handled).toBe(SMALL.messages), WAIT);
    await using back = await connectClient(site.gateway.addresses.mqtt, { clientId: "of out/many", clean: false });
    await eventually(() => expect(back.heard).toHaveLength(SMALL.messages * PUBLISHES), WAIT);
    const numbers = back.heard.map((text) => Number(text.slice("out/many=".length).trim()));
    expect(numbers).toEqual(numbersOf(SMALL));
  });

  it("holds back nobody while it does not read, and gets everything when it does", async () => {
    await using slow = await subscriber("out/many", { clean: false });
    slow.socket.pause();
    await send(SMALL);
    await eventually(() => expect(site.stats("many").handled).toBe(SMALL.messages), WAIT);
    const numbers = listen(slow);
    slow.socket.resume();
    await eventually(() => expect(numbers).toHaveLength(SMALL.messages * PUBLISHES), WAIT);
    expect(numbers).toEqual(numbersOf(SMALL));
  });
});
