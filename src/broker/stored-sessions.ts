import { Readable } from "node:stream";
import type { Aedes, Client } from "aedes";
import AsyncLevelPersistence from "aedes-persistence-level/asyncPersistence.js";
import { z } from "zod";
import type { BrokerDrops } from "./bounds/broker-drops.ts";
import { QueueBounds, type QueueLimits } from "./bounds/queue-bounds.ts";
import { RETAINED, type RetainedLimits, RetainedMessages, type RetainedPacket } from "./bounds/retained-messages.ts";
import { codec } from "./codec.ts";
import type { StoredPacket } from "./copies.ts";
import type { SessionDatabase } from "./session-database.ts";
import type { SessionEnd } from "./session-ends.ts";
import { isSharedKey, isTooDeep } from "./filters.ts";
import { entryBytes, padded, queueKey } from "./session-shelf.ts";
import type { Choice, SharedGroups } from "./shared/groups.ts";
import { SessionTraces } from "./session-traces.ts";
import { type SessionWrite, SessionWrites } from "./session-writes.ts";
import { type StoredSubscription, SubscriptionIndex } from "./subscription-index.ts";

const storedSubscription = z.object({
  clientId: z.string(),
  topic: z.string(),
  qos: z.number(),
  nl: z.boolean().nullish(),
  rap: z.boolean().nullish(),
  subscriptionIdentifier: z.number().nullish(),
});

export interface StoredParts {
  readonly queues: { readonly gateway: string; readonly limits: QueueLimits };
  readonly retained: RetainedLimits;
  readonly drops: BrokerDrops;
}

/** Entries, and their bytes, that are read at once at a start. */
const READ_MAX = 1_000;
const READ_BYTES = 1024 ** 2;

const sentPlace = z.object({ brokerCounter: z.number() });

const sessionEnd = z.object({ id: z.string(), seconds: z.number(), since: z.number().optional(), owner: z.string().optional() });

/**
 * The library's store with four things mended: a session with overlapping filters keeps every one of them; a subscription of QoS 0 gets no copies,
 * and one with no-local none of its own client's messages [MQTT-3.8.3-3]; copies keep their properties [MQTT-3.3.2-17] and when they expire
 * [MQTT-3.3.2-5]; and of kept packets come no properties without a value, which cannot be sent.
 */
export class StoredSessions extends AsyncLevelPersistence {
  /** Of the queues. */
  readonly writes: SessionWrites;
  protected readonly bounds: QueueBounds;
  protected readonly retained: RetainedMessages;
  readonly #database: SessionDatabase;
  readonly #index = new SubscriptionIndex();
  /** Of subscriptions. */
  readonly #subscribed = new SessionTraces();
  /** Of messages and packet ids. */
  readonly #queued = new SessionTraces();

  constructor(database: SessionDatabase, { queues, retained, drops }: StoredParts) {
    super(database);
    this.#database = database;
    this.bounds = new QueueBounds({ ...queues, dropped: (reason, client) => drops.count(reason, { client }) });
    this.writes = new SessionWrites(database);
    this.retained = new RetainedMessages({ limits: retained, writes: this.writes, dropped: (reason, about) => drops.count(reason, about) });
  }

  override async setup(broker: Aedes): Promise<void> {
    await this.#loadSubscriptions();
    await super.setup(broker);
    await this.#countQueues();
    await this.#each(RETAINED, (key, value) => this.retained.load(key, value));
    await this.retained.sweep();
  }

  /** A filter with more levels than the engine's store can read matches nothing that is published; with it the gateway would not start. */
  async #loadSubscriptions(): Promise<void> {
    for await (const [key, bytes] of this.#database.iterator({ gte: "subscriptions:", lt: "subscriptions;" })) {
      const subscription = storedSubscription.parse(codec.decode(bytes));
      this.#subscribed.mark(subscription.clientId);
      if (isTooDeep(subscription.topic)) await this.#database.del(key);
      else this.#index.set(subscription);
    }
  }

  async #countQueues(): Promise<void> {
    await this.#each({ gte: "outgoing:", lt: "outgoing;" }, (key, value) => this.bounds.load(key, value));
    for (const client of this.bounds.clients) this.#queued.mark(client);
    await this.#each({ gte: "outgoing-id:", lt: "outgoing-id;" }, (key, value) => {
      const client = clientOf(key);
      this.#queued.mark(client);
      this.bounds.sent(client, sentPlace.parse(codec.decode(value)).brokerCounter);
    });
    await this.#each({ gte: "incoming:", lt: "incoming;" }, (key) => this.#queued.mark(clientOf(key)));
    await this.writes.writeAll(this.bounds.trim());
  }

  /** Many at once: one by one takes longer than the reading. */
  async #each(range: { readonly gte: string; readonly lt: string }, see: (key: string, value: Buffer) => void): Promise<void> {
    await using iterator = this.#database.iterator({ ...range, fillCache: false, highWaterMarkBytes: READ_BYTES });
    for (;;) {
      const entries = await iterator.nextv(READ_MAX);
      if (entries.length === 0) return;
      for (const [key, value] of entries) see(key, value);
    }
  }

  /** Whether any stored session leaves out what its own client published. */
  get hasNoLocal(): boolean {
    return this.#index.hasNoLocal;
  }

  /** Whether the client has a session with subscriptions that get copies. */
  has(client: string): boolean {
    return this.#index.has(client);
  }

  /** Who shares subscriptions. */
  get shared(): SharedGroups {
    return this.#index.shared;
  }

  /** Those that get copies; of shared subscriptions see `shared`. */
  protected wanting(topic: string): readonly StoredSubscription[] {
    return this.#index.match(topic);
  }

  /** In the order of the calls, also with `removeSubscriptions`: of the same filter the last one counts. */
  override async addSubscriptions({ id }: Client, subscriptions: readonly object[]): Promise<void> {
    const writes = subscriptions.map((subscription): SessionWrite => {
      const stored = storedSubscription.parse({ ...subscription, clientId: id });
      this.#index.set(stored);
      return { type: "put", key: subscriptionKey(id, stored.topic), value: codec.encode({ ...subscription, clientId: id }) };
    });
    if (writes.length === 0) return;
    this.#subscribed.mark(id);
    await this.writes.writeAll(writes);
    this.#subscribed.mark(id);
  }

  override async cleanSubscriptions(client: Client): Promise<void> {
    const mark = this.#subscribed.markOf(client.id);
    if (mark === undefined) return;
    await super.cleanSubscriptions(client);
    this.#subscribed.forget(client.id, mark);
  }

  override async incomingStorePacket(client: Client, packet: object): Promise<void> {
    this.#queued.mark(client.id);
    await super.incomingStorePacket(client, packet);
    this.#queued.mark(client.id);
  }

  override async removeSubscriptions({ id }: Client, topics: readonly string[]): Promise<void> {
    for (const topic of topics) this.#index.delete(id, topic);
    if (topics.length > 0) await this.writes.writeAll(topics.map((topic) => ({ type: "del", key: subscriptionKey(id, topic) })));
  }

  /** Whether the client's session has a subscription with this filter. */
  async isStored(id: string, topic: string): Promise<boolean> {
    await this.writes.flushed();
    return (await this.#database.get(subscriptionKey(id, topic))) !== undefined;
  }

  override async subscriptionsByClient(client: { readonly id: string }): Promise<readonly object[]> {
    if (this.#subscribed.markOf(client.id) === undefined) return [];
    await this.writes.flushed();
    return super.subscriptionsByClient(client);
  }

  /** The writes that put a copy into the queue of each session, once however many of its subscriptions match. */
  protected copiesFor(subscriptions: readonly StoredSubscription[], packet: StoredPacket): readonly SessionWrite[] {
    const shared =
      this.shared.size === 0 ? [] : this.shared.choices(packet).flatMap((choice) => (choice.isKept ? this.#copyForMember(choice) : []));
    const clients = new Set<string>();
    for (const { clientId, nl } of subscriptions) if (nl !== true || clientId !== packet.clientId) clients.add(clientId);
    if (clients.size === 0) return shared;
    const value = codec.encode(copyOf(packet));
    const { brokerId, brokerCounter } = packet;
    const copies: SessionWrite[] = [];
    for (const client of clients) {
      const key = queueKey(client, brokerId, brokerCounter);
      this.#queued.mark(client);
      copies.push({ type: "put", key, value });
      for (const removed of this.bounds.add(client, brokerCounter, entryBytes(key, value))) copies.push(removed);
    }
    return shared.length === 0 ? copies : [...copies, ...shared];
  }

  /** Writes the message into the queue of the member that was chosen for it, and does the other writes with that. */
  async keep(choice: Choice, others: readonly SessionWrite[]): Promise<void> {
    await this.writes.writeAll([...this.#copyForMember(choice), ...others]);
  }

  #copyForMember({ clientId, packet }: Choice): readonly SessionWrite[] {
    const value = codec.encode({ ...copyOf(packet), shared: packet.shared });
    const key = queueKey(clientId, packet.brokerId, packet.brokerCounter);
    this.#queued.mark(clientId);
    return [{ type: "put", key, value }, ...this.bounds.add(clientId, packet.brokerCounter, entryBytes(key, value))];
  }

  /** Whether the packet id of a client's QoS 2 message is here. */
  async hasIncoming({ id }: { readonly id: string }, { messageId = 0 }: { readonly messageId?: number }): Promise<boolean> {
    const key = `incoming:${encodeURIComponent(id)}:${padded(messageId)}`;
    return (await this.#database.get(key)) !== undefined;
  }

  /** Whether a session may have left something beside its subscriptions. */
  protected hasLeft(id: string): boolean {
    return this.#queued.markOf(id) !== undefined;
  }

  /** Forgets what a session has left beside its subscriptions; the library forgets only what was sent before. False when there was nothing. */
  async clearSession(id: string): Promise<boolean> {
    const mark = this.#queued.markOf(id);
    await this.writes.flushed();
    const name = encodeURIComponent(id);
    const kinds = ["incoming", "outgoing", "outgoing-id"];
    const cleared = kinds.map(async (kind) => {
      const range = { gte: `${kind}:${name}:`, lt: `${kind}:${name};` };
      const [any] = await this.#database.keys({ ...range, limit: 1 }).all();
      if (any !== undefined) await this.#database.clear(range);
      return any !== undefined;
    });
    const found = (await Promise.all(cleared)).includes(true);
    this.bounds.clear(id);
    if (mark !== undefined) this.#queued.forget(id, mark);
    return found;
  }

  /** Whose queues are not empty. */
  get queues(): readonly string[] {
    return this.bounds.clients;
  }

  /** What is in the queue of a session. */
  queued(id: string): { readonly messages: number; readonly bytes: number } {
    return this.bounds.usageOf(id);
  }

  async storeEnd({ id, seconds, since, owner }: SessionEnd): Promise<void> {
    const end = { id, seconds, ...(since === undefined ? {} : { since }), ...(owner === undefined ? {} : { owner }) };
    await this.#database.put(endKey(id), codec.encode(end));
  }

  async deleteEnd(id: string): Promise<void> {
    await this.#database.del(endKey(id));
  }

  async endSubscriptions(id: string): Promise<void> {
    await this.writes.flushed();
    const keys = { gte: subscriptionKey(id, ""), lt: `subscriptions:${encodeURIComponent(id)};` };
    for await (const bytes of this.#database.values(keys)) {
      const { topic } = storedSubscription.parse(codec.decode(bytes));
      await this.removeSubscriptions({ id } as Client, [topic]);
    }
  }

  async *ends(): AsyncGenerator<SessionEnd> {
    for await (const bytes of this.#database.values({ gte: "expiry:", lt: "expiry;" })) yield sessionEnd.parse(codec.decode(bytes));
  }

  override storeRetained(packet: object): Promise<void> {
    return this.retained.store(packet as RetainedPacket);
  }

  /** Nothing that was kept is sent for a shared subscription (MQTT 5, 4.8.2). */
  override createRetainedStreamCombi(patterns: readonly string[]): Readable {
    const own = patterns.filter((pattern) => !isSharedKey(pattern));
    return own.length === 0 ? Readable.from([]) : Readable.from(current(super.createRetainedStreamCombi(own)));
  }
}

function subscriptionKey(id: string, topic: string): string {
  return `subscriptions:${encodeURIComponent(id)}:${topic}`;
}

/** Of whose session a key speaks. */
function clientOf(key: string): string {
  const [, name = ""] = key.split(":", 2);
  return decodeURIComponent(name);
}

function endKey(id: string): string {
  return `expiry:${encodeURIComponent(id)}`;
}

/** What of a packet is kept in a queue. */
function copyOf({ brokerId, brokerCounter, topic, payload, qos, retain, properties, messageExpiry, clientId }: StoredPacket): object {
  return {
    cmd: "publish",
    brokerId,
    brokerCounter,
    topic,
    payload,
    qos,
    retain,
    dup: false,
    ...(clientId === undefined ? {} : { clientId }),
    ...(properties === undefined ? {} : { properties }),
    ...(messageExpiry === undefined ? {} : { messageExpiry }),
  };
}

/** Those that have not expired. Packets that were kept by earlier versions may have properties without a value. */
async function* current(packets: AsyncIterable<object>): AsyncGenerator<object> {
  for await (const packet of packets) {
    const expiry: unknown = Reflect.get(packet, "messageExpiry");
    if (typeof expiry === "number" && expiry <= Date.now()) continue;
    const properties: unknown = Reflect.get(packet, "properties");
    if (typeof properties !== "object" || properties === null) yield packet;
    else yield { ...packet, properties: Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== null)) };
  }
}
