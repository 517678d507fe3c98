import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { silentLogger } from "../src/core/log.ts";
import { encodeMessage } from "../src/core/message.ts";
import { parseTopicFilter } from "../src/core/topic.ts";
import type { LoadSpec, StartTimes } from "../src/runtime/host/frames.ts";
import type { InstanceEvents } from "../src/runtime/guarded-host.ts";
import { HostPool } from "../src/runtime/hosts.ts";
import { itemHead } from "../src/runtime/item.ts";
import { loadSpec } from "../src/runtime/version.ts";
import type { Benchmark } from "./benchmark.ts";
import { type Row, row } from "./report.ts";
import { wholeWay } from "./coldstart-way.ts";
import { codeOf, versionOf } from "./subjects/bundles.ts";

const STARTS = 200;
const SMALL_BYTES = 0;
const LARGE_BYTES = 100_000;
/** A start that is rare finds the host with nothing to do and an isolate ready. */
const PAUSE_MS = 25;
/** Of isolates that are never ready: memory limits other than usual, each of which comes so seldom that none is kept for it. */
const ODD_SIZES = 64;
const LIMITS = { timeoutMs: 1_000, wallMs: 5_000, cpuMs: 500 };

interface Case {
  readonly name: string;
  readonly pooled: boolean;
  readonly cached: boolean;
  readonly bytes: number;
}

const CASES: readonly Case[] = [
  { name: "isolate ready, small bundle", pooled: true, cached: false, bytes: SMALL_BYTES },
  { name: "isolate ready, 100 KB bundle, started before", pooled: true, cached: true, bytes: LARGE_BYTES },
  { name: "isolate ready, 100 KB bundle, for the first time", pooled: true, cached: false, bytes: LARGE_BYTES },
  { name: "none ready, small bundle", pooled: false, cached: false, bytes: SMALL_BYTES },
  { name: "none ready, 100 KB bundle, started before", pooled: false, cached: true, bytes: LARGE_BYTES },
  { name: "none ready, 100 KB bundle, for the first time", pooled: false, cached: false, bytes: LARGE_BYTES },
];

interface Start {
  readonly times: StartTimes;
  /** The first batch: to the host, through the handler, and back. */
  readonly firstCallMs: number;
  /** From the wish for an instance to the results of its first message. */
  readonly totalMs: number;
}

/**
 * From the moment at which a function without an instance is needed to the results of its first message, and where that time goes; then the
 * same as a client sees it.
 */
export const coldstart: Benchmark = async (options, children, folder) => {
  const cases = CASES.filter(({ name }) => name.includes(options.only));
  const alone = cases.length === 0 ? [] : await inHost(cases);
  const whole = "whole way".includes(options.only) ? await wholeWay(children, folder) : [];
  return [...alone, ...whole, row("this machine: an isolate with a context and nothing in it, p50", await bareMs(), "ms")];
};

/** What no engine can go below, without which figures of two machines cannot be compared. */
async function bareMs(): Promise<number> {
  const program = fileURLToPath(new URL("subjects/bare-isolate.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ["--no-node-snapshot", program]);
  return Number(stdout);
}

async function inHost(cases: readonly Case[]): Promise<Row[]> {
  const hosts = new HostPool({ shared: 1, spare: false }, silentLogger);
  try {
    await hosts.ready();
    const starts = new Map<Case, Start[]>(cases.map((each) => [each, []]));
    for (let n = 0; n < STARTS; n++) {
      for (const [each, all] of starts) all.push(await fitting(hosts, each, n));
      if (n % 50 === 49) process.stderr.write(`${n + 1} of ${STARTS} starts of each kind\n`);
    }
    return [...starts].flatMap(([each, all]) => rowsOf(each, all));
  } finally {
    await hosts.close();
  }
}

/** A start that is of this kind; the code has to come twice before it is kept, and an isolate may not be ready in time. */
async function fitting(hosts: HostPool, wanted: Case, n: number): Promise<Start> {
  for (let tries = 0; tries < 20; tries++) {
    await sleep(PAUSE_MS);
    const start = await startOnce(hosts, specOf(wanted, wanted.cached ? 0 : 1 + n * 20 + tries, 7 * n + tries));
    if (start.times.pooled === wanted.pooled && start.times.cached === wanted.cached) return start;
  }
  throw new Error(`no start was as wanted: ${wanted.name}`);
}

function specOf({ pooled, bytes }: Case, n: number, odd: number): LoadSpec {
  const { bundle } = versionOf(1, codeOf(bytes, n));
  const spec = loadSpec(bundle, [parseTopicFilter("bench/in/+")], { version: 1, gateway: "bench" });
  return pooled ? spec : { ...spec, memoryBytes: spec.memoryBytes + (1 + (odd % ODD_SIZES)) * 2 ** 20 };
}

async function startOnce(hosts: HostPool, spec: LoadSpec): Promise<Start> {
  const { promise: results, resolve, reject } = Promise.withResolvers<Buffer>();
  const events: InstanceEvents = {
    result: (_batch, bytes) => resolve(bytes),
    cut: (_batch, { fault }) => reject(new Error(fault.message)),
    stateGet: () => reject(new Error("the function asked for state")),
    lost: ({ fault }) => reject(new Error(fault.message)),
  };
  const startedAt = performance.now();
  const instance = await hosts.load(spec, events);
  const loadedAt = performance.now();
  instance.run(1, LIMITS, MESSAGE);
  const bytes = await results;
  const endedAt = performance.now();
  instance.unload();
  if (bytes[0] !== 0) throw new Error(`the message failed: ${bytes.toString("latin1")}`);
  return { times: instance.started, firstCallMs: endedAt - loadedAt, totalMs: endedAt - startedAt };
}

const MESSAGE = messageOf({ topic: "bench/in/1", payload: Buffer.from(`{"v":1}`) });

function messageOf({ topic, payload }: { topic: string; payload: Buffer }): Uint8Array[] {
  const time = Date.now();
  const record = encodeMessage({ topic, payload, qos: 1, retain: false, time, source: "bench", hops: 0 });
  const keyBytes = Buffer.alloc(0);
  const message = { seq: 1, topic, time, hops: 0, record };
  const head = itemHead({
    message,
    start: 1,
    trigger: 0,
    key: topic,
    keyBytes,
    attempt: 1,
    resume: false,
    suspect: false,
    trial: "none",
    giveUp: "for good",
  });
  return [head, keyBytes, record];
}

function rowsOf({ name }: Case, starts: readonly Start[]): Row[] {
  const at = (share: number, of: (start: Start) => number): number => {
    const sorted = starts.map(of).toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  };
  const half = (what: string, of: (start: Start) => number): Row => row(`${name}: ${what}, p50`, at(0.5, of), "ms");
  return [
    half("to the results of its first message", ({ totalMs }) => totalMs),
    row(
      `${name}: the same, p99`,
      at(0.99, ({ totalMs }) => totalMs),
      "ms",
    ),
    half("isolate", ({ times }) => times.isolateMs),
    half("compile", ({ times }) => times.compileMs),
    half("init", ({ times }) => times.initMs),
    half("first call", ({ firstCallMs }) => firstCallMs),
  ];
}
