import { accessOptions } from "../broker/access/access-options.ts";
import { functionSubject, OPERATORS, type Subject } from "../broker/access/identity.ts";
import { type Decision, Permit } from "../broker/access/permit.ts";
import { readRules } from "../broker/access/rules-file.ts";
import { readUsers } from "../broker/access/users-file.ts";
import { filterProblem } from "../broker/filters.ts";
import { canonicalAddress, isLoopback } from "../core/addresses.ts";
import { loadConfig } from "../core/config.ts";
import { CONTROL_TABLE } from "../core/control-config.ts";
import { MillraceError } from "../core/errors.ts";
import { GATEWAY_TABLE } from "../core/gateway-config.ts";
import { topicProblem } from "../core/topic.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { setting } from "./settings.ts";

const FLAGS = {
  user: {
    type: "string",
    value: "NAME",
    description: "User, as a password, certificate or token says; none for a client that does not say who it is",
  },
  group: { type: "list", value: "GROUP", description: "Group of the user, beside those of the users file" },
  client: { type: "string", value: "ID", description: "Client id, client for none" },
  function: { type: "string", value: "NAME", description: "A function in the place of a client" },
  address: { type: "string", value: "IP", description: "Where the client comes from; this machine for none" },
  publish: { type: "list", value: "TOPIC", description: "May it publish to the topic?" },
  subscribe: { type: "list", value: "FILTER", description: "May it subscribe to the filter?" },
  retain: { type: "list", value: "TOPIC", description: "May it publish a message that is kept for later subscribers?" },
  config: { type: "string", value: "FILE", description: "Configuration file of the gateway" },
  data: { type: "string", value: "DIR", description: "Data folder of the gateway, data of the configuration" },
  file: { type: "string", value: "FILE", description: "Where the rules are, mqtt.access_file of the configuration" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

/** Exit code, so that scripts can tell a denial from a file that is wrong. */
const DENIED = 3;

interface Answer extends Decision {
  readonly action: string;
  readonly topic: string;
}

export const command = defineCommand({
  name: "access",
  summary: "say what a client or function may publish, subscribe and retain at a gateway's broker, and which rule says so",
  usage: "check [--user NAME | --function NAME] [--publish TOPIC] [--subscribe FILTER] [--retain TOPIC] [flags]",
  positionals: { min: 1, max: 1 },
  flags: FLAGS,
  details: `
Reads the users file and the access file, not the gateway, so a file can be tried before it counts. Without a question it only checks the files. Exit code 0
when everything is allowed, 3 when something is not, 1 when a file is wrong, 2 when a flag is. What the access file allows a function permissions.publish of its
manifest has to allow, too.`,
  examples: [
    "millrace access check --user sensor-7 --publish sensors/sensor-7/temp",
    "millrace access check --user anna --group line-2 --address 10.1.2.3 --subscribe 'sensors/#'",
    "millrace access check --function celsius --publish cmd/press-7/fan",
    "millrace access check --file access.yaml",
  ],
  run,
});

function run(context: Context): Promise<number> {
  const { flags, positionals, json } = context;
  if (positionals[0] !== "check") throw usage(`"${positionals[0]}" is not check`);
  const permit = permitOf(context);
  const answers = [
    ...flags.publish.map((topic) => ({ action: "publish", topic, ...checked(topic, topicProblem, () => permit.publishing(topic)) })),
    ...flags.subscribe.map((topic) => ({ action: "subscribe", topic, ...checked(topic, filterProblem, () => permit.subscribing(topic)) })),
    ...flags.retain.map((topic) => ({ action: "retain", topic, ...checked(topic, topicProblem, () => keeping(permit, topic)) })),
  ];
  const allowed = answers.every((answer) => answer.allowed);
  if (json) context.stdout(`${JSON.stringify({ allowed, answers })}\n`);
  else context.stdout(answers.length === 0 ? "the files can be used\n" : answers.map(line).join(""));
  return Promise.resolve(allowed ? 0 : DENIED);
}

/** A message that is to be kept has to be published too. */
function keeping(permit: Permit, topic: string): Decision {
  const publishing = permit.publishing(topic);
  return publishing.allowed ? permit.retaining(topic) : { allowed: false, why: `it may not even publish there: ${publishing.why}` };
}

function checked(topic: string, problemOf: (topic: string) => string | undefined, decide: () => Decision): Decision {
  const problem = problemOf(topic);
  return problem === undefined ? decide() : { allowed: false, why: `"${topic}": ${problem}` };
}

function line({ action, topic, allowed, why }: Answer): string {
  return `${allowed ? "allowed" : "denied "}  ${action} ${topic}  (${why})\n`;
}

function permitOf({ flags, env }: Context): Permit {
  const address = addressOf(flags.address);
  const config = loadConfig(GATEWAY_TABLE, {
    ...(flags.config === undefined ? {} : { file: flags.config }),
    env,
    flags: [setting("--data", "data", flags.data), setting("--file", "mqtt.access_file", flags.file)],
    others: [CONTROL_TABLE],
  });
  const { users, rules } = accessOptions(config);
  const found = readRules(rules.path);
  if (rules.isNamed && found === undefined) throw new MillraceError("FILE_UNREADABLE", `cannot read ${rules.path}: there is no such file`);
  if (flags.function !== undefined) return new Permit(functionOf(flags), found, true);
  const { user, client = "client" } = flags;
  const known = readUsers(users.path);
  const local = isLoopback(address);
  const groups = [...flags.group, ...(user === undefined ? (local ? [OPERATORS] : []) : (known?.get(user)?.groups ?? []))];
  return new Permit({ user, groups, client, address }, found, local);
}

function functionOf({ function: name = "", user, group, client, address, subscribe }: Context["flags"]): Subject {
  if (user !== undefined || client !== undefined || address !== undefined || group.length > 0)
    throw usage("--function: a function has no user, group, client id or address");
  if (subscribe.length > 0) throw usage("--function: functions do not subscribe; the triggers of its manifest say which messages it gets");
  return functionSubject(name);
}

function addressOf(text: string | undefined): string {
  if (text === undefined) return "127.0.0.1";
  const address = canonicalAddress(text);
  if (address === undefined) throw usage(`--address: "${text}" is no IP address`);
  return address;
}

function usage(text: string): MillraceError {
  return new MillraceError("USAGE", `access: ${text}`);
}
