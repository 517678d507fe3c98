import { userInfo } from "node:os";
import { accessOptions } from "../broker/access/access-options.ts";
import { appendAudit, auditFile } from "../broker/access/audit-log.ts";
import { OPERATORS } from "../broker/access/identity.ts";
import { hashPassword, PASSWORD_BYTES_MAX } from "../broker/access/password-hash.ts";
import { nameProblem, readUsers, updateUsers, type User, type UserTable } from "../broker/access/users-file.ts";
import { loadConfig } from "../core/config.ts";
import { CONTROL_TABLE } from "../core/control-config.ts";
import { MillraceError } from "../core/errors.ts";
import { GATEWAY_TABLE } from "../core/gateway-config.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { setting } from "./settings.ts";
import { readHidden } from "./terminal/hidden-input.ts";

const FLAGS = {
  group: { type: "list", value: "GROUP", description: "Group of a new user" },
  certificate: { type: "boolean", description: "With add: a user that comes with a client certificate and has no password" },
  config: { type: "string", value: "FILE", description: "Configuration file of the gateway" },
  data: { type: "string", value: "DIR", description: "Data folder of the gateway, data of the configuration" },
  file: { type: "string", value: "FILE", description: "Where the users are, mqtt.users_file of the configuration" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

interface Call {
  readonly context: Context;
  readonly file: string;
  readonly name: string;
  readonly groups: readonly string[];
}

const VERBS: Readonly<Record<string, (call: Call) => Promise<string>>> = { add, passwd, remove, groups, list };

const PASSWORD_CHARS_MIN = 8;

export const command = defineCommand({
  name: "users",
  summary: "add, change, list or remove the users of a gateway's broker",
  usage: "add NAME | passwd NAME | remove NAME | groups NAME GROUP... | list [flags]",
  positionals: { min: 1, max: 102 },
  flags: FLAGS,
  details: `
Works on the users file of the gateway, which may be running: a change counts at once, and clients of a user that is removed or gets another
password are disconnected. The password comes from standard input, or is asked for and not shown; it is never an argument, and only its scrypt hash is
kept. A name is also what rules of the access file call a client. groups sets all groups of a user, none without a GROUP. Members of the group
${OPERATORS} may read $SYS. list shows names and groups.`,
  examples: [
    "millrace users add sensor-7 --group sensors < password.txt",
    "millrace users groups anna operators line-2",
    "millrace users list --config gateway.yaml --json",
  ],
  run,
});

async function run(context: Context): Promise<number> {
  const { flags, positionals, json } = context;
  const [verb = "", name, ...rest] = positionals;
  const work = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  if (work === undefined) throw usage(`"${verb}" is none of add NAME, passwd NAME, remove NAME, groups NAME GROUP..., list`);
  if (verb === "list" && name !== undefined) throw usage("list takes no name");
  if (verb !== "list" && name === undefined) throw usage(`${verb}: the name of the user is missing`);
  if (verb !== "groups" && rest.length > 0) throw usage(`${verb} takes one name; groups are given with --group`);
  const wanted = verb === "groups" ? rest : flags.group;
  const problem = [...(name === undefined ? [] : [name]), ...wanted].map(nameProblem).find((found) => found !== undefined);
  if (problem !== undefined) throw usage(`${verb}: ${problem}`);
  const { file, audit } = filesOf(context);
  const said = await work({ context, file, name: name ?? "", groups: wanted });
  if (verb !== "list") await noted(audit, { verb, name, groups: wanted, file });
  if (json && verb !== "list") context.stdout(`${JSON.stringify({ ok: true, name })}\n`);
  else context.stdout(`${said}\n`);
  return 0;
}

interface Done {
  readonly verb: string;
  readonly name: string | undefined;
  readonly groups: readonly string[];
  readonly file: string;
}

/** Whoever changes users is known to the system, so the audit log says who. */
async function noted(audit: string | undefined, { verb, name = "", groups: of, file }: Done): Promise<void> {
  if (audit === undefined) return;
  const reason = [verb, name, ...of].join(" ");
  await appendAudit(audit, { event: "command", user: userInfo().username, file, reason }, Date.now());
}

/** The audit log is undefined when there is to be none. */
function filesOf({ flags, env }: Context): { readonly file: string; readonly audit: string | undefined } {
  const config = loadConfig(GATEWAY_TABLE, {
    ...(flags.config === undefined ? {} : { file: flags.config }),
    env,
    flags: [setting("--data", "data", flags.data), setting("--file", "mqtt.users_file", flags.file)],
    others: [CONTROL_TABLE],
  });
  const { users, auditBytesMax } = accessOptions(config);
  return { file: users.path, audit: auditBytesMax === 0 ? undefined : auditFile(config.data) };
}

async function add({ context, file, name, groups: wanted }: Call): Promise<string> {
  // Before anybody is asked for a password.
  if (readUsers(file)?.has(name) === true)
    throw usage(`add: there is a user "${name}"; \`millrace users passwd ${name}\` changes the password`);
  const password = context.flags.certificate ? undefined : await newPassword("users add", name, context);
  await updateUsers(file, (users) => {
    if (users.has(name)) throw usage(`add: there is a user "${name}"`);
    users.set(name, { ...(password === undefined ? {} : { password }), groups: [...new Set(wanted)] });
  });
  return `${name} may come in${password === undefined ? " with a certificate" : ""}; the access file says what ${name} may do`;
}

async function passwd({ context, file, name }: Call): Promise<string> {
  known(readUsers(file), name);
  const password = await newPassword("users passwd", name, context);
  await updateUsers(file, (users) => void users.set(name, { ...known(users, name), password }));
  return `${name} has a new password; who is connected with the one before is disconnected`;
}

async function remove({ file, name }: Call): Promise<string> {
  await updateUsers(file, (users) => {
    known(users, name);
    users.delete(name);
  });
  return `${name} is removed, and disconnected`;
}

async function groups({ file, name, groups: wanted }: Call): Promise<string> {
  await updateUsers(file, (users) => void users.set(name, { ...known(users, name), groups: [...new Set(wanted)] }));
  return wanted.length === 0 ? `${name} is in no group` : `${name} is in ${wanted.join(", ")}`;
}

function list({ context, file }: Call): Promise<string> {
  const all = [...(readUsers(file) ?? [])].map(([name, { groups: of, password }]) => ({
    name,
    groups: of,
    password: password !== undefined,
  }));
  if (context.json) return Promise.resolve(JSON.stringify(all));
  if (all.length === 0) return Promise.resolve("there are no users");
  const width = Math.max(...all.map(({ name }) => name.length));
  return Promise.resolve(
    all
      .map(({ name, groups: of, password }) =>
        `${name.padEnd(width)}  ${password ? "password   " : "certificate"}  ${of.join(", ")}`.trimEnd(),
      )
      .join("\n"),
  );
}

async function newPassword(what: string, name: string, { signal }: Context): Promise<string> {
  const password = await readHidden(what, `password of ${name}`, signal);
  if (password.length < PASSWORD_CHARS_MIN) throw usage(`a password has at least ${PASSWORD_CHARS_MIN} characters`);
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) throw usage(`a password has at most ${PASSWORD_BYTES_MAX} bytes`);
  return hashPassword(password);
}

function known(users: UserTable | undefined, name: string): User {
  const user = users?.get(name);
  if (user === undefined) throw new MillraceError("NOT_FOUND", `there is no user "${name}"; \`millrace users list\` shows who there is`);
  return user;
}

function usage(text: string): MillraceError {
  return new MillraceError("USAGE", `users ${text}`);
}
