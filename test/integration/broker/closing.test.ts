import { expect, it } from "vitest";
import { connectClient, RawClient, startBroker, TestIntake } from "../../support/broker.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const CLIENTS = 40;
const ROUNDS = 5;

/** What nobody caught while the test ran; in a gateway it would have ended the process. */
function uncaught(): Disposable & { readonly errors: string[] } {
  const errors: string[] = [];
  const note = (error: unknown): void => void errors.push(String(error));
  process.on("uncaughtException", note).on("unhandledRejection", note);
  return { errors, [Symbol.dispose]: () => void process.off("uncaughtException", note).off("unhandledRejection", note) };
}

it.each([4, 5] as const)("closing while clients of MQTT version %i connect, subscribe and leave ends in order", async (version) => {
  await using folder = await TempFolder.make();
  using guard = uncaught();
  for (let round = 0; round < ROUNDS; round++) {
    const broker = await startBroker(new TestIntake(), folder.path);
    const failed: unknown[] = [];
    broker.stopped.catch((error: unknown) => failed.push(error));
    {
      await using publisher = await connectClient(broker.address);
      for (let i = 0; i < 20; i++) await publisher.mqtt.publishAsync(`kept/${i}`, "x".repeat(1_000), { qos: 1, retain: true });
    }
    const clients: RawClient[] = [];
    const will = { topic: "w", payload: Buffer.from("gone"), qos: 1, retain: false } as const;
    const connecting = Array.from({ length: CLIENTS }, async (_, i) => {
      const client = await RawClient.connect(broker.address, {
        id: `c${i}`,
        version,
        clean: i % 2 === 0,
        ...(i % 3 === 0 ? { will } : {}),
      });
      clients.push(client);
      for (let messageId = 1; messageId <= 20; messageId++) {
        client.send({ cmd: "subscribe", messageId, subscriptions: [{ topic: messageId % 2 === 0 ? "#" : `kept/${messageId}`, qos: 1 }] });
        client.publish(`kept/${messageId}`, "y", { qos: 2, messageId: 100 + messageId, retain: true });
      }
      if (i % 4 === 0) client.socket.end();
    });
    // Those before it may be cut off while they connect.
    for (const one of connecting) one.catch(() => undefined);
    await Promise.race(connecting.slice(round * 4));
    await broker.close();
    await Promise.allSettled(connecting);
    for (const client of clients) await client[Symbol.asyncDispose]();
    expect(failed).toEqual([]);
  }
  // What is still on its way in the streams shows itself in the turns after the end.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(guard.errors).toEqual([]);
});
