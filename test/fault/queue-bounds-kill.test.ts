import { expect, it } from "vitest";
import { connectClient, RawClient, startBroker, TestIntake } from "../support/broker.ts";
import { eventually } from "../support/eventually.ts";
import { TempFolder } from "../support/temp-folder.ts";
import { startBrokerProcess } from "./broker-process.ts";

const QUEUES = { messagesMax: 20, bytesMax: 1_000_000, totalBytesMax: 2_000_000 };
const SESSIONS = ["a", "b", "c"];
const MESSAGES = 60;
const UNACKNOWLEDGED = 5;
const FULL = (SESSIONS.length + 1) * QUEUES.messagesMax;

/**
 * What a broker counts in the queues of sessions after it was killed at their bounds is what is there, the bounds go on to hold, and what a client was sent and
 * has not acknowledged comes again. The kill comes in the middle of the messages, and with the last acknowledgement.
 */
it.each([MESSAGES / 2 + 5, MESSAGES])(
  "full queues are counted anew after a kill at %i acknowledgements",
  { timeout: 120_000 },
  async (killAfter) => {
    await using folder = await TempFolder.make();
    await using killed = await startBrokerProcess(folder.path, { queues: QUEUES });
    for (const clientId of SESSIONS) {
      await using client = await connectClient(killed.address, { clientId, clean: false });
      await client.mqtt.subscribeAsync("q/#", { qos: 1 });
    }
    // It has the first messages, and never acknowledges them.
    const busy = await RawClient.connect(killed.address, {
      id: "busy",
      version: 5,
      clean: false,
      properties: { receiveMaximum: UNACKNOWLEDGED },
    });
    busy.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "q/#", qos: 1 }] });
    await busy.next("suback");
    await using publisher = await RawClient.connect(killed.address, { id: "publisher" });
    let acknowledged = 0;
    publisher.onPacket = ({ cmd }) => {
      if (cmd === "puback" && ++acknowledged === killAfter) void killed.kill();
    };
    for (let messageId = 1; messageId <= MESSAGES; messageId++) publisher.publish(`q/${messageId}`, "x".repeat(100), { qos: 1, messageId });
    await publisher.ended();
    await busy.ended();
    expect(acknowledged).toBeGreaterThanOrEqual(killAfter);

    await using broker = await startBroker(new TestIntake(), folder.path, { queues: QUEUES });
    const { queuedMessages, queuedBytes } = broker.stored;
    // Those that are away are full, and so is the busy one, beside what it was sent; the note of that may not have got to the disk.
    const sent = queuedMessages - FULL;
    expect(sent).toBeGreaterThanOrEqual(0);
    expect(sent).toBeLessThanOrEqual(UNACKNOWLEDGED);
    expect(queuedBytes).toBeGreaterThan(queuedMessages * 100);
    await using more = await connectClient(broker.address);
    for (let index = 0; index < 30; index++) await more.mqtt.publishAsync(`q/later/${index}`, "y".repeat(100), { qos: 1 });
    expect(broker.stored.queuedMessages).toBe(queuedMessages);
    for (const clientId of SESSIONS) {
      await using client = await connectClient(broker.address, { clientId, clean: false });
      await eventually(() => expect(client.heard).toHaveLength(QUEUES.messagesMax));
      expect(client.heard.map((line) => line.slice(0, line.indexOf("=")))).toEqual(
        Array.from({ length: QUEUES.messagesMax }, (_, index) => `q/later/${index + 10}`),
      );
    }
    await eventually(() => expect(broker.stored.queuedMessages).toBe(QUEUES.messagesMax + sent));
    await using back = await RawClient.connect(broker.address, {
      id: "busy",
      version: 5,
      clean: false,
      properties: { receiveMaximum: UNACKNOWLEDGED },
    });
    await eventually(() => expect(publishesTo(back)).toHaveLength(UNACKNOWLEDGED));
    const again = publishesTo(back).filter(({ dup }) => dup);
    expect(again.map(({ topic }) => topic)).toEqual(Array.from({ length: sent }, (_, index) => `q/${index + 1}`));
    await back[Symbol.asyncDispose]();
    expect(await broker.connections.forget("busy")).toBe(true);
    await eventually(() => expect(broker.stored).toMatchObject({ queuedMessages: 0, queuedBytes: 0 }));
  },
);

function publishesTo(client: RawClient): { topic: string; dup: boolean }[] {
  return client.received.flatMap((packet) => (packet.cmd === "publish" ? [{ topic: packet.topic, dup: packet.dup }] : []));
}
