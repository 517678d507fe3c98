/** `npm run torture -- --seed N --minutes M`: how it goes on standard error, what came of it on standard output; exit code 1 when it is broken. */
import { parseArgs } from "node:util";
import { torture, type TortureReport } from "./torture.ts";

const FLAGS = {
  seed: { type: "string" },
  minutes: { type: "string", default: "1" },
  rate: { type: "string", default: "25" },
  json: { type: "boolean", default: false },
} as const;

const USAGE = `usage: npm run torture -- [flags]
  --seed N      what happens when; a random one unless given
  --minutes M   how long faults happen (1)
  --rate N      messages a second for each key of most publishers (25)
  --json        one JSON object on standard output
`;

function text(report: TortureReport): string {
  const lines: [string, string | number][] = [
    ["messages sent", report.sent],
    ["acknowledged", report.acknowledged],
    ["of these, from client to client", report.plain],
    ["in function state", report.handled],
    ["telemetry of QoS 0 in state", report.light],
    ["events in the cloud", report.events],
    ["local deliveries", report.deliveries],
    ["of these, repeated", report.redeliveries],
    ["seconds until all was done", report.drainSeconds.toFixed(1)],
    ...Object.entries(report.faults).toSorted(([one], [other]) => one.localeCompare(other)),
    ["clients waited for disk space", report.fullDisks.waited],
    ["gateway ended on a full disk", report.fullDisks.ended],
    ["gateway ended by itself", report.ends.gateway],
    ["control plane ended by itself", report.ends.control],
  ];
  const table = lines.map(([what, value]) => `${what.padEnd(32)}${String(value).padStart(10)}\n`).join("");
  const notes = report.notes.map((note) => `note: ${note}\n`).join("");
  const verdict =
    report.problems.length === 0 ? "every promise holds\n" : `BROKEN:\n${report.problems.map((problem) => `  ${problem}\n`).join("")}`;
  return `${table}${notes}seed ${report.seed}, ${report.seconds} s of faults: ${verdict}`;
}

function numberOf(value: string, flag: string, max: number): number {
  const number = Number(value);
  if (Number.isFinite(number) && number > 0 && number <= max) return number;
  throw new TypeError(`--${flag} ${value}: it must be a number above 0, at most ${max}`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

try {
  const { values } = parseArgs({ options: FLAGS });
  const report = await torture({
    seed: values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : numberOf(values.seed, "seed", 2 ** 31),
    seconds: numberOf(values.minutes, "minutes", 10_000) * 60,
    messagesPerSecond: numberOf(values.rate, "rate", 10_000),
    say: (line) => void process.stderr.write(`${line}\n`),
    keep: true,
  });
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : text(report));
  process.exitCode = report.problems.length === 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n${USAGE}`);
  process.exitCode = 2;
}
