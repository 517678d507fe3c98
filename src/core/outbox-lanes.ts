import { OVERFLOWS } from "./manifest.ts";
import { DEFAULT_RULE, type OutboxRule } from "./outbox-rules.ts";

export const PRIORITY_MAX = 9;

/**
 * Events wait in lanes: one for each priority and each thing that may happen at a quota, so that all events of a lane are treated alike. A
 * lane's number is the first part of its keys, the most urgent lane first.
 */
export const OVERFLOWS_PER_PRIORITY = OVERFLOWS.length;
export const LANES = (PRIORITY_MAX + 1) * OVERFLOWS_PER_PRIORITY;

export function laneOfRule({ priority, overflow }: OutboxRule): number {
  return (PRIORITY_MAX - priority) * OVERFLOWS.length + OVERFLOWS.indexOf(overflow);
}

export function priorityOf(lane: number): number {
  return PRIORITY_MAX - Math.floor(lane / OVERFLOWS.length);
}

export function overflowOf(lane: number): OutboxRule["overflow"] {
  return OVERFLOWS[lane % OVERFLOWS.length] ?? DEFAULT_RULE.overflow;
}

/**
 * The bit that stands for events with this rule where somebody has to wait for room in the outbox: one for each priority that blocks, one for
 * each whose oldest events cannot be dropped fast enough; none for rules that never make anyone wait.
 */
export function pressureOf({ priority, overflow }: OutboxRule): number {
  if (overflow === "block") return 1 << priority;
  return overflow === "drop-oldest" ? 1 << (PRIORITY_MAX + 1 + priority) : 0;
}
