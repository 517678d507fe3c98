import { join } from "node:path";
import { digestOf, encodeBundle } from "../src/core/bundle.ts";
import { buildFunction } from "../src/runtime/build/build.ts";
import type { Benchmark } from "./benchmark.ts";
import { type Flowed, Inside } from "./inside.ts";
import { median, type Row, row, syncRow } from "./report.ts";

/** Time that passes from one value of a key to its next: of the 10 s of a window, so one in ten closes one. */
const STEP_MS = 1_000;
const START_MS = 1_700_000_000_000;

const CASES = [
  { name: "no state", folder: "plain", keys: 10_000 },
  { name: "tumbling window, 10,000 keys", folder: "window", keys: 10_000 },
  { name: "tumbling window, 100 keys", folder: "window", keys: 100 },
] as const;

/** A tumbling window of `millrace/std` over many keys, by one isolate, next to a function that looks at the same values and keeps nothing. */
export const windows: Benchmark = async (options, _children, folder) => {
  const found = new Map<string, Flowed[]>();
  await using inside = await Inside.open(folder);
  const cases = CASES.filter(({ name }) => name.includes(options.only));
  for (const [index, one] of cases.entries()) {
    const built = await buildFunction(join(import.meta.dirname, "function", one.folder));
    const manifest = { ...built.manifest, name: `windows-${index}`, triggers: [{ mqtt: `windows/${index}/+k`, durable: true }] };
    const bundle = { ...built, manifest };
    await inside.runtime.deploy({ name: manifest.name, version: 1, digest: digestOf(encodeBundle(bundle)) }, bundle);
  }
  for (let round = 1; round <= options.rounds; round++) {
    for (const [index, { name, keys }] of cases.entries()) {
      const from = START_MS + round * 10 ** 9;
      const flow = {
        function: `windows-${index}`,
        topic: (n: number) => `windows/${index}/k${n % keys}`,
        time: (n: number) => from + Math.floor(n / keys) * STEP_MS,
        payload: '{"v":21.5}',
      };
      const flowed = await inside.flow(flow, options);
      found.set(name, [...(found.get(name) ?? []), flowed]);
      process.stderr.write(`round ${round}, ${name}: ${Math.round(flowed.perSecond).toLocaleString("en")} msg/s\n`);
    }
  }
  const baseline = median((found.get(CASES[0].name) ?? []).map(({ perSecond }) => perSecond));
  return [...[...found].flatMap(([name, flows]) => rowsOf(name, flows, baseline)), syncRow(folder)];
};

function rowsOf(name: string, flows: readonly Flowed[], baseline: number): Row[] {
  const perSecond = median(flows.map((flow) => flow.perSecond));
  const rows = [row(name, perSecond, "msg/s")];
  if (name === CASES[0].name) return rows;
  const closed = median(flows.map((flow) => flow.emittedPerSecond));
  rows.push(row(`${name}: windows closed and emitted`, closed, "windows/s"));
  return baseline > 0 ? [...rows, row(`${name}: messages, of those without state`, perSecond / baseline, "×")] : rows;
}
