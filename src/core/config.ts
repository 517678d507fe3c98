import { readFileSync } from "node:fs";
import { type Found, readConfigText } from "./config-file.ts";
import { completeGroups, nameInGroup, placeOf } from "./config-group.ts";
import type { ConfigOf, ConfigTable, PlainSetting } from "./config-table.ts";
import { parseText } from "./config-value.ts";
import { MillraceError, messageOf } from "./errors.ts";
import { suggestion } from "./nearest.ts";

export interface ConfigSources {
  /** Path of a YAML file. */
  readonly file?: string;
  /** The text of the file, when it has been read already. */
  readonly text?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Flags of the command line; one with `text` undefined was not given. */
  readonly flags?: readonly { readonly flag: string; readonly name: string; readonly text: string | undefined }[];
  /** Tables of other programs: their `MILLRACE_…` variables may be set too and are left alone. */
  readonly others?: readonly ConfigTable[];
}

export const CONFIG_BYTES_MAX = 1024 * 1024;

/**
 * Every setting of the table, from the first that has it of flags, environment, file, default. All mistakes of all sources are reported at once.
 *
 * @throws MillraceError CONFIG_INVALID naming file, line and key, or FILE_UNREADABLE
 */
export function loadConfig<const T extends ConfigTable>(table: T, sources: ConfigSources): ConfigOf<T> {
  const text = sources.text ?? (sources.file === undefined ? undefined : readConfigFile(sources.file));
  const found: Found[] = [
    ...(text === undefined ? [] : readConfigText(table, text, sources.file ?? "configuration")),
    ...fromEnvironment(table, sources),
    ...fromFlags(table, sources),
  ];
  const problems = found.filter((entry) => "problem" in entry);
  if (problems.length > 0) throw invalid(problems.map(({ where, problem }) => `${where}: ${problem}`));
  const values = new Map<string, unknown>(Object.entries(table).map(([name, setting]) => [name, setting.default]));
  for (const entry of found) if ("name" in entry) values.set(entry.name, entry.value);
  const wrong = completeGroups(table, values);
  if (wrong.length > 0) throw invalid(wrong.map((problem) => (sources.file === undefined ? problem : `${sources.file}: ${problem}`)));
  return nest(values) as ConfigOf<T>;
}

/** `mqtt.port` → `MILLRACE_MQTT_PORT` */
export function environmentName(name: string): string {
  return `MILLRACE_${name.replaceAll(".", "_").toUpperCase()}`;
}

function readConfigFile(file: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new MillraceError("FILE_UNREADABLE", `cannot read the configuration ${file}: ${messageOf(cause)}`, { cause });
  }
  if (bytes.length <= CONFIG_BYTES_MAX) return bytes.toString("utf8");
  throw new MillraceError("CONFIG_INVALID", `${file}: it has ${bytes.length} bytes, at most ${CONFIG_BYTES_MAX} are read`);
}

function* fromEnvironment(table: ConfigTable, { env, others = [] }: ConfigSources): Generator<Found> {
  const names = new Map(Object.keys(table).map((name) => [environmentName(name), name]));
  const foreign = new Set(others.flatMap((other) => Object.keys(other).map(environmentName)));
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith("MILLRACE_") || text === undefined) continue;
    const name = names.get(variable) ?? nameInGroup(table, variable, environmentName);
    const place = name === undefined ? undefined : placeOf(table, name);
    if (name !== undefined && place !== undefined && "setting" in place)
      yield parsed(name, place.setting, text, `environment variable ${variable}`);
    else if (!foreign.has(variable)) {
      yield { where: "environment", problem: `unknown variable ${variable}${suggestion(variable, [...names.keys()])}` };
    }
  }
}

function* fromFlags(table: ConfigTable, { flags = [] }: ConfigSources): Generator<Found> {
  for (const { flag, name, text } of flags) {
    const place = placeOf(table, name);
    if (place === undefined || !("setting" in place)) throw new Error(`flag ${flag} sets "${name}", which is not in the table`);
    if (text !== undefined) yield parsed(name, place.setting, text, `flag ${flag}`);
  }
}

function parsed(name: string, setting: PlainSetting, text: string, where: string): Found {
  const result = parseText(setting, text);
  return "problem" in result ? { where, problem: result.problem } : { name, value: result.value };
}

function invalid(lines: readonly string[]): MillraceError {
  if (lines.length === 1) return new MillraceError("CONFIG_INVALID", lines.join());
  return new MillraceError("CONFIG_INVALID", `${lines.length} problems\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

interface Tree {
  [key: string]: unknown;
}

function nest(values: ReadonlyMap<string, unknown>): Tree {
  const root: Tree = {};
  for (const [name, value] of values) {
    const path = name.split(".");
    const last = path.pop() ?? name;
    let at = root;
    for (const key of path) at = (at[key] ??= {}) as Tree;
    at[last] = value;
  }
  return root;
}
