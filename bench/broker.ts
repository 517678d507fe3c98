import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "../src/core/errors.ts";
import type { Benchmark } from "./benchmark.ts";
import type { Children } from "./children.ts";
import { fleetRows } from "./fleets.ts";
import type { LoadResult, LoadWish } from "./load/protocol.ts";
import { runLoad } from "./load/run.ts";
import type { BenchOptions } from "./options.ts";
import { median, type Row, row, syncRow } from "./report.ts";
import type { Broker } from "./subjects/broker.ts";
import { startMosquitto } from "./subjects/others.ts";
import { gatewayFlags, startProgram } from "./subjects/programs.ts";
import { memoryOf, usageOf } from "./usage.ts";

/** Deliveries that are due, at most. */
const OUTSTANDING_MAX = 8_192;

/** Of a message where one subscriber is slow: sockets take megabytes before anybody notices. */
const SLOW_BYTES = 4_096;

type Pattern = Pick<LoadWish, "publishers" | "subscribers" | "qos" | "rate" | "payloadBytes" | "slowReads"> & { readonly name: string };

const SHAPES = [
  { name: "point to point", publishers: 1, subscribers: 1, rate: 1_000 },
  { name: "fan-in, 100 publishers", publishers: 100, subscribers: 1, rate: 1_000 },
  { name: "fan-out, 100 subscribers", publishers: 1, subscribers: 100, rate: 50 },
] as const;

/** As fast as it goes, and at a rate that leaves time, for latencies. The slow subscriber of the last ones reads nothing, or 64 KiB once a second. */
const PATTERNS: readonly Pattern[] = [
  ...SHAPES.flatMap(({ rate, name, ...shape }) =>
    ([0, 1] as const).flatMap((qos): Pattern[] => [
      { ...shape, qos, name: `${name}, QoS ${qos}` },
      { ...shape, qos, rate, name: `${name}, QoS ${qos}, ${rate.toLocaleString("en")} msg/s` },
    ]),
  ),
  ...[undefined, 1, 0].map((slowReads): Pattern => {
    const beside =
      slowReads === undefined ? "alone" : slowReads === 0 ? "beside one that reads nothing" : "beside one that reads 64 KiB a second";
    return {
      name: `fast subscriber ${beside}`,
      publishers: 1,
      subscribers: 1,
      qos: 1,
      rate: 5_000,
      payloadBytes: SLOW_BYTES,
      ...(slowReads === undefined ? {} : { slowReads }),
    };
  }),
];

interface Measured extends LoadResult {
  readonly cpuMs: number;
  readonly rss: number;
  readonly pss: number;
}

/** The broker alone, on topics that no function wants, beside Mosquitto: many to one, one to many, 10,000 connections, and a slow subscriber. */
export const broker: Benchmark = async (options, children, folder) => {
  const rows = await fleetRows(options, {
    gateway: () => startBroker(children, folder),
    mosquitto: () => startMosquitto(children, folder),
  });
  const patterns = PATTERNS.filter(({ name }) => name.includes(options.only));
  if (patterns.length === 0 && rows.length === 0)
    throw new MillraceError("USAGE", `no case contains "${options.only}"; there are: ${PATTERNS.map(({ name }) => name).join("; ")}`);
  if (patterns.length === 0) return rows;
  const gateway = await startBroker(children, folder);
  const mosquitto = await startMosquitto(children, folder);
  if (mosquitto === undefined) process.stderr.write("mosquitto is not installed: its rows are left out\n");
  const subjects = [gateway, ...(mosquitto === undefined ? [] : [mosquitto])];
  for (const pattern of patterns) rows.push(...(await compared(pattern, subjects, options)));
  return [...rows, syncRow(folder)];
};

/** A gateway without functions. */
async function startBroker(children: Children, folder: string): Promise<Broker & { stop(): Promise<void> }> {
  const data = join(folder, "plain");
  mkdirSync(data, { recursive: true });
  const file = join(folder, "plain.yaml");
  writeFileSync(file, "mqtt.clients_max: 20000\n");
  const child = await startProgram(children, "gateway", [...gatewayFlags(data, ""), "--config", file]);
  const port = Number(new URL(child.ready["mqtt"] ?? "").port);
  return { name: "millrace", pid: child.pid, port, label: "gateway", stop: () => child.stop() };
}

async function compared(pattern: Pattern, subjects: readonly Broker[], options: BenchOptions): Promise<Row[]> {
  const results = new Map<Broker, Measured[]>(subjects.map((subject) => [subject, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const subject of subjects) {
      const result = await measure(pattern, subject, options);
      results.get(subject)?.push(result);
      process.stderr.write(
        `round ${round}: ${pattern.name}, ${subject.name}: ${Math.round(result.received / result.seconds)} deliveries/s\n`,
      );
    }
  }
  const rates = [...results.values()].map((measured) => median(measured.map(({ received, seconds }) => received / seconds)));
  const [own = 0, other = 0] = rates;
  const rows = [...results].flatMap(([subject, measured]) => rowsOf(`${pattern.name}: ${subject.name}`, measured));
  return other === 0 ? rows : [...rows, row(`${pattern.name}: deliveries, ratio to ${subjects[1]?.name ?? ""}`, own / other, "×")];
}

async function measure({ name: _, ...pattern }: Pattern, { port, pid }: Broker, options: BenchOptions): Promise<Measured> {
  const cpu = (): number => usageOf({ broker: [pid] }).get("broker")?.cpuMs ?? 0;
  const taken = { before: 0, cpuMs: 0, rss: 0, pss: 0 };
  const load = {
    port,
    ...pattern,
    prefix: "relay",
    subscribe: "relay/+",
    topics: Math.max(options.topics, pattern.publishers),
    window: options.window,
    outstanding: OUTSTANDING_MAX,
    warmUpMs: options.warmUp * 1_000,
    measureMs: options.seconds * 1_000,
  };
  const result = await runLoad(load, {
    begin: () => (taken.before = cpu()),
    end: () => Object.assign(taken, { cpuMs: cpu() - taken.before }, memoryOf([pid])),
  });
  return { ...result, ...taken };
}

function rowsOf(name: string, measured: readonly Measured[]): Row[] {
  const of = (value: (one: Measured) => number): number => median(measured.map(value));
  const latencies = measured.flatMap(({ latency }) => (latency === undefined ? [] : [latency]));
  const missing = measured.reduce((sum, one) => sum + one.missing, 0);
  return [
    row(
      name,
      of(({ received, seconds }) => received / seconds),
      "deliveries/s",
    ),
    ...(latencies.length === 0
      ? []
      : (["p50", "p99"] as const).map((key) => row(`${name}: ${key}`, median(latencies.map((latency) => latency[key])), "ms"))),
    row(
      `${name}: CPU`,
      of(({ cpuMs, received }) => cpuMs / Math.max(1, received / 1_000)),
      "ms/1,000 deliveries",
    ),
    row(
      `${name}: RSS`,
      of(({ rss }) => rss / 1024 ** 2),
      "MB",
    ),
    row(
      `${name}: PSS`,
      of(({ pss }) => pss / 1024 ** 2),
      "MB",
    ),
    ...(missing === 0 ? [] : [row(`${name}: never arrived`, missing, "deliveries")]),
  ];
}
