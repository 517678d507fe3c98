import { MillraceError } from "../src/core/errors.ts";
import type { Benchmark } from "./benchmark.ts";
import type { Latency, LoadResult } from "./load/protocol.ts";
import { runLoad } from "./load/run.ts";
import type { BenchOptions } from "./options.ts";
import { median, type Row, row, syncRow } from "./report.ts";
import { type Backlog, Crowd, type FunctionRow, type Member } from "./subjects/crowd.ts";

const MANY = 100;
const BUSY = 20;
const QUIET_RATE = 200;
/** What the broker has not delivered yet is not more than that, as in the other benchmarks. */
const OUTSTANDING_MAX = 8_192;
/** From the first moment of a gateway to the last of a run, beyond what is measured. */
const SLACK_SECONDS = 6;
/** V8 optimizes the code of every isolate for itself: until 100 of them have handled some thousands of messages each, that is what is measured. */
const LEARN_SECONDS = 20;
/** More messages than a cheap function handles in a second here. */
const CHEAP_PER_SECOND = 120_000;

const number = (n: number, digits: number): string => String(n).padStart(digits, "0");
const busyTopic = (n: number): string => `fair/busy-${number(n, 2)}/in/sensor-0000`;
const CHEAP_TOPICS = Array.from({ length: 64 }, (_, n) => `fair/cheap/in/sensor-${number(n, 4)}`);

const MEMBERS: readonly Member[] = [
  { name: "one", filter: "fair/one/in/+", out: "fair/one/out" },
  { name: "quiet", filter: "fair/quiet/in/+", out: "fair/quiet/out" },
  { name: "cheap", filter: "fair/cheap/in/+", out: "fair/cheap/out" },
  ...Array.from({ length: MANY }, (_, n) => ({
    name: `many-${number(n, 3)}`,
    filter: `fair/many/in/sensor-${number(n, 4)}`,
    out: "fair/many/out",
  })),
  ...Array.from({ length: BUSY }, (_, n) => ({ name: `busy-${number(n, 2)}`, filter: `fair/busy-${number(n, 2)}/in/+`, out: "" })),
];

interface Case {
  readonly name: string;
  readonly path: "one" | "many" | "quiet";
  readonly backlog?: (seconds: number) => Backlog;
}

const CASES: readonly Case[] = [
  { name: "one function", path: "one" },
  { name: `${MANY} functions, hit evenly`, path: "many" },
  { name: "quiet function, alone", path: "quiet" },
  { name: "quiet function beside one with a backlog, 1 ms each", path: "quiet", backlog: (seconds) => busyBacklog(1, seconds) },
  { name: `quiet function beside ${BUSY} with a backlog, 1 ms each`, path: "quiet", backlog: (seconds) => busyBacklog(BUSY, seconds) },
  {
    name: "quiet function beside a cheap one with a backlog",
    path: "quiet",
    backlog: (seconds) => ({ topics: CHEAP_TOPICS, messages: seconds * CHEAP_PER_SECOND, turns: 0 }),
  },
  {
    name: "quiet function that had seen the cheap one's backlog, after a kill",
    path: "quiet",
    backlog: (seconds) => ({ topics: CHEAP_TOPICS, messages: 2 * seconds * CHEAP_PER_SECOND, turns: 0, seen: true }),
  },
];

function busyBacklog(functions: number, seconds: number): Backlog {
  const topics = Array.from({ length: functions }, (_, n) => busyTopic(n));
  // More than one that has a processor for itself could handle.
  return { topics, messages: seconds * 1_000 * Math.max(2, functions / 4), turns: turnsPerMs() };
}

interface Measured extends LoadResult {
  /** Messages that functions with a backlog handled each second meanwhile. */
  readonly backlogPerSecond: number;
}

/**
 * What functions on one gateway do to one another: the throughput of many against that of one, and the time from publish to answer of a function that
 * gets 200 messages a second beside others with more messages in the journal than they can handle.
 */
export const fairness: Benchmark = async (options, children, folder) => {
  const cases = CASES.filter(({ name }) => name.includes(options.only));
  if (cases.length === 0) {
    throw new MillraceError("USAGE", `no case contains "${options.only}"; there are: ${CASES.map(({ name }) => name).join("; ")}`);
  }
  const crowd = await Crowd.prepare(MEMBERS, children, folder);
  const results = new Map<Case, Measured[]>(cases.map((each) => [each, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const [each, all] of results) {
      const measured = await measure(each, crowd, options);
      all.push(measured);
      const { received, seconds, latency, backlogPerSecond, missing } = measured;
      const late = missing === 0 ? "" : `, ${missing} messages had no answer 5 s after the last one that had`;
      const times = latency === undefined ? "" : `, p50 ${latency.p50.toFixed(2)} ms, p99 ${latency.p99.toFixed(2)} ms`;
      const others = each.backlog === undefined ? "" : `, the others ${Math.round(backlogPerSecond)} msg/s`;
      process.stderr.write(`round ${round}: ${each.name}: ${Math.round(received / seconds)} msg/s${times}${others}${late}\n`);
    }
  }
  return [...rowsOf(results), syncRow(folder)];
};

async function measure({ name, path, backlog }: Case, crowd: Crowd, options: BenchOptions): Promise<Measured> {
  const isPaced = path === "quiet";
  const warmUp = options.warmUp + (isPaced ? 0 : LEARN_SECONDS);
  const gateway = await crowd.start(backlog?.(options.seconds + warmUp + SLACK_SECONDS));
  try {
    let before: Promise<readonly FunctionRow[]> = Promise.resolve([]);
    let after = before;
    const result = await runLoad(
      {
        port: Number(new URL(gateway.ready["mqtt"] ?? "").port),
        publishers: isPaced ? 1 : 4,
        prefix: `fair/${path}/in`,
        subscribe: `fair/${path}/out/+`,
        topics: isPaced ? options.topics : MANY,
        window: options.window,
        outstanding: OUTSTANDING_MAX,
        ...(isPaced ? { rate: QUIET_RATE } : {}),
        warmUpMs: warmUp * 1_000,
        measureMs: options.seconds * 1_000,
      },
      {
        begin: () => void (before = Crowd.functions(gateway.ready)),
        end: () => void (after = Crowd.functions(gateway.ready)),
      },
    );
    const [first, last] = [await before, await after];
    const busy = last.filter(({ backlog: waiting, name: other }) => waiting > 0 && other !== path);
    if (backlog !== undefined && busy.length === 0) throw new Error(`${name}: the backlog was gone before the end`);
    const handled = sum(busy) - sum(first.filter((one) => busy.some((other) => other.name === one.name)));
    return { ...result, backlogPerSecond: handled / result.seconds };
  } finally {
    await gateway.stop();
  }
}

function sum(functions: readonly FunctionRow[]): number {
  return functions.reduce((total, { handled }) => total + handled, 0);
}

function rowsOf(results: ReadonlyMap<Case, readonly Measured[]>): Row[] {
  const rows: Row[] = [];
  const rates = new Map<string, number>();
  for (const [{ name, path, backlog }, all] of results) {
    if (path !== "quiet") {
      const rate = median(all.map(({ received, seconds }) => received / seconds));
      rates.set(path, rate);
      rows.push(row(name, rate, "msg/s"));
      continue;
    }
    for (const key of ["p50", "p99", "max"] as const) rows.push(row(`${name}: ${key}`, median(latencies(all, key)), "ms"));
    if (backlog !== undefined) rows.push(row(`${name}: what those handled`, median(all.map((each) => each.backlogPerSecond)), "msg/s"));
  }
  const [one, many] = [rates.get("one"), rates.get("many")];
  if (one !== undefined && many !== undefined) rows.push(row(`lost by ${MANY} functions against one`, 100 * (1 - many / one), "%"));
  return rows;
}

function latencies(all: readonly Measured[], key: keyof Latency): number[] {
  return all.flatMap(({ latency }) => (latency === undefined ? [] : [latency[key]]));
}

/** Turns of the functions' loop in a millisecond, measured here, after the loop has been compiled. */
function turnsPerMs(): number {
  const turns = 2_000_000;
  let best = 0;
  let v = 20;
  for (let n = 0; n < 5; n++) {
    const startedAt = performance.now();
    for (let turn = 0; turn < turns; turn++) v = (v * 1.000_1) % 1_000;
    best = Math.max(best, turns / (performance.now() - startedAt));
  }
  return v > 0 ? Math.round(best) : 0;
}
