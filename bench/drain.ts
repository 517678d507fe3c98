import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connectAsync } from "mqtt";
import { z } from "zod";
import type { Benchmark } from "./benchmark.ts";
import type { Child, Children } from "./children.ts";
import { median, type Row, row, syncRow } from "./report.ts";
import { type Addresses, controlFlags, functionsActive, gatewayFlags, publishFunction, startProgram } from "./subjects/programs.ts";
import { type Usage, usageOf } from "./usage.ts";

const EMITTER = fileURLToPath(new URL("emitter", import.meta.url));
const IN_FLIGHT = 2_000;
const POLL_MS = 20;
const PATIENCE_MS = 120_000;

const gatewayStats = z.object({ outbox: z.object({ pending: z.int() }), link: z.object({ connected: z.boolean() }) });
const controlStats = z.object({ events: z.int() });

interface Measurement {
  readonly perSecond: number;
  readonly usage: ReadonlyMap<string, Usage>;
}

/**
 * Events per second from a full outbox into the store: a gateway comes back to its link with a backlog. The time runs from the first moment at
 * which the link is up until the outbox is empty and the control plane has every event.
 */
export const drain: Benchmark = async (options, children, folder) => {
  const measurements: Measurement[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    const measured = await measure(options.events, children, join(folder, `drain-${round}`));
    process.stderr.write(`round ${round}: ${Math.round(measured.perSecond)} events/s\n`);
    measurements.push(measured);
  }
  return [...rowsOf(measurements, options.events), syncRow(folder)];
};

async function measure(events: number, children: Children, folder: string): Promise<Measurement> {
  const data = join(folder, "gateway");
  mkdirSync(data, { recursive: true });
  const control = await startProgram(children, "control", controlFlags(join(folder, "control")));
  const linked = await startProgram(children, "gateway", gatewayFlags(data, control.ready["mqtt"] ?? ""));
  await publishFunction(EMITTER, control.ready["http"] ?? "");
  await functionsActive(linked.ready["http"] ?? "");
  await linked.stop();
  const cutOff = await startProgram(children, "gateway", gatewayFlags(data, ""));
  await functionsActive(cutOff.ready["http"] ?? "");
  await fill(cutOff.ready, events);
  await cutOff.stop();
  const gateway = await startProgram(children, "gateway", gatewayFlags(data, control.ready["mqtt"] ?? ""));
  const measured = await timed(gateway, control, events);
  await gateway.stop();
  await control.stop();
  return measured;
}

/** Lets the function emit one event for each of as many readings. */
async function fill(gateway: Addresses, events: number): Promise<void> {
  const client = await connectAsync(gateway["mqtt"] ?? "", { clientId: "fill" });
  let sent = 0;
  const worker = async (): Promise<void> => {
    while (sent < events) {
      const n = sent++;
      const reading = JSON.stringify({ n: `station-${n % 100}`, v: 20 + (n % 50) / 10, t: 1_700_000_000 + n / 10 });
      await client.publishAsync(`bench/emit/station-${n % 100}`, reading, { qos: 1 });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  await client.endAsync();
  await until(async () => (await get(gateway, gatewayStats)).outbox.pending === events, 100);
}

async function timed(gateway: Child<Addresses>, control: Child<Addresses>, events: number): Promise<Measurement> {
  const processes = { gateway: [gateway.pid], "control plane": [control.pid] };
  await until(async () => (await get(gateway.ready, gatewayStats)).link.connected);
  const startedAt = performance.now();
  const before = usageOf(processes);
  await until(async () => (await get(gateway.ready, gatewayStats)).outbox.pending === 0);
  const seconds = (performance.now() - startedAt) / 1_000;
  const usage = new Map(
    [...usageOf(processes)].map(([label, { cpuMs, rssBytes }]) => [label, { cpuMs: cpuMs - (before.get(label)?.cpuMs ?? 0), rssBytes }]),
  );
  const stored = (await get(control.ready, controlStats)).events;
  if (stored !== events) throw new Error(`the store holds ${stored} events instead of ${events}`);
  return { perSecond: events / seconds, usage };
}

async function get<T>(addresses: Addresses, schema: z.ZodType<T>): Promise<T> {
  return schema.parse(await (await fetch(`${addresses["http"] ?? ""}/v1/stats`)).json());
}

async function until(done: () => Promise<boolean>, everyMs = POLL_MS): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error(`not done within ${PATIENCE_MS} ms`);
    await sleep(everyMs);
  }
}

function rowsOf(measurements: readonly Measurement[], events: number): Row[] {
  const ofAll = (value: (measurement: Measurement) => number): number => median(measurements.map(value));
  const labels = [...(measurements[0]?.usage.keys() ?? [])];
  const each = labels.flatMap((label) => [
    row(
      `CPU of the ${label}`,
      ofAll(({ usage }) => (usage.get(label)?.cpuMs ?? 0) / (events / 1_000)),
      "ms/1,000 events",
    ),
    row(
      `RSS of the ${label}`,
      ofAll(({ usage }) => (usage.get(label)?.rssBytes ?? 0) / 1024 ** 2),
      "MB",
    ),
  ]);
  return [
    row(
      `drain of ${events.toLocaleString("en")} events`,
      ofAll(({ perSecond }) => perSecond),
      "events/s",
    ),
    ...each,
  ];
}
