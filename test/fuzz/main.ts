/** `npm run fuzz -- --seed N --minutes M`: how it goes on standard error, what came of it on standard output; exit code 1 when something does not hold. */
import { parseArgs } from "node:util";
import { fuzz, type FuzzReport } from "./fuzz.ts";

const FLAGS = {
  seed: { type: "string" },
  minutes: { type: "string", default: "1" },
  only: { type: "string" },
  json: { type: "boolean", default: false },
} as const;

const USAGE = `usage: npm run fuzz -- [flags]
  --seed N      what is sent; a random one unless given
  --minutes M   how long new connections are begun (1)
  --only N      the connection with this number alone
  --json        one JSON object on standard output
`;

function text(report: FuzzReport): string {
  const { witness } = report;
  const lines: [string, string | number][] = [
    ["connections", report.connections],
    ...Object.entries(report.outcomes).map(([what, count]): [string, number] => [`  ${what}`, count]),
    ["packets that were wrong", Object.values(report.wrong).reduce((sum, count) => sum + count, 0)],
    ...Object.entries(report.wrong).map(([what, count]): [string, number] => [`  ${what}`, count]),
    ["messages acknowledged, and not lost", report.acknowledged],
    ["of the witness, acknowledged", witness.acknowledged],
    ["of the witness, received", witness.received],
    ["of the witness, ms to PUBACK at most", witness.ackMsMax.toFixed(0)],
    ["memory of the gateway, MB at most", (report.rssMax / 1024 ** 2).toFixed(0)],
  ];
  const table = lines.map(([what, value]) => `${what.padEnd(40)}${String(value).padStart(10)}\n`).join("");
  const { problems } = report;
  const verdict = problems.length === 0 ? "everything holds\n" : `BROKEN:\n${problems.map((problem) => `  ${problem}\n`).join("")}`;
  return `${table}seed ${report.seed}, ${report.seconds.toFixed(1)} s: ${verdict}`;
}

function numberOf(value: string, flag: string, least: number, max: number): number {
  const number = Number(value);
  if (Number.isFinite(number) && number >= least && number <= max) return number;
  throw new TypeError(`--${flag} ${value}: it must be a number from ${least} to ${max}`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

try {
  const { values } = parseArgs({ options: FLAGS });
  const report = await fuzz({
    seed: values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : numberOf(values.seed, "seed", 0, 2 ** 31),
    seconds: numberOf(values.minutes, "minutes", 0.01, 10_000) * 60,
    ...(values.only === undefined ? {} : { only: numberOf(values.only, "only", 0, 2 ** 31) }),
    say: (line) => void process.stderr.write(`${line}\n`),
  });
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : text(report));
  process.exitCode = report.problems.length === 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n${USAGE}`);
  process.exitCode = 2;
}
