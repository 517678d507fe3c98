import { MillraceError } from "../core/errors.ts";
import { RECORDING_VERSION, type RecordingHeader, toLine } from "../core/recording.ts";
import { DEFAULT_GATEWAY, GatewayClient } from "./client/gateway-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { openOutput, type Output } from "./record/output.ts";
import { checkStretch, journalStretch } from "./record/stretch.ts";
import { count } from "./terminal/text.ts";

const EXIT_INTERRUPTED = 130;

const FLAGS = {
  from: { type: "string", value: "SEQ|TIME", description: "Begin with this message; the oldest that is still there when not given" },
  to: { type: "string", value: "SEQ|TIME", description: "End before this message; the newest there is when not given" },
  topic: { type: "string", value: "FILTER", description: "Only messages whose topic matches this MQTT topic filter" },
  limit: { type: "number", value: "N", min: 1, description: "At most this many messages" },
  follow: { type: "boolean", short: "f", description: "Go on with what comes in, until --to, --limit or Ctrl-C" },
  force: { type: "boolean", description: "Replace a file that exists" },
  gateway: { type: "string", value: "URL", default: DEFAULT_GATEWAY, description: "The gateway's HTTP" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

export const command = defineCommand({
  name: "record",
  summary: "save a stretch of a gateway's traffic to a file",
  usage: "OUT.jsonl|- [flags]",
  positionals: { min: 1, max: 1 },
  flags: FLAGS,
  details: `
Reads the gateway's journal: every message that woke a function and still waits or is retained (journal.retention). Messages that only
triggers with "durable: false" wanted, and those that no function listens to, are in no journal and cannot be recorded. A position is a seq
(1200), an RFC 3339 time (2026-11-20T08:00:00Z) or a duration before now (-1h). "millrace replay" and the test kit read the file; - writes
it to standard output. Exit code 130 when interrupted, 0 when Ctrl-C ends --follow; the file is complete up to there either way.`,
  examples: [
    "millrace record --from -1h yesterday.jsonl",
    "millrace record --from 2026-11-20T08:00:00Z --to 2026-11-20T09:00:00Z --topic 'sensors/milan/#' morning.jsonl",
    "millrace record --follow - | grep milan",
  ],
  run,
});

interface Recorded {
  readonly messages: number;
  /** Seqs, of the first and the last message. */
  readonly first?: number;
  readonly last?: number;
  readonly interrupted: boolean;
  /** Position to go on from. */
  readonly next?: number;
}

async function run(context: Context): Promise<number> {
  const { flags, positionals, signal } = context;
  const [path = ""] = positionals;
  checkStretch(flags);
  const gateway = new GatewayClient(flags.gateway, signal);
  const { gateway: id } = await gateway.stats();
  const header: RecordingHeader = {
    millrace: "recording",
    version: RECORDING_VERSION,
    gateway: id,
    recordedAt: new Date().toISOString(),
    ...(flags.topic === undefined ? {} : { topic: flags.topic }),
  };
  await using output = await openOutput(path, { force: flags.force, stdout: (text) => context.stdout(text) });
  await output.write(`${JSON.stringify(header)}\n`);
  const recorded = await copy(context, gateway, output);
  await output.finish();
  report(context, path, recorded);
  return recorded.interrupted ? EXIT_INTERRUPTED : 0;
}

async function copy(context: Context, gateway: GatewayClient, output: Output): Promise<Recorded> {
  const { flags, signal } = context;
  let recorded: Recorded = { messages: 0, interrupted: false };
  try {
    for await (const { messages, next, oldest } of journalStretch(gateway, flags, flags.follow)) {
      if (oldest !== undefined) context.stderr(`the messages before seq ${oldest} are no longer there\n`);
      const first = recorded.first ?? messages[0]?.seq;
      const last = messages.at(-1)?.seq ?? recorded.last;
      recorded = {
        ...recorded,
        messages: recorded.messages + messages.length,
        next,
        ...(first === undefined ? {} : { first }),
        ...(last === undefined ? {} : { last }),
      };
      await output.write(messages.map((message) => `${JSON.stringify(toLine(message))}\n`).join(""));
    }
  } catch (error) {
    if (signal.aborted) return { ...recorded, interrupted: !flags.follow };
    if (!(error instanceof MillraceError)) throw error;
    throw new MillraceError(error.code, `${error.message}; ${countText(recorded)} recorded${goOn(recorded)}`, { cause: error });
  }
  return recorded;
}

function report(context: Context, path: string, recorded: Recorded): void {
  const write = (text: string): void => (path === "-" ? context.stderr(text) : context.stdout(text));
  if (context.json) {
    write(`${JSON.stringify({ file: path, ...recorded })}\n`);
    return;
  }
  const { first, last, interrupted } = recorded;
  const range = first === undefined || last === undefined ? "" : `, seq ${first} to ${last}`;
  write(`${countText(recorded)} recorded${path === "-" ? "" : ` to ${path}`}${range}${interrupted ? `, stopped${goOn(recorded)}` : ""}\n`);
}

function countText({ messages }: Recorded): string {
  return messages === 1 ? "1 message" : `${count(messages)} messages`;
}

function goOn({ next }: Recorded): string {
  return next === undefined ? "" : `; --from ${next} goes on`;
}
