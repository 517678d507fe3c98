import { MillraceError } from "../src/core/errors.ts";
import type { Child, Children } from "./children.ts";
import type { LoadWish, LoadResult } from "./load/protocol.ts";
import { runLoad } from "./load/run.ts";
import type { BenchOptions } from "./options.ts";
import type { Broker } from "./subjects/broker.ts";
import { startScript } from "./subjects/others.ts";
import { descendantsOf, type Processes, type Usage, usageOf } from "./usage.ts";

/** One path that messages take, and how they are sent down it. */
export interface Case {
  readonly name: string;
  readonly broker: Broker;
  readonly path: keyof typeof PATHS;
  readonly publishers: number;
  /** Messages per second; undefined = as fast as the path allows. */
  readonly rate?: number;
}

/**
 * `function`: through the function of bench/function; `relay`: the broker alone, on topics no function listens to; `script`: through the
 * hand-written script.
 */
const PATHS = {
  function: { prefix: "bench/in", subscribe: "bench/out/+" },
  relay: { prefix: "relay", subscribe: "relay/+" },
  script: { prefix: "script/in", subscribe: "script/out/+" },
} as const;

/** More than any path needs to be busy, little enough that no queue grows for long. */
const OUTSTANDING_MAX = 8_192;

export interface Measurement extends LoadResult {
  readonly perSecond: number;
  /** Label → what its processes used while it was measured. */
  readonly usage: ReadonlyMap<string, Usage>;
}

/** Runs a case once. */
async function measure(subject: Case, options: BenchOptions, children: Children): Promise<Measurement> {
  const script = subject.path === "script" ? await startScript(children, subject.broker.port) : undefined;
  try {
    return await observed(subject, loadOptions(subject, options), script);
  } finally {
    await script?.stop();
  }
}

async function observed(subject: Case, load: LoadWish, script: Child<true> | undefined): Promise<Measurement> {
  let processes: Processes = {};
  let before: ReadonlyMap<string, Usage> = new Map();
  let after: ReadonlyMap<string, Usage> = new Map();
  const result = await runLoad(load, {
    begin: (pid) => {
      const { broker } = subject;
      const hosts = descendantsOf(broker.pid);
      processes = {
        [broker.label]: [broker.pid],
        ...(hosts.length > 0 ? { hosts } : {}),
        ...(script === undefined ? {} : { script: [script.pid] }),
        "load generator": [pid],
      };
      before = usageOf(processes);
    },
    end: () => (after = usageOf(processes)),
  });
  if (result.missing > 0) throw new Error(`${subject.name}: ${result.missing} acknowledged messages never arrived`);
  const usage = new Map(
    [...after].map(([label, { cpuMs, rssBytes }]) => [label, { cpuMs: cpuMs - (before.get(label)?.cpuMs ?? 0), rssBytes }]),
  );
  return { ...result, perSecond: result.received / result.seconds, usage };
}

function loadOptions(subject: Case, { seconds, warmUp, topics, window }: BenchOptions): LoadWish {
  const { broker, path, publishers, rate } = subject;
  return {
    port: broker.port,
    publishers,
    ...PATHS[path],
    topics: Math.max(topics, publishers),
    window,
    outstanding: OUTSTANDING_MAX,
    ...(rate === undefined ? {} : { rate }),
    warmUpMs: warmUp * 1_000,
    measureMs: seconds * 1_000,
  };
}

/**
 * Runs every chosen case once in each round, so that a slow minute of the machine hits all of them.
 * @throws MillraceError USAGE when `only` chooses none
 */
export async function takeTurns(all: readonly Case[], options: BenchOptions, children: Children): Promise<Map<Case, Measurement[]>> {
  const cases = all.filter(({ name }) => name.includes(options.only));
  if (cases.length === 0) {
    throw new MillraceError("USAGE", `no case contains "${options.only}"; there are: ${all.map(({ name }) => name).join("; ")}`);
  }
  const results = new Map<Case, Measurement[]>(cases.map((subject) => [subject, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const subject of cases) {
      const result = await measure(subject, options, children);
      results.get(subject)?.push(result);
      const latency =
        result.latency === undefined ? "" : `, p50 ${result.latency.p50.toFixed(2)} ms, p99 ${result.latency.p99.toFixed(2)} ms`;
      process.stderr.write(`round ${round}: ${subject.name}: ${Math.round(result.perSecond)} msg/s${latency}\n`);
    }
  }
  return results;
}
