import { MillraceError } from "../../core/errors.ts";
import { parseTopicFilter } from "../../core/topic.ts";
import { paramOf, readRoute } from "../../core/http-route.ts";
import { eventTopic, httpTopic, scheduleTopic, stateTopic } from "../../core/trigger-filters.ts";
import { type TriggerSpec, triggerText } from "../../core/triggers.ts";

/** A message that a trigger matches. */
interface Sample {
  readonly topic: string;
  /** Where the gateway itself would make it. */
  readonly payload?: string;
}

/** `number` counts the triggers from 1. @throws MillraceError USAGE when there is none with it */
export function sampleOf(triggers: readonly TriggerSpec[], functionName: string, number: number): Sample {
  const trigger = triggers[number - 1];
  if (trigger === undefined) {
    const list = triggers.map((each, index) => `${index + 1}: ${triggerText(each)}`).join(", ");
    throw new MillraceError("USAGE", `--trigger ${number}: the function has these triggers: ${list}`);
  }
  if ("mqtt" in trigger) return { topic: exampleTopic(trigger.mqtt) };
  if ("event" in trigger) return { topic: eventTopic(trigger.event.replace(/\*$/, "x"), "x") };
  if ("http" in trigger) {
    const route = readRoute(trigger.http);
    const { methods = ["GET"], segments = [""] } = "problem" in route ? {} : route;
    const path = segments.map((segment) => paramOf(segment) ?? segment);
    return { topic: httpTopic(functionName, methods[0] ?? "GET", path), ...(methods[0] === "GET" ? { payload: "" } : {}) };
  }
  if ("state" in trigger) {
    const { key, name } = exampleValue(trigger.state);
    return { topic: stateTopic(functionName, key, name), payload: JSON.stringify({ key, name, deleted: false }) };
  }
  const payload = JSON.stringify({ name: trigger.name, due: new Date().toISOString(), missed: 0 });
  return { topic: scheduleTopic(functionName, trigger.name), payload };
}

/** A key and a name that the pattern of a `state` trigger matches. */
export function exampleValue(pattern: string): { readonly key: string; readonly name: string } {
  const slash = pattern.lastIndexOf("/");
  const [key, name] = [slash === -1 ? "*" : pattern.slice(0, slash), pattern.slice(slash + 1)];
  return { key: key.replace(/\*$/, "x"), name: name.replace(/\*$/, "x") };
}

/** A topic that the filter matches, each wildcard replaced by its own name: `sensors/+site/#` becomes `sensors/site/x`. */
export function exampleTopic(source: string): string {
  const filter = parseTopicFilter(source);
  const names = new Map([...filter.names].map(([name, index]) => [index, name]));
  return filter.levels.map((level, index) => names.get(index) ?? (level === "+" || level === "#" ? "x" : level)).join("/");
}
