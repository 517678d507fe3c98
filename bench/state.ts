import { SHARED_KEY } from "../src/core/state-value.ts";
import type { Benchmark } from "./benchmark.ts";
import { type Flow, Inside } from "./inside.ts";
import { median, type Row, row, syncRow } from "./report.ts";
import { versionNamed } from "./subjects/bundles.ts";

/** What a handler does with its state for each message, so many times over. */
const TIMES = 10;
const KEYS = 64;
/** Four times what an isolate remembers, so that a key has always been forgotten when its turn comes again. */
const COLD_KEYS = 40_000;

interface StateCase {
  readonly name: string;
  readonly handler: string;
  readonly keys: number;
  /** Accesses of one message, and what they are; the case without state has none. */
  readonly times: number;
  readonly unit: string;
}

function repeated(line: string): string {
  return `for (let i = 0; i < ${TIMES}; i++) ${line}`;
}

const CASES: readonly StateCase[] = [
  { name: "no state", handler: "", keys: KEYS, times: 0, unit: "" },
  { name: "hot, get", handler: repeated("await ctx.state.get('v');"), keys: KEYS, times: TIMES, unit: "reads/s" },
  { name: "hot, get of shared", handler: repeated("await ctx.state.shared.get('v');"), keys: KEYS, times: TIMES, unit: "reads/s" },
  { name: "cold, get", handler: "await ctx.state.get('v');", keys: COLD_KEYS, times: 1, unit: "reads/s" },
  { name: "hot, set", handler: repeated("ctx.state.set('v' + i, { count: i, sum: 1.5 });"), keys: KEYS, times: TIMES, unit: "writes/s" },
  {
    name: "hot, set with ttl",
    handler: repeated("ctx.state.set('v' + i, { count: i, sum: 1.5 }, { ttl: '1m' });"),
    keys: KEYS,
    times: TIMES,
    unit: "writes/s",
  },
  {
    name: "hot, set of what JSON cannot carry",
    handler: repeated("ctx.state.set('v' + i, { count: i, at: new Date(0) });"),
    keys: KEYS,
    times: TIMES,
    unit: "writes/s",
  },
  { name: "cold, set", handler: "ctx.state.set('v', { count: 1, sum: 1.5 });", keys: COLD_KEYS, times: 1, unit: "writes/s" },
];

/** Reads and writes of `ctx.state` per second, by one isolate, next to the same function without state. Messages come from the journal, synced. */
export const state: Benchmark = async (options, _children, folder) => {
  const cases = CASES.filter(({ name }) => name.includes(options.only));
  const rates = new Map<StateCase, number[]>(cases.map((one) => [one, []]));
  await using inside = await Inside.open(folder);
  for (const [index, one] of cases.entries()) await deploy(inside, one, index);
  for (let round = 1; round <= options.rounds; round++) {
    for (const [index, one] of cases.entries()) {
      const { perSecond } = await inside.flow(flowOf(one, index), options);
      rates.get(one)?.push(perSecond);
      process.stderr.write(`round ${round}, ${one.name}: ${Math.round(perSecond).toLocaleString("en")} msg/s\n`);
    }
  }
  const of = (one: StateCase | undefined): number => median(one === undefined ? [] : (rates.get(one) ?? []));
  const baseline = of(cases.find(({ times }) => times === 0));
  return [...cases.flatMap((one) => rowsOf(one, of(one), baseline)), syncRow(folder)];
};

function rowsOf(one: StateCase, perSecond: number, baseline: number): Row[] {
  const rows = [row(one.name, perSecond, "msg/s")];
  if (one.times === 0) return rows;
  rows.push(row(`${one.name}: ${one.times} for each message`, perSecond * one.times, one.unit));
  if (baseline > 0) rows.push(row(`${one.name}: messages, of those without state`, perSecond / baseline, "×"));
  return rows;
}

async function deploy(inside: Inside, one: StateCase, index: number): Promise<void> {
  const keys = [SHARED_KEY, ...Array.from({ length: one.keys }, (_, n) => `k${n}`)];
  await inside.fill(nameOf(index), keys, "v", JSON.stringify({ count: 1, sum: 1.5 }));
  const { target, bundle } = versionNamed(nameOf(index), `state/${index}/+k`, `async handler(event, ctx) { ${one.handler} }`);
  await inside.runtime.deploy(target, bundle);
}

function flowOf({ keys }: StateCase, index: number): Flow {
  return { function: nameOf(index), topic: (n) => `state/${index}/k${n % keys}`, payload: '{"v":21.5}' };
}

function nameOf(index: number): string {
  return `state-${index}`;
}
