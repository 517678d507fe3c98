import { TopicTrie } from "../../core/topic.ts";
import { TopicMemory } from "../../core/topic-memory.ts";
import type { StoredPacket } from "../copies.ts";
import type { SessionWrite } from "../session-writes.ts";
import { Group, type Listener, type Member } from "./group.ts";

/** A message on its way to the member of a group that was chosen for it. */
export interface Choice {
  /** The group's. */
  readonly key: string;
  readonly clientId: string;
  /** With a place of its own in the member's queue: the same message may reach the member by another subscription too. */
  readonly packet: SharedPacket;
  /** Whether it is to be written into the member's queue. */
  readonly isKept: boolean;
}

/** A message as a member's queue has it. */
export interface SharedPacket extends StoredPacket {
  /** The key of the group. */
  readonly shared: string;
}

/** What groups need of the broker. */
export interface SharedOutlet {
  /** The next place in the queues. */
  number(): number;
  /** Resolves when the copy is in the member's queue, and with it the other writes are done: after a crash all of them, or none. */
  keep(choice: Choice, others: readonly SessionWrite[]): Promise<void>;
  write(writes: readonly SessionWrite[]): Promise<void>;
  /** Hands the message to the member, if it is connected. Resolves when others may follow, see `Backlog`. */
  hand(choice: Choice): Promise<void>;
}

/** Where a message is that its client cannot get any more. */
interface Source {
  /** Id of the client, which does not get it again. */
  readonly client: string;
  /** What takes it out of the queue of the client. */
  readonly removal: readonly SessionWrite[];
}

const NOTHING: readonly never[] = [];
/**
 * Shared subscriptions (MQTT 5, 4.8.2). Which member gets a message is chosen once, when its copies are made or, if it has none, when it is handed on.
 * What was chosen for a member stays with its session; what it can no longer get goes to another member, see `redeliver` and `move`.
 */
export class SharedGroups {
  readonly #groups = new Map<string, Group>();
  readonly #trie = new TopicTrie<Group>();
  readonly #known = new TopicMemory<readonly Group[]>();
  /** Clients that are subscribing, until the engine has their listener. */
  readonly #joining = new Map<string, Map<object, Member>>();
  readonly #choices = new WeakMap<object, readonly Choice[]>();
  #outlet: SharedOutlet | undefined;

  /** To be called before there are any messages. */
  connect(outlet: SharedOutlet): void {
    this.#outlet = outlet;
  }

  /** No message need be looked at while there are none. */
  get size(): number {
    return this.#groups.size;
  }

  /** The client may subscribe; to be followed by `listen`, unless it has the same subscription already. */
  join(key: string, member: Member): void {
    const joining = this.#joining.get(key) ?? new Map<object, Member>();
    this.#joining.set(key, joining.set(member.client, member));
  }

  /** The client is gone. */
  forget(client: object): void {
    for (const [key, joining] of this.#joining) if (joining.delete(client) && joining.size === 0) this.#joining.delete(key);
  }

  listen(key: string, listener: Listener): void {
    const joining = this.#joining.get(key);
    for (const member of joining?.values() ?? []) {
      if (member.client.subscriptions[key]?.func !== listener) continue;
      joining?.delete(member.client);
      if (joining?.size === 0) this.#joining.delete(key);
      this.#group(key).add({ ...member, listener });
      return;
    }
  }

  leave(key: string, listener: Listener): void {
    const group = this.#groups.get(key);
    group?.remove(listener);
    this.#tidy(group);
  }

  /** The session of a client that may be away gets copies. */
  store(clientId: string, key: string): void {
    this.#group(key).store(clientId);
  }

  unstore(clientId: string, key: string): void {
    const group = this.#groups.get(key);
    group?.unstore(clientId);
    this.#tidy(group);
  }

  /** Whether anybody connected wants messages with this topic. */
  wants(topic: string): boolean {
    return this.#groups.size > 0 && this.#match(topic).some((group) => group.isConnected);
  }

  /** Whether messages with this topic may have to wait for a session. */
  keeps(topic: string): boolean {
    return this.#groups.size > 0 && this.#match(topic).some((group) => group.isStored);
  }

  /** The members that get the message, one of each group that wants it. */
  choices(packet: StoredPacket): readonly Choice[] {
    if (this.#groups.size === 0) return NOTHING;
    const known = this.#choices.get(packet);
    if (known !== undefined) return known;
    const choices = this.#match(packet.topic).flatMap((group) => this.#choose(group, packet) ?? []);
    this.#choices.set(packet, choices);
    return choices;
  }

  /** Calls it for the member, if it is connected. */
  listenerOf({ key, clientId }: Choice): Listener | undefined {
    return this.#groups.get(key)?.connected(clientId)?.listener;
  }

  /**
   * Chooses another member for a message that the one it was for cannot get any more. Of QoS 2 that must not be one that was sent [MQTT-4.8.2-5].
   * Resolves when others may follow, and never rejects: the database tells of a disk that refuses a write.
   */
  redeliver(packet: SharedPacket): Promise<void> {
    return this.#give(packet, undefined);
  }

  /** The same for one from a queue, which it leaves in the write that puts it into another. Without another member it just leaves. */
  move(packet: SharedPacket, source: Source): Promise<void> {
    return this.#give(packet, source);
  }

  async #give(packet: SharedPacket, source: Source | undefined): Promise<void> {
    const group = this.#groups.get(packet.shared);
    const choice = group === undefined ? undefined : this.#choose(group, packet, source?.client);
    const outlet = this.#outlet;
    const removal = source?.removal ?? NOTHING;
    if (choice?.isKept === true) {
      // What waits in a queue need not be waited for.
      await outlet?.keep(choice, removal).then(
        () => void outlet.hand(choice),
        () => undefined,
      );
      return;
    }
    if (choice !== undefined) await outlet?.hand(choice);
    if (removal.length > 0) await outlet?.write(removal).catch(() => undefined);
  }

  #choose(group: Group, packet: StoredPacket, except?: string): Choice | undefined {
    const { key } = group;
    const clientId = group.next(packet.qos, except);
    if (clientId === undefined) return undefined;
    const isKept = packet.qos > 0 && group.keepsFor(clientId);
    const brokerCounter = this.#outlet?.number() ?? packet.brokerCounter;
    return { key, clientId, packet: { ...packet, brokerCounter, shared: key }, isKept };
  }

  #match(topic: string): readonly Group[] {
    const known = this.#known.get(topic);
    if (known !== undefined) return known;
    const found = [...this.#trie.match(topic)];
    this.#known.set(topic, found);
    return found;
  }

  #group(key: string): Group {
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const group = new Group(key);
    this.#groups.set(key, group);
    this.#trie.add(group, group);
    this.#known.clear();
    return group;
  }

  #tidy(group: Group | undefined): void {
    if (group?.isEmpty !== true) return;
    this.#groups.delete(group.key);
    this.#trie.remove(group, group);
    this.#known.clear();
  }
}
