import type { ConfigTable, GroupSetting, PlainSetting } from "./config-table.ts";

/** No underscore: in a variable it ends the name, as in `MILLRACE_MQTT_LISTENERS_FIELD_CLIENT_CA`. */
const ENTRY = /^[a-z][a-z0-9]{0,31}$/;

/** What a dotted name leads to: a setting, or a section with the keys that there may be below it. */
export type Place = { readonly setting: PlainSetting } | { readonly keys: readonly string[] };

/** Undefined when no name of the table is like this or begins like this. */
export function placeOf(table: ConfigTable, name: string): Place | undefined {
  const within = groupOf(table, name);
  if (within !== undefined) return placeInGroup(within.group, within.path);
  const setting = Object.hasOwn(table, name) ? table[name] : undefined;
  if (setting !== undefined && setting.type !== "group") return { setting };
  const prefix = name === "" ? "" : `${name}.`;
  const heads = Object.keys(table)
    .filter((known) => known.startsWith(prefix))
    .map((known) => known.slice(prefix.length).split(".")[0] ?? "");
  return heads.length === 0 ? undefined : { keys: [...new Set(heads)] };
}

/** What is wrong with the name of an entry, when this is one. */
export function entryProblem(table: ConfigTable, name: string): string | undefined {
  const { group, path: [entry] = [] } = groupOf(table, name) ?? {};
  if (group === undefined || entry === undefined) return undefined;
  if (!ENTRY.test(entry)) return "a name here needs 1 to 32 small letters and digits, a letter first";
  return group.reserved.includes(entry) ? "this name has a meaning of its own; choose another" : undefined;
}

/** The setting of a group that a variable stands for: `MILLRACE_MQTT_LISTENERS_FIELD_PORT` is `mqtt.listeners.field.port`. */
export function nameInGroup(table: ConfigTable, variable: string, variableOf: (name: string) => string): string | undefined {
  for (const [name] of groupsOf(table)) {
    const start = `${variableOf(name)}_`;
    if (!variable.startsWith(start)) continue;
    const [entry = "", ...key] = variable.slice(start.length).toLowerCase().split("_");
    const inside = `${name}.${entry}.${key.join("_")}`;
    const place = placeOf(table, inside);
    if (place !== undefined && "setting" in place && entryProblem(table, inside) === undefined) return inside;
  }
  return undefined;
}

/**
 * Puts defaults beside what is given for the entries of all groups.
 *
 * @returns what is wrong with entries as a whole
 */
export function completeGroups(table: ConfigTable, values: Map<string, unknown>): string[] {
  return groupsOf(table).flatMap(([name, { of, check }]) => {
    const given = [...values.keys()].filter((known) => known.startsWith(`${name}.`));
    const entries = new Set(given.map((known) => known.slice(name.length + 1).split(".")[0] ?? ""));
    values.delete(name);
    if (entries.size === 0) values.set(name, {});
    return [...entries].flatMap((entry) => {
      const keys = Object.keys(of).filter((key) => values.has(`${name}.${entry}.${key}`));
      for (const [key, setting] of Object.entries(of)) {
        if (!keys.includes(key)) values.set(`${name}.${entry}.${key}`, setting.default);
      }
      const complete = Object.fromEntries(Object.keys(of).map((key) => [key, values.get(`${name}.${entry}.${key}`)]));
      return check(complete, keys).map((problem) => `${name}.${entry}: ${problem}`);
    });
  });
}

function groupsOf(table: ConfigTable): [string, GroupSetting][] {
  return Object.entries(table).flatMap(([name, setting]) => (setting.type === "group" ? [[name, setting]] : []));
}

function groupOf(table: ConfigTable, name: string): { group: GroupSetting; path: string[] } | undefined {
  const [known, group] = groupsOf(table).find(([each]) => name === each || name.startsWith(`${each}.`)) ?? [];
  if (known === undefined || group === undefined) return undefined;
  return { group, path: name === known ? [] : name.slice(known.length + 1).split(".") };
}

function placeInGroup({ of }: GroupSetting, [entry, ...rest]: readonly string[]): Place | undefined {
  if (entry === undefined) return { keys: ["a name of your choice"] };
  if (rest.length === 0) return { keys: Object.keys(of) };
  const key = rest.join(".");
  const setting = Object.hasOwn(of, key) ? of[key] : undefined;
  return setting === undefined ? undefined : { setting };
}
