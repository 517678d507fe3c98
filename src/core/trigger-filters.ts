import { MillraceError } from "./errors.ts";
import { paramOf, readRoute } from "./http-route.ts";
import { encodeLevel, encodePattern, parseTriggerFilter, RESERVED, STATE_CHANGES, type TriggerFilter } from "./trigger-topic.ts";
import type { TriggerSpec } from "./triggers.ts";

/** How the topics of all ticks begin. */
export const TICKS = `${RESERVED}schedule/`;

/** Of a tick of one schedule of a function. */
export function scheduleTopic(functionName: string, name: string): string {
  return `${TICKS}${encodeLevel(functionName)}/${name}`;
}

/** Of an event that a function of this gateway has emitted. */
export function eventTopic(type: string, subject: string): string {
  return `${RESERVED}event/${encodeLevel(type)}/${subject.split("/").map(encodeLevel).join("/")}`;
}

/** Of a change of one value that a function keeps. */
export function stateTopic(functionName: string, key: string, name: string): string {
  return `${STATE_CHANGES}${encodeLevel(functionName)}/${encodeLevel(key)}/${encodeLevel(name)}`;
}

/** How the topics of requests begin. */
const REQUESTS = `${RESERVED}http/`;

/** Of a request; `segments` are those of its path, decoded. */
export function httpTopic(functionName: string, method: string, segments: readonly string[]): string {
  return `${REQUESTS}${encodeLevel(functionName)}/${method}/${segments.map(encodeLevel).join("/")}`;
}

/** Which topics wake the function `functionName` through this trigger. @throws MillraceError TOPIC_FILTER_INVALID */
export function filterOf(trigger: TriggerSpec, functionName: string): TriggerFilter {
  if ("mqtt" in trigger) return parseTriggerFilter(trigger.mqtt);
  if ("schedule" in trigger) return parseTriggerFilter(scheduleTopic(functionName, trigger.name));
  if ("event" in trigger) return parseTriggerFilter(`${RESERVED}event/${encodePattern(trigger.event)}/#`);
  if ("http" in trigger) {
    const route = readRoute(trigger.http);
    if ("problem" in route) throw new MillraceError("TOPIC_FILTER_INVALID", route.problem);
    const levels = route.segments.map((segment) => (paramOf(segment) === undefined ? encodeLevel(segment) : `+${paramOf(segment)}`));
    return parseTriggerFilter(`${REQUESTS}${encodeLevel(functionName)}/${route.methods.join(",")}/${levels.join("/")}`);
  }
  const slash = trigger.state.lastIndexOf("/");
  const key = slash === -1 ? "*" : trigger.state.slice(0, slash);
  const patterns = `${encodePattern(key)}/${encodePattern(trigger.state.slice(slash + 1))}`;
  return parseTriggerFilter(`${STATE_CHANGES}${encodeLevel(functionName)}/${patterns}`);
}
