import { Readable } from "node:stream";
import type { Aedes, Client } from "aedes";
import { type MillraceError, messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import { TopicMemory } from "../core/topic-memory.ts";
import type { StoredStats } from "../core/stored-stats.ts";
import { admittedOf } from "./access/admitted.ts";
import { BrokerDrops } from "./bounds/broker-drops.ts";
import type { QueueLimits } from "./bounds/queue-bounds.ts";
import type { RetainedLimits } from "./bounds/retained-messages.ts";
import type { StoredPacket } from "./copies.ts";
import { forwarderOf } from "./forward.ts";
import { IncomingIds, type PacketReference, type ReleaseLedger } from "./incoming-ids.ts";
import { LogFiles } from "./log-files.ts";
import { LogSync } from "./log-sync.ts";
import { describeFailure, openSessionDatabase, type SessionDatabase } from "./session-database.ts";
import type { SessionQueue } from "./session-queue.ts";
import { SessionQueues } from "./session-queues.ts";
import type { ShelfParts } from "./session-shelf.ts";
import { StoredSessions } from "./stored-sessions.ts";
import { passOn } from "./shared/orphans.ts";
import type { StoredSubscription } from "./subscription-index.ts";
import { WillRecords } from "./wills/will-records.ts";
import { type Will, Wills } from "./wills/wills.ts";

/** Where the sessions are, and whether what is acknowledged has to survive a power cut. */
export interface SessionStoreOptions {
  /** Id of the gateway. */
  readonly gateway: string;
  readonly location: string;
  readonly durability: "fsync" | "interval" | "os";
  readonly queues: QueueLimits;
  readonly retained: RetainedLimits;
  /** Called after each sync, with what the power can be cut after. */
  readonly synced?: (location: string) => Promise<void>;
}

interface Parts {
  readonly database: SessionDatabase;
  readonly ledger: ReleaseLedger;
  readonly logger: Logger;
  readonly failed: Promise<never>;
  readonly files: LogFiles;
  readonly sync: LogSync;
  readonly options: SessionStoreOptions;
}

const NOTHING_STORED = Promise.resolve(undefined);

/**
 * Sessions, offline queues, retained messages and wills in a LevelDB of their own. Three things differ from the library's store: the packet
 * ids of journaled QoS 2 messages live in the journal only, written together with the message; a session that ends with its connection has
 * nothing stored, so its acknowledgements need no look-up; and topics that no stored session subscribes to are remembered.
 */
export class SessionStore extends StoredSessions {
  /** Rejects when the disk refuses a write: nothing can be stored any more. */
  readonly failed: Promise<never>;
  readonly drops: BrokerDrops;
  readonly wills: Wills;
  readonly #database: SessionDatabase;
  readonly #logger: Logger;
  readonly #files: LogFiles;
  readonly #sync: LogSync;
  readonly #isSynced: boolean;
  readonly #unwanted = new TopicMemory<true>();
  readonly #shelves: ShelfParts;
  readonly #queues: SessionQueues;
  readonly #incoming: IncomingIds;
  /** Settle when nothing is left of the sessions of these clients. */
  readonly #clearing = new Map<string, Promise<void>>();
  /** Subscriptions that their clients may have and that are not stored yet. */
  readonly #granted = new WeakSet();
  #generation = 0;
  #broken = false;

  private constructor({ database, ledger, logger, failed, files, sync, options }: Parts) {
    const { gateway, durability, queues: limits, retained } = options;
    const drops = new BrokerDrops(logger);
    super(database, { queues: { gateway, limits }, retained, drops });
    this.drops = drops;
    this.#database = database;
    this.#incoming = new IncomingIds({
      ledger,
      logger,
      stored: {
        get: (client, packet) => super.incomingGetPacket(client, packet),
        put: (client, packet) => super.incomingStorePacket(client, packet),
        has: (client, packet) => this.hasIncoming(client, packet),
        delete: (client, packet) => this.#forgetIncoming(client, packet),
      },
    });
    this.#logger = logger;
    this.#files = files;
    this.#sync = sync;
    this.#isSynced = durability === "fsync";
    this.#shelves = { database, writes: this.writes, gateway, bounds: this.bounds };
    this.#queues = new SessionQueues(this.#shelves, this.shared);
    this.bounds.spare((client) => this.#queues.keepsUp(client));
    const records = { database, writes: this.writes, written: () => sync.written(), secure: () => this.secure() };
    this.wills = new Wills(new WillRecords(records), logger);
    this.failed = failed;
    this.failed.catch(() => (this.#broken = true));
  }

  /** @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL */
  static async open(options: SessionStoreOptions, ledger: ReleaseLedger, logger: Logger): Promise<SessionStore> {
    const { location, synced } = options;
    const { promise: failed, reject } = Promise.withResolvers<never>();
    failed.catch(() => undefined); // Whoever waits for it sees the rejection; it must not end the process before that.
    let failure: MillraceError | undefined;
    const database = await openSessionDatabase(location, (error) => reject((failure ??= error)));
    const files = new LogFiles(location);
    const sync = new LogSync(async () => {
      try {
        await files.sync();
        await synced?.(location);
      } catch (cause) {
        const error = describeFailure(location, cause);
        reject(error);
        throw error;
      }
      // What was written at the same time may lie behind what was cut off.
      if (failure !== undefined) throw failure;
    });
    return new SessionStore({ database, ledger, logger, failed, files, sync, options });
  }

  // The engine tells asynchronous stores from older ones by this method.
  override async setup(broker: Aedes): Promise<void> {
    await super.setup(broker);
    await this.wills.load();
    Reflect.set(broker, "counter", await this.#lastNumber());
  }

  /**
   * The highest number of a packet in any queue. The engine counts from zero with every start; queues are kept by these numbers, so a new
   * packet would come before older ones or in the place of one.
   */
  async #lastNumber(): Promise<number> {
    let last = 0;
    for (let from = "outgoing:"; ;) {
      const [first] = await this.#database.keys({ gte: from, lt: "outgoing;", limit: 1 }).all();
      if (first === undefined) return last;
      const queue = first.slice(0, first.indexOf(":", "outgoing:".length));
      const [newest = first] = await this.#database.keys({ gte: first, lt: `${queue};`, reverse: true, limit: 1 }).all();
      last = Math.max(last, Number(newest.slice(newest.lastIndexOf(":") + 1)));
      from = `${queue};`;
    }
  }

  async close(): Promise<void> {
    this.wills.close();
    this.drops.close();
    this.retained.close();
    await this.writes.flushed();
    await this.#sync.close();
    await this.#files.close();
    await this.#database.close();
  }

  /** Resolves when the copies that were stored so far are as safe as an acknowledged message has to be. */
  async secure(): Promise<void> {
    if (this.#isSynced) await this.#sync.now();
  }

  /** The same for what nobody waits for: `done` is called somewhat later, at once when there is nothing to secure. */
  secureLater(done: () => void): void {
    if (this.#isSynced) this.#sync.later(done);
    else if (!this.#broken) done();
  }

  /** Whether a write was refused: the protocol engine says of what it could not store that all is well. */
  get isBroken(): boolean {
    return this.#broken;
  }

  /** True when it is known that no stored session wants this topic. */
  hasNoOffline(topic: string): boolean {
    return this.#unwanted.get(topic) === true;
  }

  override async subscriptionsByTopic(topic: string): Promise<object[]> {
    return [...this.wanting(topic)];
  }

  protected override wanting(topic: string): readonly StoredSubscription[] {
    if (this.hasNoOffline(topic)) return [];
    const generation = this.#generation;
    const subscriptions = super.wanting(topic);
    // Not at once: whoever asked goes on after that, and must not be overtaken by a later packet that need not ask.
    if (subscriptions.length === 0 && !this.shared.keeps(topic)) setImmediate(() => this.#remember(topic, generation));
    return subscriptions;
  }

  #remember(topic: string, generation: number): void {
    if (generation === this.#generation) this.#unwanted.set(topic, true);
  }

  /** Stores the copies of messages for the sessions that want them. */
  async enqueue(packets: readonly StoredPacket[]): Promise<void> {
    const writes = packets.flatMap((packet) => this.copiesFor(this.wanting(packet.topic), packet));
    if (writes.length === 0) return;
    await this.writes.writeAll(writes);
    this.#sync.written();
  }

  override async outgoingEnqueueCombi(subscriptions: readonly object[], packet: object): Promise<void> {
    const writes = this.copiesFor(subscriptions as readonly StoredSubscription[], packet as StoredPacket);
    if (writes.length === 0) return;
    await this.writes.writeAll(writes);
    this.#sync.written();
  }

  /** What is kept, and what was not since the start. */
  get stats(): Omit<StoredStats, "sessionsAway"> {
    const { bounds, retained } = this;
    const { messages, bytes } = bounds.usage;
    const kept = { retainedMessages: retained.usage.messages, retainedBytes: retained.usage.bytes };
    return { queuedMessages: messages, queuedBytes: bytes, ...kept, drops: this.drops.all() };
  }

  override async storeRetained(packet: object): Promise<void> {
    await super.storeRetained(packet);
    this.#sync.written();
  }

  /** The queue that sends to a connected client; undefined when nothing is stored for it. */
  queueOf(client: object): SessionQueue | undefined {
    return this.#queues.of(client);
  }

  /** Called when CONNACK is sent. What the engine would read here and send, the queue does. */
  override outgoingStream(client: Client): Readable {
    if (!client.closed) this.#queues.begin(client);
    return Readable.from([]);
  }

  /** Called before PUBREL is sent; the queue sees to what else there is to be noted. */
  override async outgoingUpdate(client: Client, { cmd, messageId = 0 }: PacketReference): Promise<void> {
    if (cmd === "pubrel") await this.#queues.of(client)?.received(messageId);
  }

  override outgoingClearMessageId(client: Client, { messageId = 0 }: PacketReference): Promise<object | undefined> {
    const sender = client.clean ? forwarderOf(client) : this.#queues.of(client);
    sender?.acknowledged(messageId);
    return NOTHING_STORED;
  }

  /** Called for a client that begins anew, when its connection is not registered yet; and for a session that has ended. */
  override async cleanSubscriptions(client: Client): Promise<void> {
    await super.cleanSubscriptions(client);
    // Its subscriptions may have brought more since the session was cleared.
    if (!client.closed) await this.clear(client.id);
  }

  /** The client may have this subscription, so that it may be stored. */
  grant(subscription: object): void {
    this.#granted.add(subscription);
  }

  /**
   * Acknowledged when it is as safe as a message: what is published from then on is the session's. With each filter of a SUBSCRIBE that is granted the
   * engine gives all of them again, also those that are refused or have not been looked at. Only what was granted is stored, and once.
   */
  override async addSubscriptions(client: Client, subscriptions: readonly { readonly topic: string }[]): Promise<void> {
    this.#forget();
    const granted = subscriptions.filter((subscription) => this.#granted.delete(subscription));
    await super.addSubscriptions(client, granted);
    this.#sync.written();
    await this.secure();
    // The engine has not subscribed yet, so that nobody has looked at these when the rules changed.
    const permit = admittedOf(client)?.permit;
    const lost = granted.flatMap(({ topic }) => (permit?.maySubscribe(topic) === false ? [topic] : []));
    if (lost.length === 0) return;
    await this.removeSubscriptions(client, lost);
    throw new Error("the access rules have changed meanwhile");
  }

  /** The client may not have this subscription, though it may have had it before. */
  async refuse(client: Client, topic: string): Promise<void> {
    if (await this.isStored(client.id, topic)) await this.removeSubscriptions(client, [topic]);
  }

  override async removeSubscriptions(client: Client, topics: readonly string[]): Promise<void> {
    this.#forget();
    await super.removeSubscriptions(client, topics);
    this.#sync.written();
    await this.secure();
  }

  /** What was being looked up before is not remembered either. */
  #forget(): void {
    this.#generation++;
    this.#unwanted.clear();
  }

  /** The engine does not listen for its errors. */
  override createRetainedStreamCombi(patterns: readonly string[]): Readable {
    const stream = super.createRetainedStreamCombi(patterns);
    stream.once("error", (error) => this.#logger.error({ error: messageOf(error) }, "retained messages could not be read"));
    return stream;
  }

  override putWill(client: Client, will: Will): Promise<void> {
    return this.wills.hold(client, will);
  }

  override async delWill({ id }: { readonly id: string }): Promise<undefined> {
    this.wills.left(id);
  }

  /** The engine would publish those of other brokers, without a look at the rules. */
  override streamWill(): Readable {
    return Readable.from([]);
  }

  override incomingGetPacket(client: Client, packet: PacketReference): Promise<object> {
    return this.#incoming.get(client, packet);
  }

  override incomingStorePacket(client: Client, packet: PacketReference): Promise<void> {
    return this.#incoming.store(client, packet);
  }

  override incomingDelPacket(client: Client, packet: PacketReference): Promise<void> {
    return this.#incoming.release(client, packet);
  }

  async #forgetIncoming(client: Client, packet: PacketReference): Promise<void> {
    await super.incomingDelPacket(client, packet);
    this.#sync.written();
    await this.secure();
  }

  /**
   * Forgets the packet ids of QoS 2 messages that were only brokered, and what waits for a session that has ended. Once closing has begun both stay,
   * and go when the client begins its next session, or with the next start. One after the other for a client: what a group gives away it gives once.
   */
  async clear(client: string): Promise<void> {
    if (!this.hasLeft(client) && !this.#clearing.has(client)) return;
    const clearing = (this.#clearing.get(client) ?? Promise.resolve()).then(() => this.#clear(client));
    const settled = clearing.catch(() => undefined);
    this.#clearing.set(client, settled);
    try {
      await clearing;
    } finally {
      if (this.#clearing.get(client) === settled) this.#clearing.delete(client);
    }
  }

  async #clear(client: string): Promise<void> {
    try {
      await passOn(client, this.#shelves, this.shared);
      if (!(await this.clearSession(client))) return;
      this.#sync.written();
      await this.secure();
    } catch (error) {
      if (this.#database.status === "open") throw error;
    }
  }
}
