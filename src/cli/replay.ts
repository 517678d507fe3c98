import { MillraceError } from "../core/errors.ts";
import { DEFAULT_CONTROL } from "./client/control-client.ts";
import { DEFAULT_GATEWAY } from "./client/gateway-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { openCsv } from "./csv/rows.ts";
import { checkStretch } from "./record/stretch.ts";
import { commitReplay } from "./replay/commit.ts";
import { csvFeed, recordingFeed } from "./replay/feed.ts";
import { checkFlags, modeOf } from "./replay/modes.ts";
import { planReplay } from "./replay/plan.ts";
import { dryRun, publishFeed } from "./replay/publish.ts";
import { fromFile, fromJournal, type Recorded } from "./replay/recorded.ts";
import { rehearse } from "./replay/rehearse.ts";
import { openGatewayStage, openLocalStage, parseFunction, type ReplayedFunction, type Stage } from "./replay/stage.ts";

/** Messages in a second that --commit hands in when --rate does not say. */
const COMMIT_RATE = 1_000;

const FLAGS = {
  topic: {
    type: "string",
    value: "TOPIC",
    description:
      "Where rows are published; {name} stands for a column or a --set value. Of recorded messages only those that match this filter",
  },
  from: { type: "string", value: "SEQ|TIME", description: "Begin with this recorded message" },
  to: { type: "string", value: "SEQ|TIME", description: "End before this recorded message" },
  function: {
    type: "string",
    value: "NAME[@VERSION]|DIR",
    description: "Hand recorded messages to this version, or to the function in a folder, and show its effects; commits nothing",
  },
  commit: { type: "boolean", description: "With --function NAME: hand the messages in for good, as new ones" },
  state: { type: "string", value: "WHICH", choices: ["current", "empty"], description: "State that --function begins with; current" },
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
    description: "Publish this many a second, else as fast as the broker acknowledges; with --commit 1000 when not given",
  },
  speed: {
    type: "number",
    unit: "times",
    fraction: true,
    min: 0.000_001,
    description: "Replay at this multiple of the recorded pace; a CSV file needs --time",
  },
  time: { type: "list", value: "COLUMN,…", description: "Columns that say when a row was recorded, joined by a space" },
  qos: { type: "number", min: 0, max: 2, default: 2, description: "2 exactly once, 1 at least once, 0 at most once" },
  "from-row": { type: "number", value: "N", min: 1, default: 1, description: "Begin with this row; the first below the header is 1" },
  limit: { type: "number", value: "N", min: 1, description: "At most this many rows or messages" },
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
  gateway: { type: "string", value: "URL", default: DEFAULT_GATEWAY, description: "The gateway's HTTP, for --function" },
  control: { type: "string", value: "URL", default: DEFAULT_CONTROL, description: "The control plane's HTTP API, for another version" },
  "dry-run": { type: "boolean", description: "Read the whole file, show the first messages, publish nothing" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

export const command = defineCommand({
  name: "replay",
  summary: "publish a CSV file or a recording as sensor messages, or try a function on recorded ones",
  usage: "FILE.csv --topic TOPIC | FILE.jsonl [--function F] | --function F [--from T] [--to T] [flags]",
  positionals: { min: 0, max: 1 },
  flags: FLAGS,
  details: `
Of a CSV file each row becomes a JSON object {column: value}. What is written like a number is a number, with the digits of the file; an empty cell is null.
The header and all names on the command line are checked before anything is published. With QoS 2 each row arrives exactly once, also when the
broker is killed and comes back: the connection is tried again with growing pauses, and what was not acknowledged is sent again. Ctrl-C stops
after what is in flight and prints the row to go on with.
FILE.jsonl is a recording, made by "millrace record": its messages are published again, marked by the user properties millrace-replay and
millrace-time. With --function they are handed to a version of a function, or to a folder that is built on the spot, and what it would do is
printed; nothing is committed. Without a file the messages come from the journal of a gateway. They run on the gateway, beside its state; a
recording and a folder need no gateway, the state is empty then. --commit hands them to the gateway as new messages, which wake every function
that listens to their topics. Exit code 130 when interrupted, 1 when something failed: the file, the broker or a handler.`,
  examples: [
    "millrace replay air-quality.csv --topic 'sensors/{site}/{device}/raw' --set site=milan --set device=aq1",
    "millrace replay fleet.csv --topic 'trucks/{truck}/gps' --key truck --speed 60 --time Date,Time",
    "millrace replay machine.csv --topic machines/m1/temp --rate 100 --dry-run",
    "millrace replay --from -1h --function celsius@7",
    "millrace replay yesterday.jsonl --function ./functions/celsius",
  ],
  run,
});

async function run(context: Context): Promise<number> {
  const { flags, positionals } = context;
  const [file] = positionals;
  const mode = modeOf(file, flags);
  checkFlags(mode, FLAGS, flags);
  if (mode === "csv") return publishRows(context, file ?? "");
  checkStretch(flags);
  if (mode === "recording") return publishRecording(context, file ?? "");
  return mode === "commit" ? handIn(context, file) : tryFunction(context, file);
}

async function publishRows(context: Context, file: string): Promise<number> {
  const { flags } = context;
  const { topic } = flags;
  if (topic === undefined) throw new MillraceError("USAGE", "replay: --topic is missing; for example --topic 'sensors/{device}/raw'");
  checkBroker(flags.broker);
  const source = await openCsv(file, delimiterOf(flags.delimiter));
  try {
    const plan = planReplay(source, { ...flags, topic });
    const feed = csvFeed(source, plan, { fromRow: flags["from-row"], limit: flags.limit });
    return await (flags["dry-run"] ? dryRun(context, feed) : publishFeed(context, feed, flags));
  } finally {
    source.close();
  }
}

async function publishRecording(context: Context, file: string): Promise<number> {
  const { flags } = context;
  checkBroker(flags.broker);
  const recorded = await fromFile(file, flags);
  try {
    const feed = recordingFeed(recorded, file, flags);
    return await (flags["dry-run"] ? dryRun(context, feed) : publishFeed(context, feed, flags));
  } finally {
    recorded.close();
  }
}

async function tryFunction(context: Context, file: string | undefined): Promise<number> {
  const wanted = await parseFunction(context.flags.function ?? "");
  const recorded = await openRecorded(context, file);
  try {
    await using stage = await openStage(context, wanted, file !== undefined);
    return await rehearse(context, recorded, stage);
  } finally {
    recorded.close();
  }
}

async function handIn(context: Context, file: string | undefined): Promise<number> {
  const { flags } = context;
  const wanted = await parseFunction(flags.function ?? "");
  if ("bundle" in wanted) throw new MillraceError("USAGE", "--commit hands messages to what runs on the gateway; --function needs a name");
  const recorded = await openRecorded(context, file);
  try {
    const { name, version } = wanted;
    return await commitReplay(context, recorded, { gateway: flags.gateway, function: name, version, rate: flags.rate ?? COMMIT_RATE });
  } finally {
    recorded.close();
  }
}

function openRecorded(context: Context, file: string | undefined): Promise<Recorded> {
  return file === undefined ? fromJournal(context.flags.gateway, context.flags, context) : fromFile(file, context.flags);
}

/** A file and a folder need no gateway, unless its state is asked for. */
function openStage({ flags, signal }: Context, wanted: ReplayedFunction, isFile: boolean): Promise<Stage> {
  if (isFile && "bundle" in wanted && flags.state !== "current") return openLocalStage(wanted.bundle, signal);
  const state = flags.state === "empty" ? "empty" : "current";
  return openGatewayStage(wanted, { gateway: flags.gateway, control: flags.control, state, signal });
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
