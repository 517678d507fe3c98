import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { generate } from "mqtt-packet";
import { expect, it } from "vitest";
import { brokerForEach } from "../../support/broker-site.ts";
import { RawClient } from "../../support/broker.ts";
import { eventually } from "../../support/eventually.ts";

const site = brokerForEach();

/** Sends a CONNECT and is gone after so many turns of the event loop. */
async function glimpse(id: string, version: 4 | 5, turns: number): Promise<void> {
  const { hostname, port } = new URL(site.broker.address);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.on("error", () => undefined); // Its end says the same.
  await once(socket, "connect");
  const will = { topic: "will", payload: Buffer.from("x"), qos: 1, retain: false } as const;
  const properties = version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {};
  socket.write(generate({ cmd: "connect", clientId: id, protocolId: "MQTT", protocolVersion: version, clean: false, will, ...properties }));
  for (let left = turns; left > 0; left--) await turn();
  const closed = once(socket, "close");
  socket.resetAndDestroy();
  await closed;
}

it.each([4, 5] as const)("keeps nobody who has gone while a session was read, of version %d", async (version) => {
  {
    await using before = await RawClient.connect(site.broker.address, { id: "returning", clean: false, version });
    before.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "t", qos: 1 }] });
    await before.next("suback");
  }
  for (let turns = 0; turns < 60; turns++) await glimpse("returning", version, turns % 12);
  await eventually(() => expect(site.broker.clients).toBe(0));
  expect(site.broker.connections.list({ limit: 10 })).toEqual([]);
  expect(site.broker.stored.sessionsAway).toBe(1);
  await using back = await RawClient.connect(site.broker.address, { id: "returning", clean: false, version });
  expect(back.sessionPresent).toBe(true);
  back.publish("t", "mine", { qos: 1, messageId: 7 });
  await back.next("publish");
  await back.ping();
  expect(back.received.filter(({ cmd }) => cmd === "publish")).toEqual([]);
  expect(site.broker.clients).toBe(1);
});

it.each([
  [4, true],
  [4, false],
  [5, true],
  [5, false],
] as const)("lets one stay of many that come at once with the same id, of version %d, clean: %s", async (version, clean) => {
  const tries = Array.from({ length: 30 }, () => RawClient.connect(site.broker.address, { id: "one", clean, version }));
  const clients = (await Promise.allSettled(tries)).flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  await eventually(() => expect(clients.filter(({ closed }) => !closed)).toHaveLength(1));
  expect(site.broker.clients).toBe(1);
  const [left] = clients.filter(({ closed }) => !closed);
  if (left === undefined) throw new Error("nobody is left");
  left.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "t", qos: 1 }] });
  await left.next("suback");
  left.publish("t", "here", { qos: 1, messageId: 2 });
  await left.next("publish");
  expect(site.broker.connections.list({ limit: 10 })).toMatchObject([{ id: "one", subscriptions: ["t"] }]);
  await left[Symbol.asyncDispose]();
  await eventually(() => expect(site.broker.clients).toBe(0));
});
