import { eventId } from "../core/event.ts";
import { encodeMessage, type Message } from "../core/message.ts";
import { VERSION_NAME } from "../core/state-value.ts";
import { TOPIC_BYTES_MAX } from "../core/topic.ts";
import { eventTopic, stateTopic } from "../core/trigger-filters.ts";
import type { Derived } from "./derived.ts";
import type { ItemEffects } from "./effects.ts";
import type { Item } from "./item.ts";
import type { Wake } from "./route.ts";

/** Of the topic of an event. What is in it stands in the properties of its message too, which have a bound of their own. */
const EVENT_TOPIC_BYTES_MAX = 8_192;

/** What wakes them: a message that has come through `before` functions, or is handled together with one that has. */
interface Cause {
  readonly item: Item;
  readonly before: number;
}

type EventEffect = ItemEffects["events"][number];

export interface WakerOwner {
  readonly gateway: string;
  readonly name: string;
  /** Whether any function listens to events, or to the state of this one. */
  listens(kind: "event" | "state"): boolean;
  /** What a message with this topic wakes. */
  wakes(topic: string): Wake;
}

/**
 * The messages by which what a handler has emitted and stored wakes functions of this gateway. They enter the journal with the effects
 * themselves. Undefined when one of them would have a topic that is too long.
 */
export function wokenBy(cause: Cause, effects: ItemEffects, owner: WakerOwner): readonly Derived[] | undefined {
  const { item } = cause;
  const woken: Derived[] = [];
  if (effects.events.length > 0 && owner.listens("event")) {
    for (const [index, event] of effects.events.entries()) {
      const message = wokenByEvent(cause, event, index, owner);
      if (message === "too long") return undefined;
      if (message !== undefined) woken.push(message);
    }
  }
  if (effects.state.length > 0 && owner.listens("state")) {
    for (const { name, value, shared } of effects.state) {
      // It is under no key, or no name, of which a handler could read it.
      if (shared === true || name === VERSION_NAME) continue;
      const topic = stateTopic(owner.name, item.key, name);
      if (Buffer.byteLength(topic) > TOPIC_BYTES_MAX) return undefined;
      const data = JSON.stringify({ key: item.key, name, deleted: value === undefined });
      if (owner.wakes(topic) !== "none") woken.push(changeMessage({ cause, owner, topic }, data));
    }
  }
  return woken;
}

/** The same for one event, whose place among those of its message is `index`; undefined when it wakes nothing. */
export function wokenByEvent(cause: Cause, event: EventEffect, index: number, owner: WakerOwner): Derived | "too long" | undefined {
  const topic = eventTopic(event.type, event.subject);
  if (Buffer.byteLength(topic) > EVENT_TOPIC_BYTES_MAX) return "too long";
  return owner.wakes(topic) === "none" ? undefined : eventMessage({ cause, owner, topic }, event, index);
}

interface About {
  readonly cause: Cause;
  readonly owner: WakerOwner;
  readonly topic: string;
}

/** With the attributes of the event as user properties, as the MQTT binding of CloudEvents 1.0 has them (section 3.1.3). */
function eventMessage(about: About, { type, subject, data }: EventEffect, index: number): Derived {
  const { gateway, name } = about.owner;
  const { seq, time } = about.cause.item.message;
  const id = eventId(gateway, seq, name, index);
  const source = `/gateways/${gateway}/functions/${name}`;
  const user = { specversion: "1.0", id, source, type, subject, time: new Date(time).toISOString(), ...about.cause.item.trace?.attributes };
  return derive(about, { payload: Buffer.from(data), properties: { contentType: "application/json", user } });
}

function changeMessage(about: About, data: string): Derived {
  const trace = about.cause.item.trace?.attributes;
  return derive(about, { payload: Buffer.from(data), ...(trace === undefined ? {} : { properties: { user: { ...trace } } }) });
}

function derive({ cause: { item, before }, owner, topic }: About, more: Pick<Message, "payload" | "properties">): Derived {
  const about = { topic, time: item.message.time, hops: before + 1 };
  return { ...about, record: encodeMessage({ ...about, qos: 1, retain: false, source: `fn:${owner.name}`, ...more }) };
}
