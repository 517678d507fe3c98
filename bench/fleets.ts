import { setTimeout as sleep } from "node:timers/promises";
import type { FleetResult } from "./load/protocol.ts";
import { runFleet } from "./load/run.ts";
import type { BenchOptions } from "./options.ts";
import { type Row, row } from "./report.ts";
import type { Broker } from "./subjects/broker.ts";
import { memoryOf, usageOf } from "./usage.ts";

const DEVICES = 10_000;
const SAMPLE_MS = 250;

const FLEETS = [
  { name: "10,000 idle connections", publishes: false },
  { name: "10,000 clients, one QoS 1 message a second each", publishes: true },
] as const;

type Fleet = (typeof FLEETS)[number];
type Running = Broker & { stop(): Promise<void> };

/** Many devices at once, each time at a broker that has just been started. */
export async function fleetRows(
  options: BenchOptions,
  start: { readonly gateway: () => Promise<Running>; readonly mosquitto: () => Promise<Running | undefined> },
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const fleet of FLEETS.filter(({ name }) => name.includes(options.only))) {
    for (const begin of [start.gateway, start.mosquitto]) {
      const broker = await begin();
      if (broker === undefined) continue;
      rows.push(...(await measured(fleet, broker, options)));
      await broker.stop();
    }
  }
  return rows;
}

async function measured({ name, publishes }: Fleet, { name: brokerName, port, pid }: Broker, options: BenchOptions): Promise<Row[]> {
  const before = memoryOf([pid]);
  const most = { rss: 0, pss: 0 };
  const cpu = { before: 0, ms: 0 };
  const look = (): void => {
    const { rss, pss } = memoryOf([pid]);
    most.rss = Math.max(most.rss, rss);
    most.pss = Math.max(most.pss, pss);
  };
  const cpuMs = (): number => usageOf({ broker: [pid] }).get("broker")?.cpuMs ?? 0;
  const done = new AbortController();
  const looking = (async () => {
    while (!done.signal.aborted) {
      look();
      await sleep(SAMPLE_MS, undefined, { signal: done.signal }).catch(() => undefined); // The devices are gone.
    }
  })();
  const load = {
    port,
    devices: DEVICES,
    publishes,
    ...(publishes ? { subscribe: "fleet/+" } : {}),
    warmUpMs: options.warmUp * 1_000,
    measureMs: options.seconds * 1_000,
  };
  const result = await runFleet(load, { begin: () => (cpu.before = cpuMs()), end: () => (cpu.ms = cpuMs() - cpu.before) });
  done.abort();
  await looking;
  process.stderr.write(`${name}, ${brokerName}: ${Math.round(most.rss / 1024 ** 2)} MB\n`);
  return rowsOf(`${name}: ${brokerName}`, result, { before: before.rss, ...most, cpuMs: cpu.ms });
}

function rowsOf(name: string, result: FleetResult, used: { before: number; rss: number; pss: number; cpuMs: number }): Row[] {
  const { seconds, connectSeconds, acknowledged, received, published, unanswered, latency } = result;
  const traffic =
    published === 0
      ? []
      : [
          row(`${name}: acknowledged`, acknowledged / seconds, "msg/s"),
          row(`${name}: delivered`, received / seconds, "msg/s"),
          row(`${name}: never acknowledged`, unanswered, "messages"),
          row(`${name}: CPU`, (used.cpuMs * 1_000) / Math.max(1, acknowledged), "µs/message"),
          ...(latency === undefined
            ? []
            : [row(`${name}: publish to PUBACK, p50`, latency.p50, "ms"), row(`${name}: publish to PUBACK, p99`, latency.p99, "ms")]),
        ];
  return [
    ...traffic,
    row(`${name}: until all were connected`, connectSeconds, "s"),
    row(`${name}: RSS before`, used.before / 1024 ** 2, "MB"),
    row(`${name}: RSS, at most`, used.rss / 1024 ** 2, "MB"),
    row(`${name}: PSS, at most`, used.pss / 1024 ** 2, "MB"),
    row(`${name}: CPU`, used.cpuMs / seconds / 10, "% of a core"),
  ];
}
