import { expect, it } from "vitest";
import { connectClient, RawClient, startBroker, TestIntake } from "../../support/broker.ts";
import { eventually } from "../../support/eventually.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const MESSAGES = 4_000;
const PAYLOAD = "x".repeat(2_000);

it.each([0, 1] as const)(
  "a subscriber of QoS %d that takes nothing holds up others for a moment only, and misses the oldest",
  async (qos) => {
    await using folder = await TempFolder.make();
    await using broker = await startBroker(new TestIntake(), folder.path);
    await using deaf = await RawClient.connect(broker.address, { id: "deaf" });
    deaf.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "#", qos }] });
    await deaf.next("suback");
    deaf.socket.pause();
    await using other = await connectClient(broker.address);
    await other.mqtt.subscribeAsync("t/#", { qos: 1 });
    await using publisher = await connectClient(broker.address);
    await Promise.all(Array.from({ length: MESSAGES }, (_, n) => publisher.mqtt.publishAsync("t/a", `${n} ${PAYLOAD}`, { qos: 1 })));
    await eventually(() => expect(other.heard).toHaveLength(MESSAGES));
    const { drops } = broker.stored;
    expect(drops).toMatchObject([{ reason: "slow-subscribers" }]);
    const numbers: number[] = [];
    deaf.onPacket = (packet) => {
      if (packet.cmd !== "publish") return;
      numbers.push(Number(String(packet.payload).split(" ")[0]));
      if (packet.qos > 0) deaf.send({ cmd: "puback", messageId: packet.messageId ?? 0 });
    };
    deaf.socket.resume();
    await eventually(() => expect(numbers.at(-1)).toBe(MESSAGES - 1));
    // What it has got is in order, and what it has not got is counted.
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(numbers.length + (drops[0]?.count ?? 0)).toBe(MESSAGES);
    expect(broker.inflight.bytes).toBe(0);
  },
);
