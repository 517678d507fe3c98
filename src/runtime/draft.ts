import { isUtf8 } from "node:buffer";
import type { CallResult, HttpAnswer } from "../core/http-call.ts";
import { type EmittedEvent, eventId } from "../core/event.ts";
import type { Manifest, Permissions } from "../core/manifest.ts";
import { decodeMessage, locateMessage, peekMessage, RECORD_HEADER_BYTES } from "../core/message.ts";
import { withProperties } from "../core/message-properties.ts";
import type { OutboxRule } from "../core/outbox-rules.ts";
import type { DeadLetter } from "../core/stats.ts";
import { contentBytes, dueOf, expiryOf } from "../core/state-value.ts";
import { formatSize } from "../core/units.ts";
import type { Derived } from "./derived.ts";
import { type GuestError, type ItemEffects, placeOf, type StateEffect } from "./effects.ts";
import type { MarkWrite } from "./idempotency.ts";
import { effectsMaxOf } from "./host/guest-effect-limit.ts";
import type { Item } from "./item.ts";
import type { StateWrite as PlacedWrite } from "./state-budget.ts";
import { type WakerOwner, wokenBy } from "./woken.ts";

/** How many functions a message may have come through before it wakes another. */
export const HOPS_MAX = 16;

interface StateWrite {
  readonly key: string;
  readonly name: string;
  readonly value?: Buffer;
  /** When to look whether it has expired. */
  readonly due?: number;
}

/** What some messages of a function bring about, while it is being put together. */
export interface Draft {
  readonly state: StateWrite[];
  readonly events: EmittedEvent[];
  readonly publishes: Uint8Array[];
  readonly derived: Derived[];
  readonly deadLetters: DeadLetter[];
  readonly marks: MarkWrite[];
  /** For those who wait for what becomes of a message, by its seq. */
  readonly answers: { readonly seq: number; readonly result: CallResult }[];
  /** Whether it has to be on disk before anybody sees anything of it. */
  sync: boolean;
  handled: number;
}

export function emptyDraft(): Draft {
  return { state: [], events: [], publishes: [], derived: [], deadLetters: [], marks: [], answers: [], sync: false, handled: 0 };
}

/** Whether nothing of it would be missed. */
export function isEmpty({ state, events, publishes, deadLetters, marks }: Draft): boolean {
  return state.length === 0 && events.length === 0 && publishes.length === 0 && deadLetters.length === 0 && marks.length === 0;
}

export interface DraftOwner extends WakerOwner {
  readonly version: number;
  /** What records of the function say where they come from: the text, with its length in front as in a record. */
  readonly source: Buffer;
  readonly permissions: Pick<Permissions, "mayEmit">;
  /** How events of this type wait for the cloud. */
  readonly outboxRule: (type: string) => OutboxRule;
  /** Its limits, as far as they bound what it wants. */
  readonly limits: Pick<Manifest["limits"], "outputBytes" | "stateValueBytes" | "stateBytes">;
  /** Why it may not publish to the topic, or undefined when it may. */
  publishProblem(topic: string, retain: boolean): string | undefined;
  /** Whether what a message writes may be what its state had to become before: however much that is, it is not the doing of the message. */
  readonly migrates: boolean;
  /** Whether what is to be stored fits; if so, it counts. */
  keeps(writes: readonly PlacedWrite[]): boolean;
}

/** An item, and what it wants. */
interface Part {
  readonly item: Item;
  readonly effects: ItemEffects;
  readonly answer?: HttpAnswer;
}

/** Adds the effects of one item to the draft, or says what is wrong with them and adds nothing. */
export function collect(part: Part, draft: Draft, owner: DraftOwner): GuestError | undefined {
  const { item } = part;
  const sent: Sent = { publishes: [], derived: [] };
  const error = tooMuch([part], owner) ?? vet(part, item.message.hops, sent, owner) ?? stores(writesOf(part), `key "${item.key}"`, owner);
  if (error === undefined) add(part, sent, draft, owner);
  return error;
}

/** The same for items that were handled in one call. What they want together is with the last of them. `added` is told of each when it is in the draft. */
export function collectTogether(
  parts: readonly Part[],
  draft: Draft,
  owner: DraftOwner,
  added: (item: Item) => void,
): GuestError | undefined {
  const hops = Math.max(...parts.map(({ item }) => item.message.hops));
  const excess = tooMuch(parts, owner);
  if (excess !== undefined) return excess;
  const vetted = parts.map((part): { part: Part; sent: Sent } => ({ part, sent: { publishes: [], derived: [] } }));
  for (const { part, sent } of vetted) {
    const error = vet(part, hops, sent, owner);
    if (error !== undefined) return error;
  }
  const error = stores(parts.flatMap(writesOf), `the keys of a batch of ${parts.length} messages`, owner);
  if (error !== undefined) return error;
  for (const { part, sent } of vetted) {
    add(part, sent, draft, owner);
    added(part.item);
  }
  return undefined;
}

function writesOf({ item, effects }: Part): readonly PlacedWrite[] {
  return effects.state.map((write) => ({ key: placeOf(item, write), name: write.name, value: write.value }));
}

/** `whose`: the key or keys, as the author is told. */
function stores(writes: readonly PlacedWrite[], whose: string, owner: DraftOwner): GuestError | undefined {
  if (writes.length === 0 || owner.keeps(writes)) return undefined;
  const limit = formatSize(owner.limits.stateBytes);
  const remedy = "delete what is not needed, give values a ttl, or raise the limit";
  return refusal("LIMIT_STATE", `function "${owner.name}", ${whose}: it would keep more than limits.state, ${limit}; ${remedy}`);
}

/** The guest has seen to that before; its function may have got around it. */
function tooMuch(parts: readonly Part[], { name, limits, migrates }: DraftOwner): GuestError | undefined {
  const { outputBytes, stateValueBytes } = limits;
  let bytes = 0;
  let count = 0;
  for (const { effects, answer } of parts) {
    count += effects.publishes.length + effects.events.length + (migrates ? 0 : effects.state.length);
    bytes += answer?.body.length ?? 0;
    for (const { length } of effects.publishes) bytes += length;
    for (const { type, subject, data } of effects.events) bytes += type.length + subject.length + data.length;
    const large = effects.state.find(({ value }) => value !== undefined && contentBytes(value) > stateValueBytes);
    if (large !== undefined)
      return refusal("LIMIT_STATE", `function "${name}": a state value is larger than limits.stateValue, ${formatSize(stateValueBytes)}`);
  }
  if (bytes > outputBytes) return refusal("LIMIT_OUTPUT", `one message produced more than ${outputBytes} bytes`);
  const countMax = effectsMaxOf(outputBytes) * parts.length;
  return count <= countMax ? undefined : refusal("LIMIT_OUTPUT", `one message produced more than ${countMax} effects`);
}

/** What an item publishes, as it goes out, and the messages that it becomes. */
interface Sent {
  readonly publishes: Buffer[];
  readonly derived: Derived[];
}

/** Says what is wrong with the publishes and events of an item that came through `before` functions; adds the publishes to `sent`. */
function vet({ item, effects }: Part, before: number, { publishes, derived }: Sent, owner: DraftOwner): GuestError | undefined {
  const { permissions } = owner;
  for (const said of effects.publishes) {
    const { topic } = peekMessage(said, 0);
    const problem = owner.publishProblem(topic, locateMessage(said).retain);
    if (problem !== undefined) return refusal("PERMISSION_DENIED", `publishing to "${topic}" is not allowed by ${problem}`);
    if (topic.includes("\ufffd") && !isUtf8(said.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + said.readUInt16BE(12))))
      return refusal("FUNCTION_THREW", "the topic that it publishes to is no UTF-8"); // MQTT 5, 1.5.4
    const { time } = item.message;
    const hops = before + 1;
    if (!sign(said, { hops, time, source: owner.source })) return refusal("FUNCTION_THREW", "what it publishes names another source");
    const record = carried(said, item);
    publishes.push(record);
    const wake = owner.wakes(topic);
    if (wake === "none") continue;
    if (hops > HOPS_MAX) return tooManyHops(before);
    derived.push({ topic, time, hops, record, ...(wake === "volatile" ? { volatile: true } : {}) });
  }
  const woken = wokenBy({ item, before }, effects, owner);
  if (woken === undefined) return refusal("LIMIT_OUTPUT", "what it emits or stores has a name that is too long to wake a function");
  if (woken.length > 0 && before >= HOPS_MAX) return tooManyHops(before);
  derived.push(...woken);
  const forbidden = effects.events.find((event) => !permissions.mayEmit(event.type));
  if (forbidden !== undefined) return refusal("PERMISSION_DENIED", `emitting "${forbidden.type}" is not allowed by permissions.emit`);
  return undefined;
}

function add({ item, effects }: Part, { publishes, derived }: Sent, draft: Draft, owner: DraftOwner): void {
  draft.handled++;
  draft.publishes.push(...publishes);
  draft.derived.push(...derived);
  for (const write of effects.state) draft.state.push(stateWrite(item, write));
  effects.events.forEach((event, index) => {
    const id = eventId(owner.gateway, item.message.seq, owner.name, index);
    const rule = owner.outboxRule(event.type);
    draft.events.push({
      ...event,
      id,
      function: owner.name,
      version: owner.version,
      time: item.message.time,
      rule,
      ...item.trace?.attributes,
    });
  });
}

/** What a message with a trace brings about belongs to the same one. */
export function carried(record: Buffer, { trace }: Item): Buffer {
  return trace === undefined || trace === null ? record : withProperties(record, { user: { ...trace.attributes } });
}

function stateWrite(item: Item, effect: StateEffect): StateWrite {
  const { name, value } = effect;
  const key = placeOf(item, effect);
  if (value === undefined) return { key, name };
  const expires = expiryOf(value);
  return expires === undefined ? { key, name, value } : { key, name, value, due: dueOf(expires, item.message.time) };
}

/** Writes what is not for the function to say. False when the record claims to come from somebody else. */
function sign(record: Buffer, { hops, time, source }: { hops: number; time: number; source: Buffer }): boolean {
  record[5] = Math.min(hops, 255);
  record.writeUIntBE(time, 6, 6);
  const at = RECORD_HEADER_BYTES + record.readUInt16BE(RECORD_HEADER_BYTES - 2);
  return source.compare(record, at, Math.min(at + source.length, record.length)) === 0;
}

function tooManyHops(before: number): GuestError {
  return refusal("LIMIT_HOPS", `the message has come through ${before} functions and would wake another`);
}

function refusal(code: string, message: string): GuestError {
  return { code, name: "Error", message, stack: "" };
}

export function deadLetter(
  item: Item,
  error: GuestError,
  owner: { readonly name: string; readonly version: number },
  place: string | undefined,
): DeadLetter {
  const { seq, topic, time, record } = item.message;
  const { payload } = decodeMessage(record);
  return {
    seq,
    topic,
    time,
    function: owner.name,
    version: owner.version,
    attempts: item.attempt,
    code: error.code,
    error: place === undefined ? error.message : `${error.message} (${place})`,
    payload: Buffer.from(payload).toString("base64"),
    ...(item.trace === undefined || item.trace === null ? {} : { trace: item.trace.context.traceId }),
  };
}
