import { afterEach, describe, expect, it, vi } from "vitest";
import { SessionShelf } from "../../../src/broker/session-shelf.ts";
import { connectClient, RawClient, type TestClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";
import { eventually } from "../../support/eventually.ts";

/** What a member of a group leaves behind when its session ends, however much that is. */
const site = brokerForEach({ payloadBytesMax: 1024 ** 2 });

afterEach(() => {
  vi.restoreAllMocks();
});

const KEPT = { clean: false, protocolVersion: 5, properties: { sessionExpiryInterval: 1_000 } } as const;

async function member(clientId: string, clean = false): Promise<TestClient> {
  const client = await connectClient(site.broker.address, clean ? { clientId, protocolVersion: 5 } : { ...KEPT, clientId });
  await client.mqtt.subscribeAsync("$share/g/in", { qos: 1 });
  return client;
}

/** Messages with their numbers in front, all of which wait for a member that is away. */
async function fill(count: number, bytes: number): Promise<void> {
  const away = await member("away");
  await away[Symbol.asyncDispose]();
  await using publisher = await RawClient.connect(site.broker.address, { id: "publisher" });
  let acknowledged = 0;
  publisher.onPacket = ({ cmd }) => void (cmd === "puback" && acknowledged++);
  const rest = "x".repeat(bytes);
  for (let n = 1; n <= count; n++) {
    publisher.publish("in", `${n} ${rest}`, { qos: 1, messageId: (n % 65_000) + 1 });
    // No packet id may be taken twice at once.
    if (n % 10_000 === 0) await vi.waitUntil(() => acknowledged === n, { timeout: 30_000, interval: 1 });
  }
  await eventually(() => expect(acknowledged).toBe(count));
  publisher.received.length = 0;
  expect(site.broker.stored.queuedMessages).toBe(count);
}

function numbers({ heard }: TestClient): number[] {
  return heard.map((line) => Number.parseInt(line.slice("in=".length), 10));
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

describe.each([
  ["whose session is stored", false],
  ["whose session ends with its connection", true],
] as const)("another member, %s", (_, clean) => {
  it("gets 100,000 messages of a session that an operator ends, once and in order", { timeout: 180_000 }, async () => {
    await fill(100_000, 10);
    await using taker = await member("taker", clean);
    const turns: number[] = [];
    let since = performance.now();
    const beat = setInterval(() => {
      turns.push(performance.now() - since);
      since = performance.now();
    }, 10);
    expect(await site.broker.connections.forget("away")).toBe(true);
    await eventually(() => expect(taker.heard.length).toBeGreaterThanOrEqual(100_000), { timeout: 120_000 });
    clearInterval(beat);
    expect(numbers(taker)).toEqual(upTo(100_000));
    await eventually(() => expect(site.broker.stored).toMatchObject({ queuedMessages: 0, queuedBytes: 0 }));
    // The broker did other work in between: never all of it in one go.
    expect(turns.length).toBeGreaterThan(20);
  });

  it("gets large messages without more than two of them in memory at once", { timeout: 120_000 }, async () => {
    await fill(60, 700_000);
    const read = vi.spyOn(SessionShelf.prototype, "read");
    await using taker = await member("taker", clean);
    await site.broker.connections.forget("away");
    await eventually(() => expect(taker.heard).toHaveLength(60), { timeout: 60_000 });
    expect(numbers(taker)).toEqual(upTo(60));
    const sizes = await Promise.all(
      read.mock.results.map(async ({ value }) => (await (value as ReturnType<SessionShelf["read"]>)).packets.length),
    );
    expect(Math.max(...sizes)).toBe(2);
  });
});

it("what waits for a member that may not have it any more, or for a session that ends with nobody else, is nobody's", async () => {
  await fill(300, 10);
  await site.broker.connections.forget("away");
  await eventually(() => expect(site.broker.stored).toMatchObject({ queuedMessages: 0, queuedBytes: 0 }));
});
