import { TopicTrie } from "../core/topic.ts";
import { isSharedKey } from "./filters.ts";
import { SharedGroups } from "./shared/groups.ts";

/** A subscription of a session that is stored. */
export interface StoredSubscription {
  readonly clientId: string;
  readonly topic: string;
  readonly qos: number;
  /** Whether it leaves out what its own client published (MQTT 5, 3.8.3.1). */
  readonly nl?: boolean | null | undefined;
  /** Whether messages keep their retain flag (MQTT 5, 3.8.3.1). */
  readonly rap?: boolean | null | undefined;
  /** What its client wants to see on them (MQTT 5, 3.8.2.1.2). */
  readonly subscriptionIdentifier?: number | null | undefined;
}

/** Which stored sessions get copies of a topic. Each filter of a session stands for itself: another that overlaps neither replaces nor removes it. */
export class SubscriptionIndex {
  /** Those of shared subscriptions; the filters of these are for their groups to match. */
  readonly shared = new SharedGroups();
  readonly #trie = new TopicTrie<StoredSubscription>();
  /** By client and exact filter. */
  readonly #clients = new Map<string, Map<string, StoredSubscription>>();
  #noLocal = 0;

  /** Whether any subscription leaves out what its own client published. */
  get hasNoLocal(): boolean {
    return this.#noLocal > 0;
  }

  /** In the place of the client's subscription with the same filter. Those of QoS 0 get no copies. */
  set(subscription: StoredSubscription): void {
    const { clientId, topic, qos, nl } = subscription;
    this.delete(clientId, topic);
    if (qos === 0) return;
    let own = this.#clients.get(clientId);
    if (own === undefined) this.#clients.set(clientId, (own = new Map()));
    own.set(topic, subscription);
    if (isSharedKey(topic)) return this.shared.store(clientId, topic);
    this.#trie.add({ levels: topic.split("/") }, subscription);
    if (nl === true) this.#noLocal++;
  }

  delete(clientId: string, topic: string): void {
    const own = this.#clients.get(clientId);
    const known = own?.get(topic);
    if (own === undefined || known === undefined) return;
    own.delete(topic);
    if (own.size === 0) this.#clients.delete(clientId);
    if (isSharedKey(topic)) return this.shared.unstore(clientId, topic);
    this.#trie.remove({ levels: topic.split("/") }, known);
    if (known.nl === true) this.#noLocal--;
  }

  /** Whether the client has any. */
  has(clientId: string): boolean {
    return this.#clients.has(clientId);
  }

  match(topic: string): StoredSubscription[] {
    return [...this.#trie.match(topic)];
  }
}
