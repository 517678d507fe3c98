import { minus, quantileMs } from "../../core/histogram.ts";
import type { FunctionStats, GatewayStats } from "../../core/stats.ts";
import { formatSize } from "../../core/units.ts";
import { count, table } from "../terminal/text.ts";

/** A screen holds about this many functions; the busiest are shown. */
const ROWS_MAX = 40;

/** The stats at some moment of the clock of this program, in milliseconds. */
export interface Sample {
  readonly at: number;
  readonly stats: Pick<GatewayStats, "gateway" | "startedAt" | "functions">;
}

interface Row {
  readonly cpuShare: number;
  readonly cells: readonly string[];
}

const NUMBERS = ["msg/s", "p50 ms", "p99 ms", "err/s", "cpu %", "backlog", "age", "heap", "stored"];

/** What the functions have done between two samples, the one that computed most first. Without `before` there are no rates yet. */
export function liveText(now: Sample, before: Sample | undefined): string {
  const { functions, startedAt } = now.stats;
  if (functions.length === 0) return "no function runs here; millrace publish DIR deploys one\n";
  const isSame = before?.stats.startedAt === startedAt;
  const rows = functions.map((each) => {
    const earlier = isSame ? before.stats.functions.find((other) => isSameVersion(each, other)) : undefined;
    return rowOf(each, earlier, (now.at - (before?.at ?? now.at)) / 1_000);
  });
  rows.sort((one, other) => other.cpuShare - one.cpuShare);
  const shown = rows.slice(0, ROWS_MAX).map(({ cells }) => cells);
  const more = rows.length > ROWS_MAX ? `… and ${count(rows.length - ROWS_MAX)} functions that compute less\n` : "";
  return table(["function", "version", "state", ...NUMBERS], shown, NUMBERS) + more;
}

/** The counters of another version, or of the same one that took over again, are not comparable. */
function isSameVersion(now: FunctionStats, before: FunctionStats): boolean {
  return now.name === before.name && now.digest === before.digest && now.usage.invocations >= before.usage.invocations;
}

function rowOf(now: FunctionStats, before: FunctionStats | undefined, seconds: number): Row {
  const { name, version, state, backlog, oldestAgeMs, stateBytes, usage } = now;
  const rates = before === undefined || seconds <= 0 ? undefined : ratesOf(now, before, seconds);
  return {
    cpuShare: rates?.cpuShare ?? 0,
    cells: [
      name,
      `v${version}`,
      state,
      ...(rates?.cells ?? ["", "", "", "", ""]),
      count(backlog),
      oldestAgeMs === undefined ? "" : ageText(oldestAgeMs / 1_000),
      usage.heapBytes === 0 ? "" : formatSize(usage.heapBytes),
      stateBytes === undefined ? "" : formatSize(stateBytes),
    ],
  };
}

function ratesOf(now: FunctionStats, before: FunctionStats, seconds: number): Row {
  const duration = minus(now.usage.duration, before.usage.duration);
  const cpuShare = (now.usage.cpu.sumMs - before.usage.cpu.sumMs) / 10 / seconds;
  const cells = [
    count((now.usage.invocations - before.usage.invocations) / seconds),
    msText(quantileMs(duration, 0.5)),
    msText(quantileMs(duration, 0.99)),
    ((now.failed - before.failed) / seconds).toFixed(1),
    cpuShare.toFixed(1),
  ];
  return { cpuShare, cells };
}

function msText(ms: number | undefined): string {
  if (ms === undefined) return "";
  return ms < 10 ? ms.toFixed(2) : count(ms);
}

function ageText(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 7_200 ? `${count(seconds / 60)} min` : `${count(seconds / 3_600)} h`;
}
