import { join } from "node:path";
import { Drops } from "../src/core/drops.ts";
import { silentLogger } from "../src/core/log.ts";
import { Journal } from "../src/journal/journal.ts";
import { Runtime } from "../src/runtime/runtime.ts";
import type { Benchmark } from "./benchmark.ts";
import { median, type Row, row } from "./report.ts";
import { codeOf, versionOf } from "./subjects/bundles.ts";
import { descendantsOf, usageOf } from "./usage.ts";

const RELOADS = 10_000;
const STEP = 1_000;
const BUNDLE_BYTES = 5_000;
/** Versions that come again, as when somebody tries this and that. */
const DIFFERENT = 50;

/** A function is replaced by its next version again and again: what the process of the runtime, which is this one, and its host have then. */
export const reload: Benchmark = async (_options, _children, folder) => {
  await using journal = await Journal.open({ location: join(folder, "journal"), batchMax: 256 });
  await using runtime = await Runtime.start({ gateway: "bench", hosts: 1, pendingMax: 8_192, drops: new Drops() }, journal, silentLogger);
  runtime.begin();
  const codes = Array.from({ length: DIFFERENT }, (_, n) => codeOf(BUNDLE_BYTES, n));
  const rows: Row[] = [];
  const tookMs: number[] = [];
  const seen: number[] = [];
  for (let n = 1; n <= RELOADS; n++) {
    const { target, bundle } = versionOf(n, codes[n % DIFFERENT] ?? "");
    const startedAt = performance.now();
    await runtime.deploy(target, bundle);
    tookMs.push(performance.now() - startedAt);
    if (n % STEP !== 0) continue;
    const { here, hosts } = memory();
    seen.push(hosts);
    rows.push(row(`host after ${n.toLocaleString("en")} reloads: RSS`, hosts, "MB"), row("runtime: RSS", here, "MB"));
    process.stderr.write(`${n} reloads: host ${hosts.toFixed(1)} MB, runtime ${here.toFixed(1)} MB\n`);
  }
  const first = seen[1] ?? 0;
  return [
    ...rows,
    row("host, from the 2,000th to the last", (seen.at(-1) ?? 0) - first, "MB"),
    row("one reload, median", median(tookMs), "ms"),
  ];
};

function memory(): { here: number; hosts: number } {
  const usage = usageOf({ here: [process.pid], hosts: descendantsOf(process.pid) });
  const mb = (label: string): number => (usage.get(label)?.rssBytes ?? 0) / 2 ** 20;
  return { here: mb("here"), hosts: mb("hosts") };
}
