import { z } from "zod";
import { type HttpRoute, isSameRoute, paramOf, readRoute } from "../../core/http-route.ts";
import { suggestion } from "../../core/nearest.ts";
import { PAYLOAD_PATH } from "../../core/payload-path.ts";
import { coversFilter, parseTopicFilter } from "../../core/topic.ts";
import type { ScheduleTrigger, TriggerKind, TriggerSpec } from "../../core/triggers.ts";
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
  const earlier = all.slice(0, index);
  if ("mqtt" in trigger) return mqttClash(trigger, index, earlier);
  if ("http" in trigger) {
    const first = earlier.findIndex((other) => "http" in other && isSameRoute(routeOf(trigger.http), routeOf(other.http)));
    const problem = `"${trigger.http}" takes requests that triggers[${first}].http takes; leave one out, or give it another method or path`;
    return first === -1 ? [] : [{ path: ["triggers", index, "http"], problem }];
  }
  if ("schedule" in trigger) return scheduleClash(trigger, index, earlier);
  return patternClash(trigger, index, earlier);
}

/** Partly the same is fine: the first that matches counts. */
function mqttClash({ mqtt, durable }: Extract<TriggerSpec, { mqtt: string }>, index: number, earlier: readonly TriggerSpec[]): Found[] {
  const filter = parseTopicFilter(mqtt);
  for (const [first, other] of earlier.entries()) {
    if (!("mqtt" in other)) continue;
    const its = parseTopicFilter(other.mqtt);
    if (its.mqtt === filter.mqtt) return [same("mqtt", { text: mqtt, index, first })];
    // Behind one that is not durable, a durable one still says what is to be written.
    if (coversFilter(its, filter) && (other.durable || !durable)) return [never("mqtt", { text: mqtt, by: other.mqtt, index, first })];
  }
  return [];
}

function scheduleClash(trigger: ScheduleTrigger, index: number, earlier: readonly TriggerSpec[]): Found[] {
  const text = scheduleText(trigger);
  const first = earlier.findIndex((other) => scheduleText(other) === text);
  if (first !== -1) return [same("schedule", { text: trigger.schedule, index, first })];
  const named = earlier.findIndex((other) => "schedule" in other && other.name === trigger.name);
  const remedy = `is the name of triggers[${named}] too; give each schedule of the function a name of its own`;
  return named === -1 ? [] : [{ path: ["triggers", index, "name"], problem: `"${trigger.name}" ${remedy}` }];
}

function patternClash(trigger: TriggerSpec, index: number, earlier: readonly TriggerSpec[]): Found[] {
  for (const kind of ["event", "state"] as const) {
    const text = textOf(trigger, kind);
    if (text === undefined) continue;
    for (const [first, other] of earlier.entries()) {
      const its = textOf(other, kind);
      if (its === text) return [same(kind, { text, index, first })];
      if (its !== undefined && coversPattern(kind, its, text)) return [never(kind, { text, by: its, index, first })];
    }
  }
  return [];
}

function same(kind: TriggerKind, { text, index, first }: { text: string; index: number; first: number }): Found {
  const noun = { mqtt: "filter as", schedule: "schedule as" }[kind as string] ?? "as";
  return { path: ["triggers", index, kind], problem: `"${text}" is the same ${noun} triggers[${first}].${kind}; leave one of them out` };
}

function never(kind: TriggerKind, { text, by, index, first }: { text: string; by: string; index: number; first: number }): Found {
  const remedy = "put this one before it, or leave it out";
  return {
    path: ["triggers", index, kind],
    problem: `"${text}" never counts: triggers[${first}].${kind}, "${by}", matches all of it first; ${remedy}`,
  };
}

/** Whether `one` takes everything that `other` takes; of state both the key and the name decide. */
function coversPattern(kind: "event" | "state", one: string, other: string): boolean {
  if (kind === "event") return covers(one, other);
  const [key, name] = stateParts(one);
  const [otherKey, otherName] = stateParts(other);
  return covers(key, otherKey) && covers(name, otherName);
}

function covers(pattern: string, text: string): boolean {
  return pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : pattern === text;
}

function stateParts(text: string): readonly [key: string, name: string] {
  const slash = text.lastIndexOf("/");
  return slash === -1 ? ["*", text] : [text.slice(0, slash), text.slice(slash + 1)];
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

/** What a path looks like, and the one that was probably meant. */
function pathRemedy(key: string): string {
  const names = key
    .split(".")
    .map((name) => name.trim())
    .filter((name) => name !== "" && name !== "data");
  const meant = `data.${names.join(".")}`;
  const rule = '; it is "data." and names with single dots between them';
  return PAYLOAD_PATH.test(meant) ? `${rule}, try "${meant}"` : rule;
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
  if (key.includes(".")) return [{ path: ["key"], problem: `"${key}" is no path into the payload${pathRemedy(key)}` }];
  const without = filters.find(({ names }) => !names.has(key));
  if (without === undefined) return [{ path: ["key"], problem: `no trigger has wildcards, so there is no "${key}"; leave key out` }];
  return [
    {
      path: ["key"],
      problem: `trigger "${without.source}" has no wildcard "${without.wildcard}${key}"${suggestion(key, [...shared, "topic"])}`,
    },
  ];
}
