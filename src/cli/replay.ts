import { MillraceError } from "../core/errors.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { type CsvFile, openCsv } from "./csv/rows.ts";
import { planReplay, type ReplayPlan } from "./replay/plan.ts";
import { defaultClientId, ReliablePublisher } from "./replay/publisher.ts";
import { numberedRows, runReplay, type RowRange } from "./replay/run.ts";
import { clearLine, count } from "./terminal/text.ts";

const EXIT_INTERRUPTED = 130;
const PROGRESS_MS = 200;
const DRY_RUN_SHOWN = 3;
const DISTINCT_TOPICS_MAX = 10_000;

const FLAGS = {
  topic: { type: "string", value: "TOPIC", description: "Where rows are published; {name} stands for a column or a --set value" },
  broker: { type: "string", value: "URL", default: "mqtt://127.0.0.1:1883", description: "MQTT 5 broker; mqtt, mqtts, ws or wss" },
  set: { type: "list", value: "NAME=VALUE", description: "Fixed value for {NAME} in the topic" },
  key: {
    type: "list",
    value: "COLUMN,…",
    description: "Columns that say which sensor a row belongs to: used in the topic, left out of the payload",
  },
  rate: {
    type: "number",
    unit: "rows/s",
    fraction: true,
    min: 0.001,
    description: "Publish this many rows a second; else as fast as the broker acknowledges",
  },
  speed: {
    type: "number",
    unit: "times",
    fraction: true,
    min: 0.000_001,
    description: "Replay at this multiple of the recorded pace; needs --time",
  },
  time: { type: "list", value: "COLUMN,…", description: "Columns that say when a row was recorded, joined by a space" },
  qos: { type: "number", min: 0, max: 2, default: 2, description: "2 exactly once, 1 at least once, 0 at most once" },
  "from-row": { type: "number", value: "N", min: 1, default: 1, description: "Begin with this row; the first below the header is 1" },
  limit: { type: "number", value: "N", min: 1, description: "Publish at most this many rows" },
  strings: { type: "boolean", description: "Leave cells that look like numbers text" },
  delimiter: { type: "string", value: "CHAR", default: ",", description: "What separates the fields; tab for a tabulator" },
  retain: { type: "boolean", description: "Publish as retained messages" },
  "in-flight": {
    type: "number",
    value: "N",
    unit: "messages",
    min: 1,
    max: 10_000,
    default: 100,
    description: "At most this many wait for their acknowledgement",
  },
  patience: { type: "duration", default: 60_000, description: "Give up after this long without a connection" },
  "client-id": { type: "string", value: "ID", description: "MQTT client id; made from file, topic and run when not given" },
  "dry-run": { type: "boolean", description: "Read the whole file, show the first messages, publish nothing" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

export const command = defineCommand({
  name: "replay",
  summary: "publish the rows of a CSV file as sensor messages",
  usage: "FILE.csv --topic TOPIC [flags]",
  positionals: { min: 1, max: 1 },
  flags: FLAGS,
  details: `
Each row becomes a JSON object {column: value}. What is written like a number is a number, with the digits of the file; an empty cell is null.
The header and all names on the command line are checked before anything is published. With QoS 2 each row arrives exactly once, also when the
broker is killed and comes back: the connection is tried again with growing pauses, and what was not acknowledged is sent again. Ctrl-C stops
after what is in flight and prints the row to go on with. Exit code 130 when interrupted, 1 when the file or the broker failed.`,
  examples: [
    "millrace replay air-quality.csv --topic 'sensors/{site}/{device}/raw' --set site=milan --set device=aq1",
    "millrace replay fleet.csv --topic 'trucks/{truck}/gps' --key truck --speed 60 --time Date,Time",
    "millrace replay machine.csv --topic machines/m1/temp --rate 100 --dry-run",
  ],
  run,
});

async function run(context: Context): Promise<number> {
  const { flags, positionals } = context;
  const [file = ""] = positionals;
  const { topic } = flags;
  if (topic === undefined) throw new MillraceError("USAGE", "replay: --topic is missing; for example --topic 'sensors/{device}/raw'");
  checkBroker(flags.broker);
  const source = await openCsv(file, delimiterOf(flags.delimiter));
  try {
    const plan = planReplay(source, { ...flags, topic });
    const range: RowRange = { fromRow: flags["from-row"], limit: flags.limit };
    if (flags["dry-run"]) return await dryRun(context, source, plan, range);
    return await publishRows(context, source, plan, range);
  } finally {
    source.close();
  }
}

function checkBroker(url: string): void {
  if (!/^(mqtts?|wss?):\/\/./.test(url) || !URL.canParse(url)) {
    throw new MillraceError("USAGE", `--broker "${url}" is no address such as mqtt://127.0.0.1:1883`);
  }
}

function delimiterOf(text: string): string {
  const delimiter = text === "tab" || text === "\\t" ? "\t" : text;
  if (delimiter.length !== 1) throw new MillraceError("USAGE", `--delimiter needs one character or "tab", not "${text}"`);
  return delimiter;
}

async function publishRows(context: Context, source: CsvFile, plan: ReplayPlan, range: RowRange): Promise<number> {
  const { flags, signal, json } = context;
  const startedAt = performance.now();
  const progress = startProgress(context);
  await using publisher = new ReliablePublisher({
    url: flags.broker,
    clientId: flags["client-id"] ?? defaultClientId(source.file, flags.topic ?? ""),
    qos: flags.qos === 0 ? 0 : flags.qos === 1 ? 1 : 2,
    retain: flags.retain,
    inFlightMax: flags["in-flight"],
    patienceMs: flags.patience,
    onNotice: (text) => context.stderr(`${progress.clear()}${text}\n`),
  });
  progress.show(() => progressLine(source, publisher, startedAt));
  const outcome = await runReplay(source, plan, publisher, { ...range, signal }).finally(() => progress.stop());
  const seconds = (performance.now() - startedAt) / 1000;
  const rate = outcome.published / seconds;
  if (json) {
    const { published, interrupted, nextRow } = outcome;
    context.stdout(`${JSON.stringify({ file: source.file, rows: published, seconds, rate, interrupted, nextRow })}\n`);
  } else {
    const stopped = outcome.interrupted ? `, stopped; --from-row ${outcome.nextRow} goes on` : "";
    context.stdout(`${count(outcome.published)} rows published in ${seconds.toFixed(1)} s (${count(rate)}/s)${stopped}\n`);
  }
  return outcome.interrupted ? EXIT_INTERRUPTED : 0;
}

function progressLine(source: CsvFile, publisher: ReliablePublisher, startedAt: number): string {
  const seconds = (performance.now() - startedAt) / 1000;
  const share = source.progress();
  const percent = share === undefined ? "" : `  ${Math.floor(share * 100)} % of the file`;
  const state = publisher.connected ? "" : "  waiting for the broker";
  return `  ${count(publisher.acknowledged)} rows  ${count(publisher.acknowledged / seconds)}/s${percent}${state}`;
}

interface Progress {
  show(line: () => string): void;
  /** Text that removes the progress line, empty when there is none. */
  clear(): string;
  stop(): void;
}

function startProgress(context: Context): Progress {
  let timer: NodeJS.Timeout | undefined;
  const clear = (): string => (timer === undefined ? "" : clearLine);
  return {
    show: (line) => {
      if (context.tty && !context.json) timer = setInterval(() => context.stdout(`${clearLine}${line()}`), PROGRESS_MS);
    },
    clear,
    stop: () => {
      clearInterval(timer);
      context.stdout(clear());
      timer = undefined;
    },
  };
}

async function dryRun(context: Context, source: CsvFile, plan: ReplayPlan, range: RowRange): Promise<number> {
  const topics = new Set<string>();
  const first: { topic: string; payload: string }[] = [];
  let rows = 0;
  let bytes = 0;
  for await (const { row } of numberedRows(source, range)) {
    context.signal.throwIfAborted();
    const message = plan.toMessage(row);
    plan.pace.check(row);
    rows++;
    bytes += Buffer.byteLength(message.payload);
    if (topics.size < DISTINCT_TOPICS_MAX) topics.add(message.topic);
    if (first.length < DRY_RUN_SHOWN) first.push(message);
  }
  if (context.json) {
    context.stdout(`${JSON.stringify({ file: source.file, rows, topics: topics.size, payloadBytes: bytes, first })}\n`);
    return 0;
  }
  for (const { topic, payload } of first) context.stdout(`${topic} ${payload}\n`);
  const more = topics.size === DISTINCT_TOPICS_MAX ? "at least " : "";
  const topicCount = topics.size === 1 ? "1 topic" : `${more}${count(topics.size)} topics`;
  context.stdout(`${count(rows)} rows to ${topicCount}, ${count(bytes)} bytes of payload; nothing was published\n`);
  return 0;
}
