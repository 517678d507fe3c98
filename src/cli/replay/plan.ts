import { systemClock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import { suggestion } from "../../core/nearest.ts";
import { payloadWriter } from "../csv/cells.ts";
import { timeReader } from "../csv/recorded-time.ts";
import type { CsvFile, CsvRow } from "../csv/rows.ts";
import { compileTopic } from "../csv/topic-template.ts";
import { asFastAsPossible, type Pace, recordedPace, steadyPace } from "./pace.ts";

export interface ReplayRequest {
  readonly topic: string;
  /** `NAME=VALUE` */
  readonly set: readonly string[];
  /** Column names, each entry one or several between commas; likewise `time`. */
  readonly key: readonly string[];
  readonly time: readonly string[];
  readonly rate: number | undefined;
  readonly speed: number | undefined;
  readonly strings: boolean;
}

/** How the rows of one file become messages, checked against its header. */
export interface ReplayPlan {
  readonly pace: Pace<CsvRow>;
  toMessage(row: CsvRow): { topic: string; payload: string };
}

/** @throws MillraceError USAGE for flags that do not fit together, CSV_INVALID for names that the file does not have. */
export function planReplay(source: CsvFile, request: ReplayRequest): ReplayPlan {
  const { file, columns } = source;
  const set = parseSet(request.set);
  const template = compileTopic(request.topic, { file, columns, set });
  const omit = keyColumns(source, request, template.names);
  const write = payloadWriter(columns, { omit, strings: request.strings });
  return {
    pace: paceOf(source, request),
    toMessage: (row) => ({ topic: template.render(row), payload: write(row.cells) }),
  };
}

function parseSet(entries: readonly string[]): ReadonlyMap<string, string> {
  const set = new Map<string, string>();
  for (const entry of entries) {
    const at = entry.indexOf("=");
    if (at < 1) throw new MillraceError("USAGE", `--set needs NAME=VALUE, not "${entry}"`);
    set.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return set;
}

function keyColumns({ file, columns }: CsvFile, request: ReplayRequest, topicNames: readonly string[]): ReadonlySet<string> {
  const keys = namesOf(request.key, columns);
  for (const name of keys) {
    if (!columns.includes(name)) {
      throw new MillraceError("CSV_INVALID", `${file}:1: --key names "${name}", which is no column${suggestion(name, columns)}`);
    }
    if (!topicNames.includes(name)) {
      throw new MillraceError("USAGE", `--key ${name}: a key says which sensor a row belongs to, so the topic needs {${name}}`);
    }
  }
  return new Set(keys);
}

function namesOf(entries: readonly string[], columns: readonly string[]): readonly string[] {
  return entries.flatMap((entry) => (columns.includes(entry) ? [entry] : entry.split(",").map((name) => name.trim())));
}

function paceOf({ file, columns }: CsvFile, { rate, speed, time }: ReplayRequest): Pace<CsvRow> {
  if (rate !== undefined && speed !== undefined) throw new MillraceError("USAGE", "--rate and --speed exclude each other");
  if (speed === undefined && time.length > 0)
    throw new MillraceError("USAGE", "--time is read for --speed only; add --speed 1 for the recorded pace");
  if (rate !== undefined) return steadyPace(rate, systemClock);
  if (speed === undefined) return asFastAsPossible;
  if (time.length === 0) throw new MillraceError("USAGE", "--speed needs --time COLUMN[,COLUMN]: where a row says when it was recorded");
  return recordedPace(speed, timeReader(file, columns, namesOf(time, columns)), systemClock);
}
