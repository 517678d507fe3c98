import { eventId, FAILURE_INDEX } from "../core/event.ts";
import { type FailureReport, reportedPayload } from "../core/failure-report.ts";
import type { Manifest } from "../core/manifest.ts";
import { decodeMessage, encodeMessage } from "../core/message.ts";
import type { DeadLetter } from "../core/stats.ts";
import { carried, type Draft, type DraftOwner, HOPS_MAX } from "./draft.ts";
import type { Item } from "./item.ts";
import { wokenByEvent } from "./woken.ts";

type FailureOwner = Pick<DraftOwner, "gateway" | "name" | "version" | "outboxRule" | "wakes" | "listens" | "publishProblem">;

/** A message that is given up. */
interface Failed {
  readonly item: Item;
  readonly letter: DeadLetter;
}

/**
 * Adds what `onFailure` of the manifest wants for a message that is given up, to be committed with its dead letter. Answers with what was left out of
 * it, and why: functions whose failures wake one another would go on for ever.
 */
export function addFailure(
  { wanted, ...failed }: Failed & { readonly wanted: NonNullable<Manifest["onFailure"]> },
  draft: Draft,
  owner: FailureOwner,
): readonly string[] {
  const report = JSON.stringify(reportOf(failed, owner));
  const problems: string[] = [];
  if (wanted.emit !== undefined) problems.push(...addEvent(failed.item, { type: wanted.emit, data: report }, draft, owner));
  if (wanted.publish !== undefined) problems.push(...addMessage(failed.item, { topic: wanted.publish, report }, draft, owner));
  return problems;
}

/** The event goes out in any case; what may be left out is the message by which it wakes functions of this gateway. */
function addEvent(item: Item, { type, data }: { type: string; data: string }, draft: Draft, owner: FailureOwner): string[] {
  const { name, version } = owner;
  const { seq, topic, time, hops } = item.message;
  const event = { type, subject: topic, data };
  const id = eventId(owner.gateway, seq, name, FAILURE_INDEX);
  draft.events.push({ ...event, id, function: name, version, time, rule: owner.outboxRule(type), ...item.trace?.attributes });
  const woken = owner.listens("event") ? wokenByEvent({ item, before: hops }, event, FAILURE_INDEX, owner) : undefined;
  if (woken === undefined) return [];
  if (woken === "too long") return [`LIMIT_OUTPUT: the event of onFailure wakes nothing, because the topic of the message is too long`];
  if (woken.hops > HOPS_MAX)
    return [`LIMIT_HOPS: "${type}" of onFailure wakes nothing, because the message has come through ${hops} functions`];
  draft.derived.push(woken);
  return [];
}

function addMessage(item: Item, { topic, report }: { topic: string; report: string }, draft: Draft, owner: FailureOwner): string[] {
  const { time } = item.message;
  const hops = item.message.hops + 1;
  const problem = owner.publishProblem(topic, false);
  if (problem !== undefined) return [`PERMISSION_DENIED: onFailure does not publish to "${topic}", which is not allowed by ${problem}`];
  const wake = owner.wakes(topic);
  if (wake !== "none" && hops > HOPS_MAX) {
    return [`LIMIT_HOPS: onFailure does not publish to "${topic}", because the message has come through ${item.message.hops} functions`];
  }
  const message = { topic, payload: Buffer.from(report), qos: 1, retain: false, time, source: `fn:${owner.name}`, hops } as const;
  const record = carried(encodeMessage(message), item);
  draft.publishes.push(record);
  if (wake !== "none") draft.derived.push({ topic, time, hops, record, ...(wake === "volatile" ? { volatile: true } : {}) });
  return [];
}

function reportOf({ item: { key, message }, letter }: Failed, { gateway }: FailureOwner): FailureReport {
  const { payload, source } = decodeMessage(message.record);
  return {
    id: `${gateway}:${letter.seq}`,
    gateway,
    function: letter.function,
    version: letter.version,
    attempts: letter.attempts,
    code: letter.code,
    error: letter.error,
    topic: letter.topic,
    key,
    time: letter.time,
    source,
    ...reportedPayload(payload),
  };
}
