import type { Readable } from "node:stream";
import type { Aedes, Client } from "aedes";
import AsyncLevelPersistence from "aedes-persistence-level/asyncPersistence.js";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import { openSessionDatabase, type SessionDatabase } from "./session-database.ts";

interface PacketReference {
  readonly cmd?: string;
  readonly messageId?: number;
}

/** Packet ids of QoS 2 messages that are in the journal and not released yet. */
export interface ReleaseLedger {
  has(client: string, packetId: number): boolean;
  /** Durable when it resolves. */
  release(client: string, packetId: number): Promise<void>;
}

const UNWANTED_TOPICS_MAX = 10_000;

/** A PUBLISH that the journal recognized as one it already has carries this mark from the check to the protocol engine. */
export const DUPLICATE = Symbol("duplicate");

/**
 * Sessions, offline queues, retained messages and wills in a LevelDB of their own. Three things differ from the library's store: the packet
 * ids of journaled QoS 2 messages live in the journal, written together with the message; a session that ends with its connection has
 * nothing stored, so its acknowledgements need no look-up; and topics that no stored session subscribes to are remembered.
 */
export class SessionStore extends AsyncLevelPersistence {
  /** Rejects when the disk refuses a write: nothing can be stored any more. */
  readonly failed: Promise<never>;
  readonly #database: SessionDatabase;
  readonly #ledger: ReleaseLedger;
  readonly #logger: Logger;
  readonly #unwanted = new Set<string>();
  #generation = 0;
  #broken = false;

  private constructor(database: SessionDatabase, ledger: ReleaseLedger, rest: { logger: Logger; failed: Promise<never> }) {
    super(database);
    this.#database = database;
    this.#ledger = ledger;
    this.#logger = rest.logger;
    this.failed = rest.failed;
    this.failed.catch(() => (this.#broken = true));
  }

  /** @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL */
  static async open(location: string, ledger: ReleaseLedger, logger: Logger): Promise<SessionStore> {
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined); // Whoever waits for it sees the rejection; it must not end the process before that.
    return new SessionStore(await openSessionDatabase(location, reject), ledger, { logger, failed: promise });
  }

  // The engine tells asynchronous stores from older ones by this method.
  override async setup(broker: Aedes): Promise<void> {
    await super.setup(broker);
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

  close(): Promise<void> {
    return this.#database.close();
  }

  /** Whether a write was refused: the protocol engine says of what it could not store that all is well. */
  get isBroken(): boolean {
    return this.#broken;
  }

  /** True when it is known that no stored session wants this topic. */
  hasNoOffline(topic: string): boolean {
    return this.#unwanted.has(topic);
  }

  override async subscriptionsByTopic(topic: string): Promise<object[]> {
    if (this.#unwanted.has(topic)) return [];
    const generation = this.#generation;
    const subscriptions = await super.subscriptionsByTopic(topic);
    if (subscriptions.length === 0 && generation === this.#generation) {
      if (this.#unwanted.size >= UNWANTED_TOPICS_MAX) this.#unwanted.clear();
      this.#unwanted.add(topic);
    }
    return subscriptions;
  }

  override addSubscriptions(client: Client, subscriptions: readonly object[]): Promise<void> {
    this.#forget();
    return super.addSubscriptions(client, subscriptions);
  }

  override removeSubscriptions(client: Client, topics: readonly string[]): Promise<void> {
    this.#forget();
    return super.removeSubscriptions(client, topics);
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

  /** Nobody catches its rejection. */
  override async delWill(client: { readonly id: string }): Promise<object | undefined> {
    try {
      return await super.delWill(client);
    } catch (error) {
      const closing = this.#database.status !== "open";
      if (!closing) this.#logger.error({ client: client.id, error: messageOf(error) }, "a will could not be deleted");
      return undefined;
    }
  }

  override outgoingClearMessageId(client: Client, packet: PacketReference): Promise<object | undefined> {
    return client.clean ? Promise.resolve(undefined) : super.outgoingClearMessageId(client, packet);
  }

  override incomingGetPacket(client: Client, packet: PacketReference): Promise<object> {
    if (DUPLICATE in packet) return Promise.resolve(packet);
    if (packet.cmd === "pubrel" && this.#ledger.has(client.id, packet.messageId ?? 0)) return Promise.resolve(packet);
    return super.incomingGetPacket(client, packet);
  }

  override async incomingDelPacket(client: Client, packet: PacketReference): Promise<void> {
    try {
      await this.#ledger.release(client.id, packet.messageId ?? 0);
      await super.incomingDelPacket(client, packet);
    } catch (error) {
      // PUBCOMP must not go out for an id that is still taken; without a connection it cannot, and the client releases again.
      this.#logger.error({ client: client.id, error: messageOf(error) }, "a QoS 2 message could not be released");
      client.close();
    }
  }
}
