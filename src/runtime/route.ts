import { z } from "zod";
import { decodeMessage } from "../core/message.ts";
import { payloadKey, payloadPath } from "../core/payload-path.ts";
import { TopicMemory } from "../core/topic-memory.ts";
import { TopicTrie, topicParams, type TopicFilter } from "../core/topic.ts";
import { decodeLevel, parseTriggerFilter, RESERVED, type TriggerFilter } from "../core/trigger-topic.ts";

const NOTHING = Buffer.alloc(0);

/** A trigger of a function, as routing needs it. */
export interface Trigger<F> {
  readonly owner: F;
  /** Place in the manifest's list. */
  readonly index: number;
  readonly filter: TriggerFilter;
  /** Whether its messages have to be on disk before they are acknowledged. */
  readonly durable: boolean;
  /** Wildcard whose value is the key, or a path into the payload; undefined means the topic itself. */
  readonly key: string | undefined;
}

/** That a message with this topic wakes `owner`, through its trigger `index`, under `key`. */
export interface Route<F> {
  readonly owner: F;
  readonly index: number;
  readonly key: string;
  /** The key as a batch carries it: empty when it is the topic. */
  readonly keyBytes: Buffer;
  readonly durable: boolean;
  /** The key stands in the payload, under this path: `keyed` has the route with it. */
  readonly path?: readonly string[];
  /** Why the message has no key. */
  readonly missing?: string;
}

/** What a message with some topic wakes: nothing, only triggers that let messages be lost, or at least one that does not. */
export type Wake = "none" | "volatile" | "durable";

/** Which functions a topic wakes. A function whose triggers match more than once is woken once, through the first. */
export class RouteTable<F> {
  readonly #trie = new TopicTrie<Trigger<F>>();
  readonly #cache = new TopicMemory<readonly Route<F>[]>();

  readonly #inside = new Set<string>();

  constructor(triggers: readonly Trigger<F>[]) {
    for (const trigger of triggers) {
      this.#trie.add(trigger.filter, trigger);
      const [root, kind] = trigger.filter.levels;
      if (`${root}/` === RESERVED && kind !== undefined) this.#inside.add(kind);
    }
  }

  /** Of all triggers of these. */
  static of<F extends { readonly triggers: readonly Omit<Trigger<F>, "owner">[] }>(owners: Iterable<F>): RouteTable<F> {
    return new RouteTable([...owners].flatMap((owner) => owner.triggers.map((trigger) => ({ ...trigger, owner }))));
  }

  match(topic: string): readonly Route<F>[] {
    const known = this.#cache.get(topic);
    if (known !== undefined) return known;
    const routes = this.#find(topic);
    this.#cache.set(topic, routes);
    return routes;
  }

  /** Whether any trigger listens to what functions emit or store. */
  listens(kind: "event" | "state"): boolean {
    return this.#inside.has(kind);
  }

  wakes(topic: string): Wake {
    const routes = this.match(topic);
    if (routes.length === 0) return "none";
    return routes.some((route) => route.durable) ? "durable" : "volatile";
  }

  #find(topic: string): readonly Route<F>[] {
    const first = new Map<F, Trigger<F>>();
    for (const trigger of this.#trie.match(topic)) {
      if (trigger.filter.accepts?.(topic) === false) continue;
      const other = first.get(trigger.owner);
      if (other === undefined || trigger.index < other.index) first.set(trigger.owner, trigger);
    }
    return [...first.values()].map(({ owner, index, filter, key, durable }) => {
      const own = filter.keyOf?.(topic);
      if (own !== undefined) return { owner, index, durable, key: own, keyBytes: Buffer.from(own) };
      const path = payloadPath(key);
      if (path !== undefined) return { owner, index, durable, key: "", keyBytes: NOTHING, path };
      const text = key === undefined ? undefined : topicParams(filter, topic)[key];
      const value = text !== undefined && topic.startsWith(RESERVED) ? decodeLevel(text) : text;
      return value === undefined || value === ""
        ? { owner, index, durable, key: topic, keyBytes: NOTHING }
        : { owner, index, durable, key: value, keyBytes: Buffer.from(value) };
    });
  }
}

/** What a route is taken for: a message, as far as it has to be known. */
export interface Routed {
  readonly topic: string;
  readonly record: Uint8Array;
}

/** The route of a message, with the key that it has; without one the key is empty, and it is said why. */
export function keyed<F>(route: Route<F>, { record }: Pick<Routed, "record">): Route<F> {
  if (route.path === undefined) return route;
  const { path, ...rest } = route;
  const found = payloadKey(decodeMessage(record), path);
  return "key" in found ? { ...rest, key: found.key, keyBytes: Buffer.from(found.key) } : { ...rest, missing: found.problem };
}

/** What gives a message its key, as text that can be kept. */
export function routingOf(filters: readonly TopicFilter[], key: string | undefined): string {
  return JSON.stringify({ filters: filters.map(({ source }) => source), ...(key === undefined ? {} : { key }) });
}

const routingSchema = z.object({ filters: z.array(z.string()), key: z.string().optional() });

/** The key that a message had under a routing that was kept; undefined when it woke nothing. */
export function keyOf(routing: string): (message: Routed) => string | undefined {
  const { filters, key } = routingSchema.parse(JSON.parse(routing));
  const table = new RouteTable(
    filters.map((filter, index) => ({ owner: routing, index, filter: parseTriggerFilter(filter), key, durable: true })),
  );
  return (message) => {
    const [route] = table.match(message.topic);
    return route === undefined ? undefined : keyed(route, message).key;
  };
}
