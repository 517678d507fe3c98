import { NO_TOTALS, plus, type Totals } from "../../core/totals.ts";
import { type HourTotals, type SampleRow, SAMPLE_MS, type UsageSample } from "../../core/usage-history.ts";
import { formatSize } from "../../core/units.ts";
import { count, table } from "../terminal/text.ts";

const TOTALS = ["invocations", "errors", "cpu ms", "GB-s"];
const RATES = ["msg/s", "err/s", "cpu %", "backlog", "heap"];

/** What each function used in each hour, and all of it for each function. */
export function hoursText(hours: readonly HourTotals[]): string {
  if (hours.length === 0) return "nothing was handled in these hours\n";
  const sums = new Map<string, Totals>();
  for (const hour of hours) sums.set(hour.function, plus(sums.get(hour.function) ?? NO_TOTALS, hour));
  const rows = hours.map((hour) => [`${timeText(hour.time).slice(0, 16)}Z`, hour.function, ...totalCells(hour)]);
  const totals = [...sums].map(([name, sum]) => ["total", name, ...totalCells(sum)]);
  return table(["hour", "function", ...TOTALS], [...rows, ...totals], TOTALS);
}

/** With seconds, in UTC. */
function timeText(time: number): string {
  return new Date(time).toISOString().slice(0, 19).replace("T", " ");
}

function totalCells({ invocations, errors, cpuMs, gbSeconds }: Totals): string[] {
  return [count(invocations), count(errors), count(cpuMs), gbSeconds.toFixed(3)];
}

/** What functions did, sample by sample. */
export function samplesText(samples: readonly UsageSample[]): string {
  if (samples.length === 0) return "nothing was handled in this time\n";
  const rows = samples.flatMap(({ time, functions }) =>
    functions.map((row) => [`${timeText(time)}Z`, row.function, `v${row.version}`, ...rateCells(row)]),
  );
  return table(["until", "function", "version", ...RATES], rows, RATES);
}

function rateCells({ invocations, errors, cpuMs, backlog, heapBytes }: SampleRow): string[] {
  const perSecond = 1_000 / SAMPLE_MS;
  const cpuShare = ((cpuMs / SAMPLE_MS) * 100).toFixed(1);
  const heap = heapBytes === 0 ? "" : formatSize(heapBytes);
  return [(invocations * perSecond).toFixed(1), (errors * perSecond).toFixed(1), cpuShare, count(backlog), heap];
}
