import type { Benchmark } from "./benchmark.ts";
import { type Case, type Measurement, takeTurns } from "./cases.ts";
import { median, type Row, row, syncRow } from "./report.ts";
import { startGateway } from "./subjects/gateway.ts";
import { startMosquitto, startNullBroker } from "./subjects/others.ts";

/** Messages per second from a QoS 1 publish to the QoS 1 delivery of its result, with the durable journal and the function between them. */
export const throughput: Benchmark = async (options, children, folder) => {
  const gateway = await startGateway(children, folder);
  const mosquitto = await startMosquitto(children, folder);
  const all: Case[] = [
    { name: "millrace, 4 publishers", broker: gateway, path: "function", publishers: 4 },
    { name: "millrace, 1 publisher", broker: gateway, path: "function", publishers: 1 },
    { name: "relay alone, same broker, 4 publishers", broker: gateway, path: "relay", publishers: 4 },
    { name: "mqtt.js script, same broker, 4 publishers", broker: gateway, path: "script", publishers: 4 },
    ...(mosquitto === undefined ? [] : rivals(mosquitto)),
    { name: "load generator, broker that does nothing", broker: await startNullBroker(children), path: "relay", publishers: 4 },
  ];
  const results = await takeTurns(all, options, children);
  return [...[...results].flatMap(([{ name }, measurements]) => rowsOf(name, measurements)), syncRow(folder)];
};

function rivals(mosquitto: Case["broker"]): Case[] {
  return [
    { name: `relay alone, ${mosquitto.name}, 4 publishers`, broker: mosquitto, path: "relay", publishers: 4 },
    { name: `mqtt.js script, ${mosquitto.name}, 4 publishers`, broker: mosquitto, path: "script", publishers: 4 },
  ];
}

const LOAD = "load generator";

function rowsOf(name: string, measurements: readonly Measurement[]): Row[] {
  const labels = [...(measurements[0]?.usage.keys() ?? [])];
  const ofAll = (value: (measurement: Measurement) => number): number => median(measurements.map(value));
  const cpu = labels.map((label) =>
    row(
      `${name}: CPU of ${label}`,
      ofAll(({ usage, received }) => (usage.get(label)?.cpuMs ?? 0) / (received / 1_000)),
      "ms/1,000 msg",
    ),
  );
  const rss = ofAll(({ usage }) => [...usage].reduce((sum, [label, { rssBytes }]) => sum + (label === LOAD ? 0 : rssBytes), 0)) / 1024 ** 2;
  return [
    row(
      name,
      ofAll(({ perSecond }) => perSecond),
      "msg/s",
    ),
    ...cpu,
    ...(labels.length > 0 ? [row(`${name}: RSS without the load generator`, rss, "MB")] : []),
  ];
}
