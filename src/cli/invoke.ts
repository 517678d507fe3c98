import { MillraceError } from "../core/errors.ts";
import type { InvokeResult } from "../core/stats.ts";
import { messageTopicProblem } from "../core/trigger-topic.ts";
import { buildFunction } from "../runtime/build/build.ts";
import { invokeOnce } from "../runtime/invoke.ts";
import { DEFAULT_GATEWAY, GatewayClient } from "./client/gateway-client.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { effectsText } from "./invoke/effects.ts";
import { type PayloadSource, readPayload } from "./invoke/payload.ts";
import { sampleOf } from "./invoke/sample.ts";

const FLAGS = {
  topic: { type: "string", value: "TOPIC", description: "Topic of the message; for a folder made from its trigger when not given" },
  trigger: { type: "number", min: 1, max: 32, default: 1, description: "Which trigger of a folder wakes it, when no topic is given" },
  payload: { type: "string", value: "TEXT", description: "The payload, JSON or whatever the function reads" },
  "payload-file": { type: "string", value: "FILE", description: "Read the payload from a file; - for standard input" },
  qos: { type: "number", min: 0, max: 2, default: 1, description: "QoS that the message seems to have" },
  fetch: { type: "boolean", description: "Let it fetch from other hosts, which cannot be undone" },
  gateway: { type: "string", value: "URL", default: DEFAULT_GATEWAY, description: "The gateway's HTTP, when a name is given" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

export const command = defineCommand({
  name: "invoke",
  summary: "run a function once on a message and show its effects",
  usage: "NAME|DIR [--payload TEXT | --payload-file FILE | -] [flags]",
  positionals: { min: 1, max: 2 },
  flags: FLAGS,
  details: `
DIR, a path with a slash in it (./celsius), is built and run here, in the same kind of isolated process that a gateway uses; nothing has to be
deployed or running. NAME is a function of a running gateway, which runs the version that it has. Either way the state begins as it is, there
empty or on the gateway, and nothing that the function does is kept; it fetches nothing unless --fetch is given. A tick of a schedule needs no
payload; for a function of a gateway its topic is $millrace/schedule/NAME/SCHEDULE, and default where a schedule has no name. Exit code 1 when
the handler failed.`,
  examples: [
    "millrace invoke functions/threshold-alert --topic sensors/milan/t1/temp --payload '{\"v\": 81.5}'",
    "echo '{\"v\": 20}' | millrace invoke threshold-alert --topic sensors/milan/t1/temp -",
  ],
  run,
});

async function run(context: Context): Promise<number> {
  const { flags, positionals } = context;
  const [target = "", dash] = positionals;
  if (dash !== undefined && dash !== "-") throw new MillraceError("USAGE", `invoke: unexpected argument "${dash}"; only - may follow`);
  if (flags.topic !== undefined) checkTopic(flags.topic);
  const source = { text: flags.payload, file: flags["payload-file"], stdin: dash === "-" };
  const isFolder = /[/\\]/.test(target) || target.startsWith(".");
  const { name, result } = isFolder ? await invokeFolder(context, target, source) : await invokeDeployed(context, target, source);
  context.stdout(context.json ? `${JSON.stringify(result)}\n` : effectsText(name, result));
  return result.ok ? 0 : 1;
}

interface Invoked {
  readonly name: string;
  readonly result: InvokeResult;
}

async function invokeFolder({ flags }: Context, folder: string, source: PayloadSource): Promise<Invoked> {
  const bundle = await buildFunction(folder);
  const { name, triggers } = bundle.manifest;
  const sample = flags.topic === undefined ? sampleOf(triggers, name, flags.trigger) : { topic: flags.topic };
  const isGiven = source.stdin || source.text !== undefined || source.file !== undefined;
  const payload = sample.payload === undefined || isGiven ? await readPayload(source) : Buffer.from(sample.payload);
  const { topic } = sample;
  const message = { topic, payload, qos: qosOf(flags.qos), retain: false, time: Date.now(), source: "invoke", hops: 0 };
  return { name, result: await invokeOnce(bundle, message, { fetch: flags.fetch }) };
}

async function invokeDeployed({ flags, signal }: Context, name: string, source: PayloadSource): Promise<Invoked> {
  const { topic, qos, fetch } = flags;
  if (topic === undefined)
    throw new MillraceError("USAGE", "invoke: --topic is missing; only for a folder can it be made from the manifest");
  const payload = await readPayload(source);
  const gateway = new GatewayClient(flags.gateway, signal);
  return { name, result: await gateway.invoke(name, { topic, payload, qos: qosOf(qos), fetch }) };
}

function checkTopic(topic: string): void {
  const problem = messageTopicProblem(topic);
  if (problem !== undefined) throw new MillraceError("USAGE", `--topic "${topic}": ${problem}`);
}

function qosOf(qos: number): 0 | 1 | 2 {
  return qos === 0 ? 0 : qos === 1 ? 1 : 2;
}
