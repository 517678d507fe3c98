import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connectAsync } from "mqtt";
import { z } from "zod";
import { MillraceError } from "../src/core/errors.ts";
import type { Benchmark } from "./benchmark.ts";
import { runLoad } from "./load/run.ts";
import type { BenchOptions } from "./options.ts";
import { type Row, row, syncRow } from "./report.ts";
import { startGateway } from "./subjects/gateway.ts";

const FUNCTION = fileURLToPath(new URL("tick", import.meta.url));
const TICKS = "bench/ticks";
/** Of schedules of bench/tick, as their names begin; behind `every` stands the period in milliseconds. */
const KINDS = ["every", "cron"] as const;
const CRON_MS = 60_000;
const OUTSTANDING_MAX = 8_192;
/** Ticks of the time that is measured may still be on their way. */
const SETTLE_MS = 2_000;

const tickSchema = z.object({ name: z.string(), due: z.int(), lateMs: z.number(), missed: z.int() });
type Seen = z.infer<typeof tickSchema>;

interface Case {
  readonly name: string;
  /** Messages per second through another function; undefined = as many as it can. */
  readonly rate?: number;
  readonly publishers: number;
}

const CASES: readonly Case[] = [
  { name: "idle gateway", publishers: 0 },
  { name: "with 5,000 msg/s", publishers: 1, rate: 5_000 },
  { name: "as many messages as it can", publishers: 4 },
];

/** Milliseconds from when ticks of 15 schedules are due to when their handler begins, on a gateway at rest and under load, and whether any is missing. */
export const triggers: Benchmark = async (options, children, folder) => {
  const cases = CASES.filter(({ name }) => name.includes(options.only));
  if (cases.length === 0) {
    throw new MillraceError("USAGE", `no case contains "${options.only}"; there are: ${CASES.map(({ name }) => name).join("; ")}`);
  }
  const gateway = await startGateway(children, folder, [FUNCTION]);
  const client = await connectAsync(`mqtt://127.0.0.1:${gateway.port}`);
  const seen: Seen[] = [];
  client.on("message", (_topic, payload) => seen.push(tickSchema.parse(JSON.parse(payload.toString()))));
  await client.subscribeAsync(TICKS, { qos: 1 });
  const found = new Map<Case, Seen[]>(cases.map((one) => [one, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const [one, all] of found) {
      const [from, to] = await stretch(one, gateway.port, options);
      await sleep(SETTLE_MS);
      const own = seen.filter(({ due }) => due >= from && due < to);
      all.push(...own);
      process.stderr.write(
        `round ${round}, ${one.name}: ${own.length} ticks, the latest ${Math.max(...own.map(({ lateMs }) => lateMs))} ms\n`,
      );
    }
  }
  await client.endAsync();
  return [
    ...[...found].flatMap(([{ name }, ticks]) => rowsOf(name, ticks)),
    row("ticks that are missing", missing(seen), ""),
    syncRow(folder),
  ];
};

/** Lets the time pass that is measured. Answers with when that was, in milliseconds since the epoch. */
async function stretch({ name, rate, publishers }: Case, port: number, options: BenchOptions): Promise<readonly [number, number]> {
  const [warmUpMs, measureMs] = [options.warmUp * 1_000, options.seconds * 1_000];
  if (publishers === 0) {
    await sleep(warmUpMs);
    const from = Date.now();
    await sleep(measureMs);
    return [from, Date.now()];
  }
  let [from, to] = [0, 0];
  const { window, topics } = options;
  const load = {
    port,
    publishers,
    prefix: "bench/in",
    subscribe: "bench/out/+",
    topics,
    window,
    outstanding: OUTSTANDING_MAX,
    warmUpMs,
    measureMs,
  };
  const { missing: lost } = await runLoad(rate === undefined ? load : { ...load, rate }, {
    begin: () => (from = Date.now()),
    end: () => (to = Date.now()),
  });
  if (lost > 0) throw new Error(`${name}: ${lost} acknowledged messages never arrived`);
  return [from, to];
}

function rowsOf(name: string, ticks: readonly Seen[]): Row[] {
  return KINDS.flatMap((kind) => {
    const late = ticks.filter((tick) => tick.name.startsWith(kind)).map(({ lateMs }) => lateMs);
    // Cron has a tick each minute; a run that is shorter may see none.
    if (late.length === 0) return [];
    const sorted = late.toSorted((a, b) => a - b);
    const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
    return [
      row(`${name}, ${kind}: ticks`, late.length, ""),
      row(`${name}, ${kind}: late, p50`, at(0.5), "ms"),
      row(`${name}, ${kind}: late, p99`, at(0.99), "ms"),
      row(`${name}, ${kind}: late, max`, at(1), "ms"),
    ];
  });
}

/** Ticks between the first and the last one of a schedule that did not come, whether the gateway has said so or not. */
function missing(seen: readonly Seen[]): number {
  const dues = new Map<string, Set<number>>();
  for (const { name, due } of seen) dues.set(name, (dues.get(name) ?? new Set<number>()).add(due));
  let count = 0;
  for (const [name, all] of dues) {
    const [kind, ms] = name.split("-");
    const period = kind === "cron" ? CRON_MS : Number(ms);
    count += (Math.max(...all) - Math.min(...all)) / period + 1 - all.size;
  }
  return count;
}
