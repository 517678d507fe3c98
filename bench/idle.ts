import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Benchmark } from "./benchmark.ts";
import { runLoad } from "./load/run.ts";
import type { BenchOptions } from "./options.ts";
import { type Row, row, syncRow } from "./report.ts";
import { startGateway } from "./subjects/gateway.ts";
import { gatewayFlags, startProgram } from "./subjects/programs.ts";
import { aloneBytes, descendantsOf, memoryOf, usageOf } from "./usage.ts";

const IDLE_MS = 30_000;
const SAMPLE_MS = 500;
const OUTSTANDING_MAX = 8_192;

interface Load {
  readonly name: string;
  readonly publishers: number;
  readonly payloadBytes: number;
  readonly rate?: number;
  /** Unacknowledged publishes of one publisher; as the options say if it is missing. */
  readonly window?: number;
}

/** The last one has 80 MB unacknowledged, more than the broker takes in. */
const LOADS: readonly Load[] = [
  { name: "1,000 msg/s of 72 bytes", publishers: 1, payloadBytes: 72, rate: 1_000 },
  { name: "flood of 72 bytes", publishers: 4, payloadBytes: 72 },
  { name: "flood of 1 KB", publishers: 4, payloadBytes: 1_024 },
  { name: "flood of 100 KB", publishers: 4, payloadBytes: 102_400, window: 200 },
];

interface Subject {
  readonly pid: number;
  readonly http: string;
}

const statsSchema = z.object({ broker: z.object({ inflightBytes: z.number() }) });

/** What a gateway needs of the machine: memory by kind of process and its processor time, at rest and under loads. It runs from source. */
export const idle: Benchmark = async (options, children, folder) => {
  const data = join(folder, "empty");
  mkdirSync(data, { recursive: true });
  const empty = await startProgram(children, "gateway", gatewayFlags(data, ""));
  const rows: Row[] = [];
  if ("idle, no functions".includes(options.only)) {
    const subject = { pid: empty.pid, http: empty.ready["http"] ?? "" };
    rows.push(...(await watched("idle, no functions", subject, () => sleep(IDLE_MS))));
  }
  await empty.stop();
  const gateway = await startGateway(children, folder);
  if ("idle, one function".includes(options.only)) rows.push(...(await watched("idle, one function", gateway, () => sleep(IDLE_MS))));
  for (const load of LOADS.filter(({ name }) => name.includes(options.only))) {
    rows.push(...(await underLoad(load, gateway, options)));
  }
  return [...rows, syncRow(folder)];
};

async function underLoad(load: Load, gateway: Subject & { readonly port: number }, options: BenchOptions): Promise<Row[]> {
  const { name, publishers, payloadBytes, rate, window = options.window } = load;
  let perSecond = 0;
  const rows = await watched(name, gateway, async () => {
    const result = await runLoad(
      {
        port: gateway.port,
        publishers,
        prefix: "bench/in",
        subscribe: "bench/out/+",
        topics: Math.max(options.topics, publishers),
        window,
        outstanding: OUTSTANDING_MAX,
        payloadBytes,
        ...(rate === undefined ? {} : { rate }),
        warmUpMs: options.warmUp * 1_000,
        measureMs: options.seconds * 1_000,
      },
      { begin: () => undefined, end: () => undefined },
    );
    if (result.missing > 0) throw new Error(`${name}: ${result.missing} acknowledged messages never arrived`);
    perSecond = result.received / result.seconds;
  });
  return [row(`${name}: handled`, perSecond, "msg/s"), ...rows];
}

/** Runs the work and looks at the gateway meanwhile. Hosts come and go, so they are added up each time. */
async function watched(name: string, { pid, http }: Subject, work: () => Promise<void>): Promise<Row[]> {
  const most = { gateway: 0, hosts: 0, together: 0, processes: 0, inflight: 0 };
  const looking = new AbortController();
  const look = async (): Promise<void> => {
    const hosts = descendantsOf(pid);
    const own = memoryOf([pid]);
    const theirs = memoryOf(hosts);
    const { broker } = statsSchema.parse(await (await fetch(`${http}/v1/stats`)).json());
    most.gateway = Math.max(most.gateway, own.rss);
    most.hosts = Math.max(most.hosts, theirs.rss);
    most.together = Math.max(most.together, aloneBytes([pid, ...hosts]));
    most.processes = Math.max(most.processes, 1 + hosts.length);
    most.inflight = Math.max(most.inflight, broker.inflightBytes);
  };
  const looks = (async () => {
    while (!looking.signal.aborted) {
      await look();
      await sleep(SAMPLE_MS, undefined, { signal: looking.signal }).catch(() => undefined); // The work is done.
    }
  })();
  const before = { at: performance.now(), cpuMs: cpuMs(pid) };
  try {
    await work();
  } finally {
    looking.abort();
  }
  const share = ((cpuMs(pid) - before.cpuMs) / (performance.now() - before.at)) * 100;
  await looks;
  process.stderr.write(`${name}: ${Math.round(megabytes(most.together))} MB in ${most.processes} processes\n`);
  return [
    row(`${name}: RSS of gateway, at most`, megabytes(most.gateway), "MB"),
    row(`${name}: RSS of ${most.processes - 1} hosts, at most`, megabytes(most.hosts), "MB"),
    row(`${name}: memory of all, what they share counted once, at most`, megabytes(most.together), "MB"),
    row(`${name}: CPU of gateway`, share, "% of a core"),
    row(`${name}: sent by clients and not done with, at most`, megabytes(most.inflight), "MB"),
  ];
}

function megabytes(bytes: number): number {
  return bytes / 1024 ** 2;
}

function cpuMs(pid: number): number {
  return usageOf({ gateway: [pid] }).get("gateway")?.cpuMs ?? 0;
}
