import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connectAsync } from "mqtt";
import type { Benchmark } from "./benchmark.ts";
import { type Row, row, syncRow } from "./report.ts";
import { Crowd, type Member } from "./subjects/crowd.ts";
import { aloneBytes, descendantsOf, memoryOf, type Usage, usageOf } from "./usage.ts";

/** As in eKuiper's benchmark: github.com/lf-edge/ekuiper, test/benchmark/multiple_rules. */
const RULES = 300;
const PER_SECOND = 500;
const TOPIC = "rawdata";
const SINK = "demoSink";
/** One rule in ten sends its results to the broker, the others nowhere. */
const SINK_EVERY = 10;
/** 12 to 21 °C in turn, so that the filter lets one message in ten through. */
const temperatureOf = (n: number): number => 12 + (n % 10);
const LIMIT = 20;

const SOURCE = fileURLToPath(new URL("rule", import.meta.url));
const TICK_MS = 2;
const SETTLE_MS = 2_000;

const MEMBERS: readonly Member[] = Array.from({ length: RULES }, (_, n) => ({
  name: `rule-${n}`,
  filter: TOPIC,
  out: n % SINK_EVERY === 0 ? SINK : "",
}));

/** 300 functions that listen to one stream of 500 messages a second: what that takes of the machine, and whether everything arrives. */
export const rules: Benchmark = async (options, children, folder) => {
  const crowd = await Crowd.prepare(MEMBERS, children, folder, { source: SOURCE });
  const gateway = await crowd.start(undefined);
  const hosts = (): number[] => descendantsOf(gateway.pid);
  const client = await connectAsync(gateway.ready["mqtt"] ?? "");
  let arrived = 0;
  client.on("message", () => arrived++);
  await client.subscribeAsync(SINK, { qos: 1 });
  const publish = (n: number): Promise<unknown> =>
    client.publishAsync(TOPIC, JSON.stringify({ temperature: temperatureOf(n), humidity: 90 }), { qos: 1 });

  await paced(options.warmUp * 1_000, publish);
  await Crowd.drained(gateway.ready);
  await sleep(SETTLE_MS);
  arrived = 0;
  const before = usageOf({ gateway: [gateway.pid], hosts: hosts() });
  const startedAt = performance.now();
  const { sent, passed } = await paced(options.seconds * 1_000, publish);
  const seconds = (performance.now() - startedAt) / 1_000;
  const after = usageOf({ gateway: [gateway.pid], hosts: hosts() });
  const all = [gateway.pid, ...hosts()];
  const memory = { alone: aloneBytes(all), pss: memoryOf(all).pss };
  await Crowd.drained(gateway.ready);
  await sleep(SETTLE_MS);
  const expected = passed * (RULES / SINK_EVERY);
  if (arrived < expected) throw new Error(`${expected - arrived} of ${expected} results never arrived`);
  const restarts = await Crowd.hostRestarts(gateway.ready);
  await client.endAsync();

  const share = (label: string): number => (100 * (cpuMs(after, label) - cpuMs(before, label))) / (seconds * 1_000);
  return [
    row("messages into the stream", sent / seconds, "msg/s"),
    row(`handled by ${RULES} functions`, (sent * RULES) / seconds, "msg/s"),
    row("results delivered", arrived / seconds, "msg/s"),
    row("CPU of the gateway, broker and journal included", share("gateway"), "% of a core"),
    row("CPU of the hosts", share("hosts"), "% of a core"),
    mb("memory of all processes, on a machine of their own", memory.alone),
    mb("memory of all processes, PSS", memory.pss),
    row("processes", all.length, ""),
    row("hosts that died", restarts, ""),
    syncRow(folder),
  ];
};

function mb(what: string, bytes: number): Row {
  return row(what, bytes / 2 ** 20, "MB");
}

function cpuMs(usage: ReadonlyMap<string, Usage>, label: string): number {
  return usage.get(label)?.cpuMs ?? 0;
}

/** Publishes at the rate for so long. Resolves when all of it is acknowledged, with how much there was and how much the filter lets through. */
async function paced(ms: number, publish: (n: number) => Promise<unknown>): Promise<{ sent: number; passed: number }> {
  const startedAt = performance.now();
  const waiting: Promise<unknown>[] = [];
  let passed = 0;
  for (let elapsed = 0; elapsed < ms; elapsed = performance.now() - startedAt) {
    for (const due = (elapsed * PER_SECOND) / 1_000; waiting.length < due;) {
      if (temperatureOf(waiting.length) > LIMIT) passed++;
      waiting.push(publish(waiting.length));
    }
    await sleep(TICK_MS);
  }
  await Promise.all(waiting);
  return { sent: waiting.length, passed };
}
