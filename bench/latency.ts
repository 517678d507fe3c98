import type { Benchmark } from "./benchmark.ts";
import { type Case, takeTurns } from "./cases.ts";
import type { Latency } from "./load/protocol.ts";
import { median, row, syncRow } from "./report.ts";
import { startGateway } from "./subjects/gateway.ts";
import { startMosquitto } from "./subjects/others.ts";

const RATES = [1_000, 5_000];

/** Milliseconds from the write of a QoS 1 publish to the arrival of its result, at rates that leave the machine mostly idle. */
export const latency: Benchmark = async (options, children, folder) => {
  const gateway = await startGateway(children, folder);
  const mosquitto = await startMosquitto(children, folder);
  const all = RATES.flatMap((rate): Case[] => {
    const at = `at ${rate.toLocaleString("en")} msg/s`;
    return [
      { name: `millrace, ${at}`, broker: gateway, path: "function", publishers: 1, rate },
      { name: `relay alone, same broker, ${at}`, broker: gateway, path: "relay", publishers: 1, rate },
      { name: `mqtt.js script, same broker, ${at}`, broker: gateway, path: "script", publishers: 1, rate },
      ...(mosquitto === undefined ? [] : rivals({ broker: mosquitto, publishers: 1, rate }, at)),
    ];
  });
  const results = await takeTurns(all, options, children);
  const rows = [...results].flatMap(([{ name }, measurements]) =>
    (["p50", "p90", "p99", "max"] as const).map((key) => {
      const values = measurements.flatMap(({ latency: one }) => (one === undefined ? [] : [valueOf(one, key)]));
      return row(`${name}: ${key}`, key === "max" ? Math.max(...values) : median(values), "ms");
    }),
  );
  return [...rows, syncRow(folder)];
};

function valueOf(one: Latency, key: keyof Latency): number {
  return one[key];
}

function rivals(base: Omit<Case, "name" | "path">, at: string): Case[] {
  const { name } = base.broker;
  return [
    { ...base, name: `relay alone, ${name}, ${at}`, path: "relay" },
    { ...base, name: `mqtt.js script, ${name}, ${at}`, path: "script" },
  ];
}
