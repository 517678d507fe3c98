import { expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { connectClient, RawClient } from "../../support/broker.ts";
import { brokerForEach } from "../../support/broker-site.ts";

const site = brokerForEach();

/** Leaves behind subscriptions with and without copies, a message that waits, and the packet id of one of QoS 2. */
async function leaveSession(): Promise<void> {
  const client = await RawClient.connect(site.broker.address, { id: "c", clean: false });
  const subscriptions = [
    { topic: "kept/#", qos: 1 as const },
    { topic: "loose/#", qos: 0 as const },
  ];
  client.send({ cmd: "subscribe", messageId: 1, subscriptions });
  await client.next("suback");
  client.publish("other/a", "before", { qos: 2, messageId: 7 });
  await client.next("pubrec");
  client.send({ cmd: "disconnect" });
  await client.ended();
  await using publisher = await connectClient(site.broker.address);
  await publisher.mqtt.publishAsync("kept/a", "waits", { qos: 1 });
}

it.each([false, true])(
  "a client that begins anew finds nothing of its session before; the gateway was restarted: %s",
  async (isRestarted) => {
    await leaveSession();
    if (isRestarted) await site.restart();
    await using other = await connectClient(site.broker.address);
    await other.mqtt.subscribeAsync("other/#", { qos: 2 });
    {
      await using anew = await RawClient.connect(site.broker.address, { id: "c" });
      expect(anew.sessionPresent).toBe(false);
      anew.publish("other/a", "after", { qos: 2, messageId: 7 });
      await anew.next("pubrec");
      await eventually(() => expect(other.heard).toEqual(["other/a=after"]));
    }
    await using back = await RawClient.connect(site.broker.address, { id: "c", clean: false });
    expect(back.sessionPresent).toBe(false);
    for (const topic of ["kept/b", "loose/b"]) await other.mqtt.publishAsync(topic, "1", { qos: 1 });
    await back.ping();
    expect(back.received.filter(({ cmd }) => cmd === "publish")).toEqual([]);
  },
);

it("a session that is kept has its subscriptions, what waits and its packet ids when its client comes back after others have begun anew", async () => {
  await leaveSession();
  for (const id of ["d", "e"]) await (await RawClient.connect(site.broker.address, { id }))[Symbol.asyncDispose]();
  await using other = await connectClient(site.broker.address);
  await other.mqtt.subscribeAsync("other/#", { qos: 2 });
  await using back = await RawClient.connect(site.broker.address, { id: "c", clean: false });
  expect(back.sessionPresent).toBe(true);
  back.publish("other/a", "before", { qos: 2, messageId: 7, dup: true });
  await back.next("pubrec");
  await other.mqtt.publishAsync("loose/b", "1", { qos: 1 });
  await eventually(() => expect(back.received.filter(({ cmd }) => cmd === "publish")).toHaveLength(2));
  expect(other.heard).toEqual([]);
});
