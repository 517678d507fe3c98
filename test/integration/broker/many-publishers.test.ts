import { expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { connectClient, RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

const PUBLISHERS = 90;
const EACH = 60;

const site = brokerForEach({ inflightMax: EACH });

it.each([0, 1] as const)(
  "a subscriber of QoS %d misses nothing of what many send at once, more in a turn than its socket may have waiting",
  async (qos) => {
    await using subscriber = await RawClient.connect(site.broker.address, { id: "subscriber" });
    subscriber.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "t/#", qos }] });
    await subscriber.next("suback");
    const heard = new Map<string, string[]>();
    subscriber.onPacket = (packet) => {
      if (packet.cmd !== "publish") return;
      subscriber.received.length = 0;
      heard.set(packet.topic, [...(heard.get(packet.topic) ?? []), String(packet.payload)]);
      if (packet.qos > 0) subscriber.send({ cmd: "puback", messageId: packet.messageId ?? 0 });
    };
    await using publishers = new AsyncDisposableStack();
    const clients = await Promise.all(
      Array.from({ length: PUBLISHERS }, (_, index) => connectClient(site.broker.address, { clientId: `p${index}` })),
    );
    for (const client of clients) publishers.use(client);
    const texts = Array.from({ length: EACH }, (_, index) => String(index).padEnd(400));
    await Promise.all(clients.flatMap(({ mqtt }, index) => texts.map((text) => mqtt.publishAsync(`t/${index}`, text, { qos: 1 }))));
    await eventually(() => expect([...heard.values()].flat()).toHaveLength(PUBLISHERS * EACH));
    for (const each of heard.values()) expect(each).toEqual(texts);
    expect(site.broker.stored.drops).toEqual([]);
  },
);
