import { fileURLToPath } from "node:url";
import { MillraceError } from "../src/core/errors.ts";
import { Usage } from "../src/runtime/usage.ts";
import type { Benchmark } from "./benchmark.ts";
import type { Child } from "./children.ts";
import { runLoad } from "./load/run.ts";
import type { BenchOptions } from "./options.ts";
import { median, type Row, row, syncRow } from "./report.ts";
import { Crowd, type Member } from "./subjects/crowd.ts";
import type { Addresses } from "./subjects/programs.ts";

const SOURCE = fileURLToPath(new URL("observed", import.meta.url));
/** As in the other benchmarks. */
const OUTSTANDING_MAX = 8_192;
/** Prometheus asks every 15 s or seldom more often. */
const SCRAPE_MS = 1_000;
/** Batches that are counted to see what counting costs. */
const BATCHES = 2_000_000;

interface Case {
  readonly name: string;
  readonly member: Member;
  /** Whether somebody asks for everything that there is to see, all the time. */
  readonly scraped: boolean;
  /** Whether each message belongs to a trace, which is passed on. */
  readonly traced: boolean;
}

/** Logs every so many messages; 0 = never. */
function caseOf(name: string, path: string, logEvery: number, seen: Partial<Pick<Case, "scraped" | "traced">> = {}): Case {
  const member = { name: path, filter: `observed/${path}/in/+device`, out: `observed/${path}/out`, env: { LOG_EVERY: String(logEvery) } };
  return { name, member, scraped: false, traced: false, ...seen };
}

const CASES: readonly Case[] = [
  caseOf("nothing logged, nobody looks", "silent", 0),
  caseOf(`/metrics and /v1/stats every ${SCRAPE_MS / 1_000} s`, "silent", 0, { scraped: true }),
  // About as many as are kept, 1,000 a second.
  caseOf("a line for every 100th message", "hundredth", 100),
  // Nearly all of them are above what a function may log, and are counted.
  caseOf("a line for every message", "talkative", 1),
  caseOf("each message names a trace", "silent", 0, { traced: true }),
];

/** What it costs to see what functions do: messages per second through functions that log and one that does not, while somebody looks or nobody. */
export const observability: Benchmark = async (options, children, folder) => {
  const cases = CASES.filter(({ name }) => name.includes(options.only));
  if (cases.length === 0) {
    throw new MillraceError("USAGE", `no case contains "${options.only}"; there are: ${CASES.map(({ name }) => name).join("; ")}`);
  }
  const members = [...new Map(CASES.map(({ member }) => [member.name, member])).values()];
  const crowd = await Crowd.prepare(members, children, folder, { source: SOURCE });
  const gateway = await crowd.start(undefined);
  const results = new Map<Case, number[]>(cases.map((each) => [each, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const [each, all] of results) {
      const perSecond = await measure(each, gateway, options);
      all.push(perSecond);
      process.stderr.write(`round ${round}: ${each.name}: ${Math.round(perSecond)} msg/s\n`);
    }
  }
  return [...rowsOf(results), row("counting a batch in histograms and totals", countingNs(), "ns"), syncRow(folder)];
};

async function measure({ name, member, scraped, traced }: Case, gateway: Child<Addresses>, options: BenchOptions): Promise<number> {
  const scraping = scraped ? setInterval(() => void scrape(gateway.ready["http"] ?? ""), SCRAPE_MS) : undefined;
  try {
    const { received, seconds, missing } = await runLoad(
      {
        port: Number(new URL(gateway.ready["mqtt"] ?? "").port),
        publishers: 4,
        prefix: member.filter.slice(0, member.filter.lastIndexOf("/")),
        subscribe: `${member.out}/+`,
        topics: options.topics,
        window: options.window,
        outstanding: OUTSTANDING_MAX,
        traced,
        warmUpMs: options.warmUp * 1_000,
        measureMs: options.seconds * 1_000,
      },
      { begin: () => undefined, end: () => undefined },
    );
    if (missing > 0) throw new Error(`${name}: ${missing} acknowledged messages never arrived`);
    return received / seconds;
  } finally {
    clearInterval(scraping);
  }
}

async function scrape(http: string): Promise<void> {
  for (const path of ["/metrics", "/v1/stats"]) await (await fetch(http + path)).text();
}

function rowsOf(results: ReadonlyMap<Case, readonly number[]>): Row[] {
  const rates = [...results].map(([{ name }, all]) => ({ name, rate: median(all) }));
  const [first, ...others] = rates;
  return [
    ...rates.map(({ name, rate }) => row(name, rate, "msg/s")),
    ...(first === undefined ? [] : others.map(({ name, rate }) => row(`${name}: lost`, 100 * (1 - rate / first.rate), "%"))),
  ];
}

/** Once for up to 256 messages; there is no gateway that does not count, so this is measured by itself. */
function countingNs(): number {
  const usage = new Usage(32 * 2 ** 20);
  const times = Array.from({ length: 5 }, () => {
    const startedAt = performance.now();
    for (let n = 0; n < BATCHES; n++) usage.batch(64, 0.5 + (n & 7), 0.4);
    return ((performance.now() - startedAt) * 1e6) / BATCHES;
  });
  return median(times);
}
