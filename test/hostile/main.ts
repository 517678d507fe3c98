/** `npm run hostile`: how it goes on standard error, a table on standard output; exit code 1 when something does not hold. */
import { parseArgs } from "node:util";
import { Arena, type Observation } from "./attack.ts";
import type { Snippet } from "./snippet.ts";
import { SNIPPETS } from "./snippets.ts";
import { judge, SAMPLES_MIN, type Verdict } from "./verdict.ts";

const FLAGS = {
  only: { type: "string", default: "" },
  every: { type: "string", default: "1" },
  samples: { type: "string", default: String(SAMPLES_MIN) },
  json: { type: "boolean", default: false },
  list: { type: "boolean", default: false },
} as const;

const USAGE = `usage: npm run hostile -- [flags]
  --only TEXT   snippets whose name contains it; several texts have commas between them
  --every N     of these each N-th only: a sample of all classes, in a fraction of the time
  --samples N   messages of the neighbour that are timed for each snippet (${SAMPLES_MIN}); with fewer, times are not judged, with 0 not taken
  --list        prints the names and what is expected of each
  --json        one JSON object on standard output
`;

interface Row extends Verdict {
  readonly observation: Observation;
  /** Times that it was let loose: once more when the only thing wrong was that it was slow. */
  readonly tries: number;
}

const milliseconds = (value: number | undefined): string => (value === undefined || Number.isNaN(value) ? "-" : value.toFixed(1));

const COLUMNS = ["snippet", "error seen", "p99 quiet", "during", "ratio", "PUBACK max", "hosts lost", "verdict"] as const;

function cells({ observation, problems, slowness, ratio }: Row): string[] {
  const { snippet, quiet, during, told, stats, hostDeaths } = observation;
  const codes = Object.keys(told.letters);
  const seen = codes.length > 0 ? codes : told.codes.length > 0 ? told.codes : [stats?.state === "active" ? "-" : "?"];
  const verdict = [...problems, ...slowness].join("; ") || "holds";
  const times = quiet === undefined ? ["-", "-", "-", "-"] : [quiet.p99, during.p99, ratio, during.ackMax].map(milliseconds);
  return [snippet.name, seen.join(" "), ...times, String(hostDeaths), verdict];
}

function line(values: readonly string[]): string {
  const widths = [34, 28, 9, 9, 7, 10, 10];
  return values
    .map((value, index) => (index < 2 || index > 6 ? value.padEnd(widths[index] ?? 0) : value.padStart(widths[index] ?? 0)))
    .join("  ");
}

function jsonOf({ observation, problems, slowness, ratio, tries }: Row): object {
  const { snippet, quiet, during, told, sent, hostDeaths, seconds } = observation;
  const { letters, codes, text } = told;
  return {
    name: snippet.name,
    expects: snippet.expects,
    told: { letters, codes, text: text.slice(0, 500) },
    sent,
    hostDeaths,
    quiet,
    during,
    ratio,
    tries,
    seconds,
    problems,
    slowness,
  };
}

/** One gateway for all, and another one when that has come to harm. */
class Run implements AsyncDisposable {
  #arena: Arena | undefined;

  async try(snippet: Snippet, samples: number): Promise<Row> {
    const first = await this.#once(snippet, samples);
    if (first.problems.length > 0 || first.slowness.length === 0) return first;
    this.#arena?.forgetQuiet();
    return { ...(await this.#once(snippet, samples)), tries: 2 };
  }

  async #once(snippet: Snippet, samples: number): Promise<Row> {
    this.#arena ??= await Arena.open();
    const observation = await this.#arena.attack(snippet, samples);
    const verdict = judge(observation);
    if (observation.complaints.length > 0) await this[Symbol.asyncDispose]();
    return { observation, ...verdict, tries: 1 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const arena = this.#arena;
    this.#arena = undefined;
    await arena?.[Symbol.asyncDispose]();
  }
}

async function runAll(snippets: readonly Snippet[], samples: number): Promise<Row[]> {
  await using run = new Run();
  const rows: Row[] = [];
  process.stderr.write(`${line(COLUMNS)}\n`);
  for (const snippet of snippets) {
    const row = await run.try(snippet, samples);
    rows.push(row);
    process.stderr.write(`${line(cells(row))}\n`);
  }
  return rows;
}

function wholeNumber(flag: string, text: string, min: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= 1_000_000) return value;
  throw new TypeError(`--${flag} ${text}: it must be a whole number from ${min} to 1000000`);
}

function summary(rows: readonly Row[], samples: number): string {
  const broken = rows.filter(({ problems }) => problems.length > 0).length;
  const slow = rows.filter(({ problems, slowness }) => problems.length === 0 && slowness.length > 0).length;
  const judged = samples >= SAMPLES_MIN ? `, ${slow} are too slow` : "; times are not judged";
  const all = rows.length === SNIPPETS.length ? "" : ` of ${SNIPPETS.length}`;
  const seconds = rows.reduce((sum, { observation }) => sum + observation.seconds, 0);
  return `${rows.length}${all} snippets: ${rows.length - broken - slow} hold, ${broken} do not${judged}; ${Math.round(seconds / 60)} minutes\n`;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

try {
  const { values } = parseArgs({ options: FLAGS });
  const texts = values.only.split(",");
  const every = wholeNumber("every", values.every, 1);
  const named = SNIPPETS.filter(({ name }) => texts.some((text) => name.includes(text)));
  const snippets = named.filter((_, index) => index % every === 0);
  if (snippets.length === 0) throw new TypeError(`--only ${values.only}: no snippet has that in its name`);
  if (values.list) {
    for (const { name, expects } of snippets) process.stdout.write(`${name.padEnd(34)}  ${expects.join(" ")}\n`);
  } else {
    const samples = wholeNumber("samples", values.samples, 0);
    const rows = await runAll(snippets, samples);
    const table = [COLUMNS, ...rows.map(cells)].map((row) => `${line(row)}\n`).join("");
    process.stdout.write(values.json ? `${JSON.stringify({ hostile: rows.map(jsonOf) })}\n` : `${table}${summary(rows, samples)}`);
    process.exitCode = rows.every(({ problems, slowness }) => problems.length + slowness.length === 0) ? 0 : 1;
  }
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n${USAGE}`);
  process.exitCode = 2;
}
