import { TopicTrie, topicParams, type TopicFilter } from "../core/topic.ts";

const CACHE_TOPICS_MAX = 10_000;

/** A trigger of a function, as routing needs it. */
export interface Trigger<F> {
  readonly owner: F;
  /** Place in the manifest's list. */
  readonly index: number;
  readonly filter: TopicFilter;
  /** Wildcard whose value is the key; undefined means the topic itself. */
  readonly key: string | undefined;
}

/** That a message with this topic wakes `owner`, through its trigger `index`, under `key`. */
export interface Route<F> {
  readonly owner: F;
  readonly index: number;
  readonly key: string;
  /** The key as a batch carries it: empty when it is the topic. */
  readonly keyBytes: Buffer;
}

/** Which functions a topic wakes. A function whose triggers match more than once is woken once, through the first. */
export class RouteTable<F> {
  readonly #trie = new TopicTrie<Trigger<F>>();
  readonly #cache = new Map<string, readonly Route<F>[]>();

  constructor(triggers: readonly Trigger<F>[]) {
    for (const trigger of triggers) this.#trie.add(trigger.filter, trigger);
  }

  match(topic: string): readonly Route<F>[] {
    const known = this.#cache.get(topic);
    if (known !== undefined) return known;
    const routes = this.#find(topic);
    if (this.#cache.size >= CACHE_TOPICS_MAX) this.#cache.clear();
    this.#cache.set(topic, routes);
    return routes;
  }

  #find(topic: string): readonly Route<F>[] {
    const first = new Map<F, Trigger<F>>();
    for (const trigger of this.#trie.match(topic)) {
      const other = first.get(trigger.owner);
      if (other === undefined || trigger.index < other.index) first.set(trigger.owner, trigger);
    }
    return [...first.values()].map(({ owner, index, filter, key }) => {
      const value = key === undefined ? undefined : topicParams(filter, topic)[key];
      return value === undefined || value === ""
        ? { owner, index, key: topic, keyBytes: Buffer.alloc(0) }
        : { owner, index, key: value, keyBytes: Buffer.from(value) };
    });
  }
}

/** Spreads keys over `lanes` evenly and always the same way (FNV-1a). */
export function laneOf(key: string, lanes: number): number {
  if (lanes === 1) return 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % lanes;
}
