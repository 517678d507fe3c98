import { createRequire } from "node:module";
import { ClassicLevel } from "classic-level";
import { expect, it } from "vitest";
import { RawClient, startBroker, TestIntake } from "../../support/broker.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const DEEP = Array.from({ length: 101 }, () => "+").join("/");
const DEEPEST = Array.from({ length: 100 }, () => "+").join("/");

it.each([
  [0, 4, DEEP],
  [1, 4, DEEP],
  [0, 5, DEEP],
  [0, 5, `$share/g/${DEEPEST}`],
] as const)(
  "refuses a filter of QoS %d with more levels than topics have, of version %d, and starts again",
  async (qos, version, filter) => {
    await using folder = await TempFolder.make();
    {
      await using broker = await startBroker(new TestIntake(), folder.path);
      await using client = await RawClient.connect(broker.address, { id: "c", clean: false, version });
      client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: DEEPEST, qos: 1 }] });
      await client.next("suback");
      client.send({ cmd: "subscribe", messageId: 2, subscriptions: ["t", filter, "u"].map((topic) => ({ topic, qos })) });
      await client.ended();
      const reasons = client.received.flatMap((packet) => (packet.cmd === "disconnect" ? [packet.reasonCode] : []));
      expect(reasons).toEqual(version === 5 ? [0x8f] : []);
    }
    await using broker = await startBroker(new TestIntake(), folder.path);
    await using client = await RawClient.connect(broker.address, { id: "c", clean: false, version });
    expect(client.sessionPresent).toBe(true);
    expect(broker.connections.list({ limit: 1 })).toMatchObject([{ subscriptions: [DEEPEST] }]);
  },
);

it("starts with a session that a version before has stored with one", async () => {
  await using folder = await TempFolder.make();
  {
    await using broker = await startBroker(new TestIntake(), folder.path);
    await using client = await RawClient.connect(broker.address, { id: "c", clean: false });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "t", qos: 1 }] });
    await client.next("suback");
  }
  const codec = createRequire(import.meta.resolve("aedes-persistence-level/asyncPersistence.js"))("msgpack-lite") as {
    encode(value: object): Buffer;
  };
  const database = new ClassicLevel<string, Buffer>(folder.join("sessions"), { valueEncoding: "buffer" });
  await database.put(`subscriptions:c:${DEEP}`, codec.encode({ clientId: "c", topic: DEEP, qos: 0 }));
  await database.close();
  await using broker = await startBroker(new TestIntake(), folder.path);
  await using client = await RawClient.connect(broker.address, { id: "c", clean: false });
  expect(client.sessionPresent).toBe(true);
  expect(broker.connections.list({ limit: 1 })).toMatchObject([{ subscriptions: ["t"] }]);
});
