import { z } from "zod";
import { type HttpRoute, isSameRoute, paramOf, readRoute } from "../../core/http-route.ts";
import { suggestion } from "../../core/nearest.ts";
import { PAYLOAD_PATH } from "../../core/payload-path.ts";
import { parseTopicFilter } from "../../core/topic.ts";
import type { TriggerSpec } from "../../core/triggers.ts";
import { keySchema } from "./manifest-schema.ts";
import { normalizeTrigger, triggersSchema } from "./trigger-schema.ts";
import type { Path } from "./yaml-source.ts";

export interface Found {
  readonly path: Path;
  readonly problem: string;
}

/** What concerns the triggers together and the key; looked at even when something else in the file is wrong. */
export function triggerMistakes(value: unknown): Found[] {
  const raw = z.object({ triggers: triggersSchema, key: keySchema }).safeParse(value);
  if (!raw.success) return [];
  const triggers = raw.data.triggers.map(normalizeTrigger);
  const filters = triggers.flatMap((trigger): Named[] => {
    if ("mqtt" in trigger) return [{ ...parseTopicFilter(trigger.mqtt), wildcard: "+" }];
    if (!("http" in trigger)) return [];
    const names = routeOf(trigger.http).segments.flatMap((segment) => paramOf(segment) ?? []);
    return [{ source: trigger.http, names: new Map(names.map((name, index) => [name, index])), wildcard: ":" }];
  });
  return [...triggers.flatMap((trigger, index) => clash(trigger, index, triggers)), ...keyMistakes(raw.data.key, filters)];
}

/** What an earlier trigger has already. */
function clash(trigger: TriggerSpec, index: number, all: readonly TriggerSpec[]): Found[] {
  const said = (key: string, problem: string): Found[] => [{ path: ["triggers", index, key], problem }];
  const earlier = (same: (other: TriggerSpec) => boolean): number | undefined => {
    const found = all.findIndex(same);
    return found < index ? found : undefined;
  };
  if ("mqtt" in trigger) {
    const { mqtt } = parseTopicFilter(trigger.mqtt);
    const first = earlier((other) => "mqtt" in other && parseTopicFilter(other.mqtt).mqtt === mqtt);
    return first === undefined ? [] : said("mqtt", `"${trigger.mqtt}" is the same filter as triggers[${first}].mqtt`);
  }
  if ("http" in trigger) {
    const same = (other: TriggerSpec): boolean => "http" in other && isSameRoute(routeOf(trigger.http), routeOf(other.http));
    const first = earlier(same);
    return first === undefined ? [] : said("http", `"${trigger.http}" takes requests that triggers[${first}].http takes`);
  }
  for (const kind of ["event", "state"] as const) {
    const text = textOf(trigger, kind);
    const first = text === undefined ? undefined : earlier((other) => textOf(other, kind) === text);
    if (first !== undefined) return said(kind, `"${text}" is the same as triggers[${first}].${kind}`);
  }
  if (!("schedule" in trigger)) return [];
  const schedule = scheduleText(trigger);
  const first = earlier((other) => scheduleText(other) === schedule);
  if (first !== undefined) return said("schedule", `"${trigger.schedule}" is the same schedule as triggers[${first}].schedule`);
  const named = earlier((other) => "schedule" in other && other.name === trigger.name);
  const remedy = `is the name of triggers[${named}] too; give each schedule of the function a name of its own`;
  return named === undefined ? [] : said("name", `"${trigger.name}" ${remedy}`);
}

function routeOf(text: string): HttpRoute {
  const route = readRoute(text);
  return "problem" in route ? { methods: [], segments: [] } : route;
}

function textOf(trigger: TriggerSpec, kind: "event" | "state"): string | undefined {
  if (kind === "event") return "event" in trigger ? trigger.event : undefined;
  return "state" in trigger ? trigger.state.replace(/^\*\//, "") : undefined;
}

function scheduleText(trigger: TriggerSpec): string | undefined {
  return "schedule" in trigger ? `${trigger.schedule.trim().split(/\s+/).join(" ")} ${trigger.timezone}` : undefined;
}

/** A trigger whose wildcards have names. */
interface Named {
  readonly source: string;
  readonly names: ReadonlyMap<string, number>;
  /** How a wildcard begins. */
  readonly wildcard: string;
}

/** `filters`: of the triggers that can have wildcards with a name. */
function keyMistakes(key: string, filters: readonly Named[]): Found[] {
  if (key === "topic") {
    const named = filters.some(({ names }) => names.has("topic"));
    return named ? [{ path: ["key"], problem: '"topic" means the whole topic; give the wildcard "+topic" another name' }] : [];
  }
  const shared = [...(filters[0]?.names.keys() ?? [])].filter((name) => filters.every(({ names }) => names.has(name)));
  if (shared.includes(key)) return [];
  if (PAYLOAD_PATH.test(key)) return [];
  if (key.includes(".")) return [{ path: ["key"], problem: `"${key}" is no path into the payload; such a path begins with "data."` }];
  const without = filters.find(({ names }) => !names.has(key));
  if (without === undefined) return [{ path: ["key"], problem: `no trigger has wildcards, so there is no "${key}"; leave key out` }];
  return [
    {
      path: ["key"],
      problem: `trigger "${without.source}" has no wildcard "${without.wildcard}${key}"${suggestion(key, [...shared, "topic"])}`,
    },
  ];
}
