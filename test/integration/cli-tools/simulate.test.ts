import { expect, it } from "vitest";
import { startSimulator } from "../../../src/cli/simulate.ts";
import { startBroker, startWire } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

it("simulated sensors publish, come back after a cut, and stop", async () => {
  await using broker = await startBroker();
  await using wire = await startWire(broker.port);
  const simulator = startSimulator({ url: `mqtt://127.0.0.1:${wire.port}` });
  const wait = { timeout: 10_000 };
  await eventually(() => expect(new Set(broker.received.map(({ client }) => client)).size).toBe(simulator.devices), wait);
  expect(broker.received.every(({ topic }) => /^sensors\/(milan|turin)\/[\w-]+\/(raw|temp)$/.test(topic))).toBe(true);
  wire.cutNow();
  await eventually(() => expect(simulator.dropped()).toBeGreaterThan(0), wait);
  const sent = simulator.sent();
  await eventually(() => expect(simulator.sent()).toBeGreaterThan(sent + simulator.devices), wait);
  await simulator.close();
  await eventually(() => expect(broker.aedes.connectedClients).toBe(0), wait);
});
