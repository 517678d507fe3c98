import type { FunctionStats } from "../core/stats.ts";
import { NO_USAGE } from "../core/usage.ts";
import type { DeployedFunction } from "./function.ts";
import type { Holds } from "./holds.ts";
import { Starts } from "./starts.ts";
import type { StateSizes } from "./state-sizes.ts";
import type { RecordedFunction } from "./usage-recorder.ts";

/** A version that could not take over. */
export interface Failure {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
  readonly error: string;
}

/** What is known of functions beside what they know themselves. */
interface Known {
  readonly sizes: StateSizes;
  readonly holds: Pick<Holds, "waitsForSubscribers">;
}

/** What the gateway says of a function that runs. `failure`: of a version that was to take its place. */
export function runningStats(deployed: DeployedFunction, failure: Failure | undefined, { sizes, holds }: Known): FunctionStats {
  const { name, version, digest, from, backlog, counters, instances, starts, quarantine, loadError, oldest, usage, heapBytes } = deployed;
  const error = quarantine === undefined ? (loadError ?? failure?.error) : `${quarantine.code}: ${quarantine.message}`;
  const state = quarantine === undefined ? "active" : "quarantined";
  const about = { name, version, digest, from, backlog, instances, state, ...(error === undefined ? {} : { error }) } as const;
  const { fetches, secrets } = deployed.outside;
  const secretProblems = secrets.problems().map(({ code, message }) => `${code}: ${message}`);
  const stateBytes = sizes.of(name, counters.handled);
  return {
    ...about,
    ...counters,
    ...(holds.waitsForSubscribers(name) ? { waitsFor: "subscribers" } : {}),
    starts: starts.stats,
    ...(oldest === undefined ? {} : { oldestAgeMs: Math.max(0, Date.now() - oldest) }),
    ...(stateBytes === undefined ? {} : { stateBytes }),
    usage: usage.stats(heapBytes),
    ...(fetches === undefined ? {} : { fetches }),
    ...(secretProblems.length === 0 ? {} : { secretProblems }),
  };
}

/** What is written down of it from time to time. */
export function recordedOf({ name, version, backlog, heapBytes, usage }: DeployedFunction): RecordedFunction {
  return { name, version, backlog, heapBytes, totals: usage.totals };
}

/** What it says of one of which no version runs. */
export function failedStats({ name, version, digest, error }: Failure): FunctionStats {
  const counters = { handled: 0, failed: 0, retried: 0, deadLettered: 0, duplicates: 0, emitted: 0, published: 0 };
  const about = { name, version, digest, error, state: "failed", from: 0, backlog: 0, instances: 0 } as const;
  return { ...about, ...counters, starts: new Starts().stats, usage: NO_USAGE };
}
