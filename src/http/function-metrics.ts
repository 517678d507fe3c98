import { BUCKETS_MS, type HistogramStats, totalOf } from "../core/histogram.ts";
import type { StartStats } from "../core/starts.ts";
import type { FunctionStats } from "../core/stats.ts";
import { type Family, labels, type Metric, single } from "./metric-family.ts";

type Of = (starts: StartStats) => number;

/** Each as a summary: the sum of what the starts took, by phase, and how many there were. */
const START_PHASES: readonly { readonly phase: string; readonly ms: Of; readonly count: Of }[] = [
  { phase: "isolate", ms: (starts) => starts.isolateMs, count: ({ count }) => count },
  { phase: "compile", ms: (starts) => starts.compileMs, count: ({ count }) => count },
  { phase: "init", ms: (starts) => starts.initMs, count: ({ count }) => count },
  { phase: "first_call", ms: (starts) => starts.firstCallMs, count: (starts) => starts.firstCalls },
];

/** Their counters go on when another version takes over. */
const FUNCTION: readonly Metric<FunctionStats>[] = [
  gauge("function_active", "Whether the version that was asked for is the one that runs: 1 or 0.", (f) => (f.state === "active" ? 1 : 0)),
  gauge("function_version", "Number of the version that runs.", (f) => f.version),
  gauge("function_backlog", "Messages that wait for the function.", (f) => f.backlog),
  gauge(
    "function_waits_for_subscribers",
    "Whether subscribers are too far behind with what the function publishes, so that it waits: 1 or 0.",
    (f) => (f.waitsFor === "subscribers" ? 1 : 0),
  ),
  gauge("function_instances", "Isolates that the function has.", (f) => f.instances),
  gauge("function_state_bytes", "Keys, names and values that the function keeps, as they were not long ago.", (f) => f.stateBytes),
  gauge(
    "function_oldest_message_age_seconds",
    "Age of the oldest message that waits for the function; 0 when none does.",
    (f) => (f.oldestAgeMs ?? 0) / 1_000,
  ),
  counter("function_handled_total", "Messages that the function handled.", (f) => f.handled),
  counter("function_failed_total", "Tries of the function that failed.", (f) => f.failed),
  counter("function_retried_total", "Tries that were repetitions.", (f) => f.retried),
  counter("function_dead_lettered_total", "Messages that were given up.", (f) => f.deadLettered),
  counter("function_duplicates_total", "Messages left out because of their idempotency key.", (f) => f.duplicates),
  counter("function_emitted_total", "Events that the function emitted.", (f) => f.emitted),
  counter("function_published_total", "Messages that the function published.", (f) => f.published),
  counter("function_cold_starts_total", "Isolates that were started for the function.", (f) => f.starts.count),
  counter("function_starts_pooled_total", "Starts of the function that found an isolate ready.", (f) => f.starts.pooled),
  counter("function_starts_cached_total", "Starts of the function whose code had been compiled before.", (f) => f.starts.cached),
];

/** Of the version that runs, so that two versions can be compared. */
const VERSION: readonly Metric<FunctionStats>[] = [
  counter("function_invocations_total", "Tries that came to an end, also those that failed.", (f) => f.usage.invocations),
  counter("function_retries_total", "Failed tries that are followed by another.", (f) => f.usage.retries),
  counter("function_received_bytes_total", "Bytes of the messages that were handled.", (f) => f.usage.bytesIn),
  counter("function_sent_bytes_total", "Bytes of what was published and of the data of events.", (f) => f.usage.bytesOut),
  counter("function_gigabyte_seconds_total", "Duration times limits.memory, in seconds and 2^30 bytes.", (f) => f.usage.gbSeconds),
  gauge("function_heap_bytes", "Heaps of the isolates, each as it was when it was last looked at.", (f) => f.usage.heapBytes),
];

/** Of functions that have fetched something. */
const FETCH_FAMILIES: readonly Family[] = [
  {
    name: "function_fetches_total",
    type: "counter",
    help: "Fetches of the function by how they ended: the class of the status, or failed, forbidden, limited, aborted.",
    labels: ["function", "version", "outcome"],
    samples: ({ functions }) =>
      functions.flatMap((f) =>
        Object.entries(f.fetches?.outcomes ?? {}).map(
          ([outcome, count]) => `millrace_function_fetches_total${labels({ ...ofVersion(f), outcome })} ${count}`,
        ),
      ),
  },
  ...[
    counter("function_fetch_sent_bytes_total", "Bytes of bodies that fetches of the function have sent.", (f) => f.fetches?.bytesOut),
    counter("function_fetch_received_bytes_total", "Bytes of bodies that they have received, decoded.", (f) => f.fetches?.bytesIn),
  ].map((metric) => single(metric, ["function", "version"], ({ functions }) => functions.map((f) => [f, ofVersion(f)]))),
  histogram(
    "function_fetch_seconds",
    "From the asking for a fetch to the end of its answer, waiting for room included.",
    ({ fetches }) => fetches?.duration,
  ),
];

const DURATION_HELP = "From when the isolate was free until the answer was there: the time of a batch, divided by its messages.";

/** Every family of metrics that has functions for labels. */
export const FUNCTION_FAMILIES: readonly Family[] = [
  ...FUNCTION.map((metric) => single(metric, ["function"], ({ functions }) => functions.map((f) => [f, { function: f.name }]))),
  {
    name: "function_start_seconds",
    type: "summary",
    help: "What starts of the function's isolates took, by phase.",
    labels: ["function", "phase"],
    samples: ({ functions }) => functions.flatMap(({ name, starts }) => startSamples(name, starts)),
  },
  ...VERSION.map((metric) => single(metric, ["function", "version"], ({ functions }) => functions.map((f) => [f, ofVersion(f)]))),
  {
    name: "function_errors_total",
    type: "counter",
    help: "Tries that failed, by the code of the error.",
    labels: ["function", "version", "code"],
    samples: ({ functions }) =>
      functions.flatMap((f) =>
        Object.entries(f.usage.errors).map(
          ([code, count]) => `millrace_function_errors_total${labels({ ...ofVersion(f), code })} ${count}`,
        ),
      ),
  },
  ...FETCH_FAMILIES,
  histogram("function_duration_seconds", DURATION_HELP, ({ usage }) => usage.duration),
  histogram(
    "function_cpu_seconds",
    "What the isolate computed for a message: for a batch, divided by its messages.",
    ({ usage }) => usage.cpu,
  ),
];

function ofVersion({ name, version }: FunctionStats): Readonly<Record<string, string>> {
  return { function: name, version: String(version) };
}

/** Of functions that have done nothing yet there are no buckets: a gateway may have a thousand of them. */
function histogram(name: string, help: string, of: (f: FunctionStats) => HistogramStats | undefined): Family {
  return {
    name,
    type: "histogram",
    help,
    labels: ["function", "version", "le"],
    samples: ({ functions }) =>
      functions.flatMap((f) => {
        const stats = of(f);
        return stats === undefined || totalOf(stats) === 0 ? [] : buckets(`millrace_${name}`, ofVersion(f), stats);
      }),
  };
}

function buckets(name: string, by: Readonly<Record<string, string>>, stats: HistogramStats): string[] {
  const all = labels(by);
  const open = all.slice(0, -1);
  let sum = 0;
  const lines = BUCKETS_MS.map((ms, index) => `${name}_bucket${open},le="${ms / 1_000}"} ${(sum += stats.counts[index] ?? 0)}`);
  const total = totalOf(stats);
  return [
    ...lines,
    `${name}_bucket${open},le="+Inf"} ${total}`,
    `${name}_sum${all} ${stats.sumMs / 1_000}`,
    `${name}_count${all} ${total}`,
  ];
}

function startSamples(name: string, starts: StartStats): string[] {
  return START_PHASES.flatMap(({ phase, ms, count }) => {
    const by = labels({ function: name, phase });
    const metric = "millrace_function_start_seconds";
    return [`${metric}_sum${by} ${ms(starts) / 1_000}`, `${metric}_count${by} ${count(starts)}`];
  });
}

function counter(name: string, help: string, value: (f: FunctionStats) => number | undefined): Metric<FunctionStats> {
  return { name, type: "counter", help, value };
}

function gauge(name: string, help: string, value: (f: FunctionStats) => number | undefined): Metric<FunctionStats> {
  return { name, type: "gauge", help, value };
}
