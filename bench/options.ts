import { parseArgs } from "node:util";
import { MillraceError } from "../src/core/errors.ts";
import { suggestion } from "../src/core/nearest.ts";

export interface BenchOptions {
  readonly json: boolean;
  /** Measured time of one run. */
  readonly seconds: number;
  readonly warmUp: number;
  /** How often every case is run, taking turns; the median counts. */
  readonly rounds: number;
  readonly topics: number;
  readonly window: number;
  /** Events in the outbox that is drained. */
  readonly events: number;
  /** Only cases whose name contains this; empty = all. */
  readonly only: string;
  /** A commit whose benchmark is run in turn with this checkout's, to compare; empty = none. */
  readonly against: string;
}

const FLAGS = {
  json: { type: "boolean", default: false },
  seconds: { type: "string", default: "5" },
  "warm-up": { type: "string", default: "2" },
  rounds: { type: "string", default: "3" },
  topics: { type: "string", default: "64" },
  window: { type: "string", default: "1000" },
  events: { type: "string", default: "100000" },
  only: { type: "string", default: "" },
  against: { type: "string", default: "" },
} as const;

const USAGE = `usage: npm run bench -- NAME [flags]
  --seconds N   measured time of one run (5)
  --warm-up N   seconds before it (2)
  --rounds N    how often every case is run, taking turns; the median counts (3)
  --topics N    topics the messages are spread over (64)
  --window N    unacknowledged publishes of one publisher (1000)
  --events N    events in the outbox that is drained (100000)
  --only TEXT   only the cases whose name contains TEXT
  --against REV compare with the commit REV: both are run in turn, each row gets a ratio
  --json        one JSON object on standard output
`;

/** @throws MillraceError USAGE */
export function parseOptions(parameters: readonly string[], names: readonly string[]): { name: string; options: BenchOptions } {
  const { values, positionals } = parse(parameters);
  const [name = "", ...rest] = positionals;
  if (!names.includes(name) || rest.length > 0) {
    throw new MillraceError("USAGE", `there is no benchmark "${positionals.join(" ")}"${suggestion(name, names)}\n${USAGE}`);
  }
  const number = (flag: "seconds" | "warm-up" | "rounds" | "topics" | "window" | "events", max: number): number => {
    const value = Number(values[flag]);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw new MillraceError("USAGE", `--${flag} ${values[flag]}: it must be a whole number from 1 to ${max}`);
  };
  const options = {
    json: values.json,
    seconds: number("seconds", 3_600),
    warmUp: number("warm-up", 600),
    rounds: number("rounds", 100),
    topics: number("topics", 10_000),
    window: number("window", 30_000),
    events: number("events", 10_000_000),
    only: values.only,
    against: values.against,
  };
  return { name, options };
}

function parse(parameters: readonly string[]): ReturnType<typeof parseArgs<{ options: typeof FLAGS; allowPositionals: true }>> {
  try {
    return parseArgs({ args: [...parameters], options: FLAGS, allowPositionals: true });
  } catch (cause) {
    throw new MillraceError("USAGE", `${cause instanceof Error ? cause.message : String(cause)}\n${USAGE}`, { cause });
  }
}
