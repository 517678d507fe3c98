import { Aedes, type AedesOptions, type Client, type PublishPacket } from "aedes";
import { type StoredPacket, storedOf } from "./copies.ts";
import type { TopicEmitter } from "./emitter.ts";
import { asSentInJson, isSharedKey } from "./filters.ts";
import { forwarderOf } from "./forward.ts";
import { DUPLICATE, originOf } from "./packet.ts";
import { keepRegistrations } from "./registrations.ts";
import type { Member } from "./shared/group.ts";
import { NEVER_SECONDS } from "./session-ends.ts";
import type { SessionStore } from "./session-store.ts";
import type { Wills } from "./wills/wills.ts";

type Done = (error?: Error) => void;

function nothing(): void {}

/**
 * The protocol engine, with short ways for messages that nobody wants, because most of what sensors send is for functions, and for those that
 * only connected clients want.
 */
export class Engine extends Aedes {
  readonly #emitter: TopicEmitter;
  readonly #store: SessionStore;

  constructor(options: AedesOptions, parts: { emitter: TopicEmitter; store: SessionStore }) {
    super({ ...options, mq: parts.emitter, persistence: parts.store });
    this.#emitter = parts.emitter;
    this.#store = parts.store;
    // Names in these come from clients: one without a prototype has no members that nobody put there.
    for (const name of ["clients", "brokers"]) Reflect.set(this, name, Object.create(null));
    const { handle } = this;
    this.handle = (...args) => {
      const client = handle(...args);
      Reflect.set(client, "subscriptions", Object.create(null));
      client.conn.once("close", () => parts.store.shared.forget(client));
      return client;
    };
    this.#handWills(parts.store.wills);
    this.#endEarlierVersions();
    this.#askForGroups();
    keepRegistrations(this, (client) => parts.store.shared.forget(client));
    parts.store.shared.connect({
      number: () => this.#nextNumber(),
      keep: (choice, others) => parts.store.keep(choice, others),
      write: (writes) => parts.store.writes.writeAll(writes),
      hand: (choice) => parts.emitter.hand(choice),
    });
  }

  /**
   * Whoever sets the hook is asked for a shared subscription by its key, as the store is told of it. The client joins the group when it may, before
   * the engine subscribes.
   */
  #askForGroups(): void {
    let hook = this.authorizeSubscribe;
    const asking: typeof hook = (client, subscription, callback) => {
      const key = subscription.topic;
      if (!isSharedKey(key)) return hook(client, subscription, callback);
      hook(client, subscription, (error, granted) => {
        const forwarder = client === null ? undefined : forwarderOf(client);
        if (granted && forwarder !== undefined) this.#store.shared.join(key, { client: client as unknown as Member["client"], forwarder });
        callback(error, granted);
      });
    };
    const set = (next: typeof hook): void => {
      hook = next;
    };
    Object.defineProperty(this, "authorizeSubscribe", { get: () => asking, set });
  }

  /** Ends the session of a client that is away as if its time were over. */
  endSession(id: string): void {
    this.#call("clearSessionExpiry", id);
    const client = goneClient(id, 0);
    this.#call("_wipeSession", client);
    this.emit("sessionExpired", client);
  }

  /** The same in so many seconds, if the client is not back by then. */
  endLater(id: string, seconds: number): void {
    this.#call("scheduleSessionExpiry", goneClient(id, seconds));
  }

  /** Before version 5 the engine lets a session end with its connection or never. */
  #endEarlierVersions(): void {
    const schedule = Reflect.get(this, "scheduleSessionExpiry") as (client: object) => void;
    Reflect.set(this, "scheduleSessionExpiry", (client: Client) => {
      const seconds: number = Reflect.get(client, "sessionExpiryInterval");
      const ends = client.version !== 5 && seconds > 0 && seconds < NEVER_SECONDS;
      schedule.call(this, ends ? goneClient(client.id, seconds) : client);
    });
  }

  #call(name: string, ...args: readonly unknown[]): void {
    Reflect.apply(Reflect.get(this, name) as (...args: readonly unknown[]) => void, this, args);
  }

  /** The engine knows wills only while their clients are connected, and its timers end with the process. */
  #handWills(wills: Wills): void {
    const takingOver = Reflect.get(this, "_takingOver") as ReadonlySet<string>;
    Reflect.set(this, "publishWill", (_client: Client, will: object) => wills.lost(will, 0));
    Reflect.set(this, "scheduleWill", ({ id }: Client, will: object, seconds: number) =>
      takingOver.has(id) ? wills.superseded(will) : wills.lost(will, seconds),
    );
    Reflect.set(this, "clearDelayedWill", (id: string) => wills.resumed(id));
    this.on("sessionExpired", ({ id }) => wills.sessionEnded(id));
  }

  /** The next place in the queues. */
  #nextNumber(): number {
    const counting = this as unknown as { counter: number };
    return ++counting.counter;
  }

  /** A packet as the engine would make it of one that a client sent. */
  number(packet: PublishPacket): StoredPacket {
    const { topic, payload, qos, retain, properties } = packet;
    const clientId = originOf(packet);
    const expirySeconds = properties?.messageExpiryInterval ?? 0;
    return {
      cmd: "publish",
      brokerId: this.id,
      brokerCounter: this.#nextNumber(),
      topic,
      payload,
      qos,
      retain,
      dup: false,
      ...(clientId === undefined ? {} : { clientId }),
      ...(properties === undefined ? {} : { properties }),
      ...(expirySeconds > 0 ? { messageExpiry: Date.now() + expirySeconds * 1_000 } : {}),
    };
  }

  override publish(packet: PublishPacket, client: Client | Done | null, done?: Done): void {
    const callback = (typeof client === "function" ? client : done) ?? nothing;
    const from = typeof client === "function" ? null : client;
    // What the engine tells operators of subscriptions.
    if (from === null && packet.topic.startsWith("$SYS/")) packet.payload = asSentInJson(packet.payload);
    // A QoS 1 packet that was sent again is acknowledged again and has been published.
    if (DUPLICATE in packet) return callback();
    const stored = storedOf(packet);
    if (stored !== undefined) {
      if (from !== null) stored.clientId = from.id;
      this.#emitter.emit(stored, callback);
      return;
    }
    const passing = !packet.retain && this.#store.hasNoOffline(packet.topic);
    if (passing && !this.#emitter.wants(packet.topic)) callback();
    else if (passing && packet.properties === undefined) this.#emit(packet, from, callback);
    else this.#through(packet, from, callback);
  }

  /**
   * Hands a packet to those who are connected. The engine's own way does this too, behind four steps that concern retained packets, sessions
   * that are not connected, how long a packet may wait for them, and hooks that nobody uses. DUP speaks of the way in [MQTT-3.3.1-3].
   */
  #emit({ topic, payload, qos }: PublishPacket, from: Client | null, done: Done): void {
    const own = from === null ? undefined : { clientId: from.id };
    const place = { brokerId: this.id, brokerCounter: this.#nextNumber() };
    const sent = { cmd: "publish", topic, payload, qos, retain: false, dup: false, ...place, ...own };
    this.#emitter.emit(sent, done);
  }

  /** The engine takes the client as a second argument; its types do not say so. */
  #through(packet: PublishPacket, client: Client | null, done: Done): void {
    const publish = Reflect.get(Aedes.prototype, "publish") as unknown as EnginePublish;
    publish.call(this, packet, client, done);
  }
}

/** What the engine uses of a client that is gone. What waits in its queue goes when the session is said to have expired. */
function goneClient(id: string, seconds: number): Client {
  const gone = { id, version: 5, clean: false, sessionExpiryInterval: seconds, emptyOutgoingQueue: (done: () => void) => done() };
  return gone as unknown as Client;
}

type EnginePublish = (this: Aedes, packet: PublishPacket, client: Client | null, done: Done) => void;
