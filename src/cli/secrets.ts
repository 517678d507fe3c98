import { loadConfig } from "../core/config.ts";
import { CONTROL_TABLE } from "../core/control-config.ts";
import { MillraceError } from "../core/errors.ts";
import { GATEWAY_TABLE } from "../core/gateway-config.ts";
import {
  readSecrets,
  rekeySecrets,
  secretNameProblem,
  type SecretsPlace,
  secretsPlace,
  secretValueProblem,
  updateSecrets,
} from "../runtime/secrets/secret-file.ts";
import { type CommandContext, defineCommand, type FlagTable } from "./command.ts";
import { setting } from "./settings.ts";
import { readHidden } from "./terminal/hidden-input.ts";

const FLAGS = {
  config: { type: "string", value: "FILE", description: "Configuration file of the gateway" },
  data: { type: "string", value: "DIR", description: "Data folder of the gateway, data of the configuration" },
  "key-file": { type: "string", value: "FILE", description: "Where the key is, secrets.key_file of the configuration" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

const VERBS: Readonly<Record<string, (context: Context, place: SecretsPlace, name: string) => Promise<string>>> = {
  set,
  list,
  remove,
  rekey,
};
const NAMED = ["set", "remove"];

export const command = defineCommand({
  name: "secrets",
  summary: "set, list or remove the secrets that functions of a gateway may read",
  usage: "set NAME | list | remove NAME | rekey [flags]",
  positionals: { min: 1, max: 2 },
  flags: FLAGS,
  details: `
Works on the data folder of the gateway, which may be running: a change counts from the next time that a function asks. The value comes from
standard input, or is asked for and not shown; it is never an argument. The file is encrypted with AES-256-GCM. Its key is made by the first set,
readable for its owner only; keep it away from the data (secrets.key_file) if copies of the data go elsewhere. rekey encrypts everything with a
new key. list shows names and when each was set, and no command shows a value.`,
  examples: [
    "millrace secrets set API_KEY < key.txt",
    "millrace secrets list --config gateway.yaml",
    "millrace secrets remove API_KEY --data /var/lib/millrace",
  ],
  run,
});

async function run(context: Context): Promise<number> {
  const { flags, positionals, json } = context;
  const [verb = "", name] = positionals;
  const work = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  if (work === undefined) throw new MillraceError("USAGE", `secrets: "${verb}" is none of set NAME, list, remove NAME, rekey`);
  if (NAMED.includes(verb) !== (name !== undefined)) {
    throw new MillraceError(
      "USAGE",
      name === undefined ? `secrets ${verb}: the name of the secret is missing` : `secrets ${verb} takes no name`,
    );
  }
  const problem = name === undefined ? undefined : secretNameProblem(name);
  if (problem !== undefined) throw new MillraceError("USAGE", `secrets ${verb}: ${problem}`);
  const { data, secrets } = loadConfig(GATEWAY_TABLE, {
    ...(flags.config === undefined ? {} : { file: flags.config }),
    env: context.env,
    flags: [setting("--data", "data", flags.data), setting("--key-file", "secrets.key_file", flags["key-file"])],
    others: [CONTROL_TABLE],
  });
  const said = await work(context, secretsPlace(data, secrets.key_file), name ?? "");
  if (said !== "" && (!json || verb === "list")) context.stdout(`${said}\n`);
  else if (json && verb !== "list") context.stdout(`${JSON.stringify({ ok: true, ...(name === undefined ? {} : { name }) })}\n`);
  return 0;
}

async function set({ signal }: Context, place: SecretsPlace, name: string): Promise<string> {
  const value = await readHidden("secrets set", `value of ${name}`, signal);
  const problem = secretValueProblem(value);
  if (problem !== undefined) throw new MillraceError("USAGE", `secrets set: ${problem}`);
  await updateSecrets(place, (secrets) => secrets.set(name, { value, setAt: Date.now() }));
  return `${name} is set; functions that name it get it from the next time on that they ask`;
}

function list({ json }: Context, place: SecretsPlace): Promise<string> {
  const all = [...readSecrets(place)].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, { setAt }]) => ({ name, setAt }));
  if (json) return Promise.resolve(JSON.stringify(all));
  if (all.length === 0) return Promise.resolve("no secret is set");
  return Promise.resolve(all.map(({ name, setAt }) => `${new Date(setAt).toISOString()}  ${name}`).join("\n"));
}

async function remove(_context: Context, place: SecretsPlace, name: string): Promise<string> {
  await updateSecrets(place, (secrets) => {
    if (!secrets.delete(name))
      throw new MillraceError("NOT_FOUND", `no secret "${name}" is set; \`millrace secrets list\` shows which are`);
  });
  return `${name} is removed`;
}

async function rekey(_context: Context, place: SecretsPlace): Promise<string> {
  await rekeySecrets(place);
  return `the secrets are encrypted with a new key, in ${place.keyFile}`;
}
