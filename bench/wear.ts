import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connectAsync } from "mqtt";
import type { Benchmark } from "./benchmark.ts";
import type { Children } from "./children.ts";
import { type Row, row, syncRow } from "./report.ts";
import { SinkGateway } from "./subjects/sink.ts";
import { usageOf } from "./usage.ts";

const PAYLOAD_BYTES = 100;
const TOPICS = 64;
const PATIENCE_MS = 300_000;

/** How messages come: what share a batch and so a sync, and what come alone, when a page of the disk is written for each. */
const WAYS = [
  { name: "in batches", messages: 300_000, inFlight: 2_000 },
  { name: "one by one", messages: 3_000, inFlight: 1 },
] as const;
const COMPRESSIONS = ["none", "zstd"] as const;

/**
 * Bytes that a gateway has written to the disk for each message, from /proc/PID/io, next to the bytes of the payload: append, cursor, and what
 * LevelDB writes again when it moves things together.
 */
export const wear: Benchmark = async (options, children, folder) => {
  const rows: Row[] = [];
  for (const compression of COMPRESSIONS) {
    for (const way of WAYS) {
      const name = `${way.name}, compression ${compression}`;
      if (!name.includes(options.only)) continue;
      const measured = await measure(children, join(folder, name.replaceAll(/\W+/g, "-")), { way, compression });
      process.stderr.write(`${name}: ${Math.round(measured.bytes)} bytes/msg at ${Math.round(measured.perSecond)} msg/s\n`);
      rows.push(
        row(`${name}: written to disk`, measured.bytes, "bytes/msg"),
        row(`${name}: times the payload`, measured.bytes / PAYLOAD_BYTES, "×"),
        row(`${name}: messages taken and handled`, measured.perSecond, "msg/s"),
        row(`${name}: CPU of the gateway`, measured.cpuMs, "ms/1,000 msg"),
      );
    }
  }
  return [...rows, row("payload", PAYLOAD_BYTES, "bytes"), syncRow(folder)];
};

interface Measured {
  readonly bytes: number;
  readonly perSecond: number;
  readonly cpuMs: number;
}

interface Case {
  readonly way: (typeof WAYS)[number];
  readonly compression: (typeof COMPRESSIONS)[number];
}

async function measure(children: Children, folder: string, { way, compression }: Case): Promise<Measured> {
  const sink = await SinkGateway.prepare(children, folder);
  const gateway = await sink.start({ "journal.compression": compression });
  const before = bytesWritten(gateway.pid);
  const cpu = usageOf({ gateway: [gateway.pid] }).get("gateway")?.cpuMs ?? 0;
  const startedAt = performance.now();
  await publish(gateway.ready["mqtt"] ?? "", way);
  const deadline = performance.now() + PATIENCE_MS;
  while (((await SinkGateway.stats(gateway.ready)).functions[0]?.handled ?? 0) < way.messages) {
    if (performance.now() > deadline) throw new Error(`${way.messages} messages were not handled within ${PATIENCE_MS} ms`);
    await sleep(50);
  }
  const measured = {
    bytes: (bytesWritten(gateway.pid) - before) / way.messages,
    perSecond: way.messages / ((performance.now() - startedAt) / 1_000),
    cpuMs: ((usageOf({ gateway: [gateway.pid] }).get("gateway")?.cpuMs ?? 0) - cpu) / (way.messages / 1_000),
  };
  await gateway.stop();
  return measured;
}

async function publish(broker: string, { messages, inFlight }: Case["way"]): Promise<void> {
  const client = await connectAsync(broker, { clientId: "wear" });
  let sent = 0;
  const worker = async (): Promise<void> => {
    while (sent < messages) {
      const n = sent++;
      await client.publishAsync(`bench/sink/station-${String(n % TOPICS).padStart(2, "0")}`, reading(n), { qos: 1 });
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  await client.endAsync();
}

/** A reading of a device as devices send them: names and units that come again, figures that do not. */
function reading(n: number): string {
  const figures = { v: Number((20 + 8 * Math.sin(n / 977) + Math.random()).toFixed(3)), h: Number((40 + 20 * Math.random()).toFixed(2)) };
  const text = JSON.stringify({
    n: `station-${n % TOPICS}`,
    u: "Cel",
    t: 1_763_700_000_000 + n * 137,
    ...figures,
    rssi: -Math.floor(60 + Math.random() * 30),
  });
  return text.padEnd(PAYLOAD_BYTES, " ").slice(0, PAYLOAD_BYTES);
}

/** What the process has caused to be written to the storage, counted when a page becomes dirty (Linux, proc_pid_io(5)). */
function bytesWritten(pid: number): number {
  const match = /^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"));
  if (match?.[1] === undefined) throw new Error("this kernel does not count the bytes that a process writes");
  return Number(match[1]);
}
