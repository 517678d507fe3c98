import type { JournaledMessage } from "../core/message.ts";
import { findTrace, type Handler, type ItemTrace } from "./item-trace.ts";
import { TICKS } from "../core/trigger-filters.ts";
import type { Trial } from "./trial.ts";

const BATCH_BYTES_MAX = 1024 * 1024;

/**
 * After which failure a message is given up: never, because a full store of dead letters has no room for it; after one that is for good; or after
 * any. Gateway and guest have to mean the same, or one of them lets a key go on that the other holds back.
 */
export type GiveUp = "never" | "for good" | "always";

/** One message for one function. */
export interface Item {
  readonly message: JournaledMessage;
  /** Everything from this seq on up to the message is done with it: what lies between does not concern the function. */
  readonly start: number;
  readonly trigger: number;
  readonly key: string;
  /** Why the message has no key: it is given up without being tried. */
  readonly missing?: string;
  readonly keyBytes: Buffer;
  attempt: number;
  /** The guest holds the key back since an attempt failed, and may go on with this item. */
  resume: boolean;
  /** It was under way when something went wrong that may have been its doing: it is handled alone from now on. */
  suspect: boolean;
  /** A host died while it was under way: from now on it is handled where it becomes known whose doing that was. */
  trial: Trial;
  /** So many times in a row it had no processor. */
  starved?: number;
  /** Decided each time when it is sent. */
  giveUp: GiveUp;
  /** What its idempotency key is remembered by; null when it has none, undefined as long as nobody asked. */
  mark?: string | null;
  /** The trace that its message belongs to, once it was looked for; null when there is none. */
  trace?: ItemTrace | null | undefined;
  /** When it was sent to the isolate last, as `performance.now` has it. */
  sentAt?: number;
}

const GIVE_UP_FLAGS = { always: 2, never: 4, "for good": 0 } as const;
const TRACED = 8;
const FORGET = 16;

/** Says with the first item of a batch that the isolate has to forget the state that it remembers. */
export function pushForget([head]: readonly Uint8Array[]): void {
  if (head !== undefined) head[0] = (head[0] ?? 0) | FORGET;
}

/** Adds what a host gets of an item, for which the trace of its message has to be looked for. */
export function pushItem(parts: Uint8Array[], item: Item, handler: Handler): void {
  if (item.trace === undefined) item.trace = findTrace(item.message, handler) ?? null;
  parts.push(itemHead(item), item.keyBytes);
  if (item.trace !== null) parts.push(item.trace.bytes);
  parts.push(item.message.record);
}

export function itemHead(item: Item): Buffer {
  const head = Buffer.allocUnsafe(11);
  head[0] = (item.resume ? 1 : 0) | GIVE_UP_FLAGS[item.giveUp] | (item.trace === undefined || item.trace === null ? 0 : TRACED);
  head[1] = Math.min(item.attempt, 255);
  head[2] = item.trigger;
  head.writeUIntBE(item.message.seq, 3, 6);
  head.writeUInt16BE(item.keyBytes.length, 9);
  return head;
}

/** How many of the first `max` are sent together: a suspect alone, or what stands before the next one, up to about BATCH_BYTES_MAX. */
export function togetherOf(items: readonly Item[], max: number): number {
  let bytes = 0;
  for (const [index, item] of items.entries()) {
    if (index >= max || bytes >= BATCH_BYTES_MAX || (index > 0 && item.suspect)) return index;
    if (item.suspect) return 1;
    bytes += item.message.record.length;
  }
  return items.length;
}

/**
 * Which failure of this try gives the message up. The age of a tick says nothing: its time is when it was due, and what is made up for after a
 * downtime is to have as many tries as any other. Whoever waits for an answer is told of the first failure, and decides what comes of it.
 */
export function giveUpOf(
  { attempt, message }: Item,
  awaited: boolean,
  retry: { readonly attempts: number; readonly maxAgeMs: number },
  now: number,
): GiveUp {
  if (awaited) return "always";
  const tooOld = message.time < now - retry.maxAgeMs && !message.topic.startsWith(TICKS);
  return attempt >= retry.attempts || tooOld ? "always" : "for good";
}

/** When the first of them arrived, in milliseconds since the epoch; Infinity when there is none. */
export function oldestOf(items: Iterable<Item>): number {
  let oldest = Infinity;
  for (const { message } of items) oldest = Math.min(oldest, message.time);
  return oldest;
}
