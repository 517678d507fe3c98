import type { Client } from "aedes";
import { Answers } from "./answers.ts";
import { Backlog } from "./backlog.ts";
import { asError } from "./copies.ts";
import type { Emission } from "./emitter.ts";
import { encodePublish, type Packet, sendPacket, sizeOf } from "./encode.ts";
import { type Grant, Grants, type Subscribed } from "./grants.ts";
import { type Outgoing, outgoingOf } from "./outgoing.ts";
import { Patience } from "./patience.ts";
import type { SharedPacket } from "./shared/groups.ts";
import { TopicAliases } from "./topic-aliases.ts";

type Done = () => void;

/** A message on its way to a client. */
export interface Forwarded {
  readonly cmd: string;
  readonly topic: string;
  readonly payload: unknown;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
  /** Given to it when it is written. */
  messageId?: number | undefined;
  readonly properties?: object | undefined;
  /** Who published it. */
  readonly clientId?: string;
  /** A kept message that is sent because of a new subscription has none. */
  readonly brokerId: string | null;
  readonly brokerCounter: number;
  /** When it need not be sent any more, in ms since 1970. */
  readonly messageExpiry?: number;
  /** The message that was chosen for the client as a member of a group. */
  readonly source?: SharedPacket;
}

/** What is used of the protocol engine's client beside its public members. */
interface ForwardingClient extends Client {
  deliverQoS(packet: Forwarded, done: Done): void;
  deliver0(packet: Forwarded, done: Done): void;
  readonly connackSent: boolean;
  waitForDrain(done: Done): void;
  readonly subscriptions: Readonly<Record<string, Subscribed>>;
  readonly errored: boolean;
  readonly _wireVersion: number | null;
  /** The next packet id; the engine takes its own from here too. */
  readonly _nextId: number;
}

/** The queue of a session that is stored. */
interface Queue {
  readonly isFree: boolean;
  knows(id: number): boolean;
  isOut(id: number): boolean;
  offer(packet: Forwarded): void;
  sendKept(packet: Forwarded, done: Done): void;
}

export interface ForwardParts {
  /** Undefined when nothing is stored for the client. */
  queueOf(client: object): Queue | undefined;
  /** What is being emitted, and how often subscriptions have changed. */
  readonly emitter: { readonly emission: Emission | undefined; readonly changes: number };
  /** Gives a message to another member of its group. */
  redeliver(packet: SharedPacket): void;
  /** Hears of messages that the client does not get because it takes nothing. */
  dropped(client: string, messages: number): void;
}

/** What is sent to a client. */
type Publish = Packet & { readonly topic: string };

/** What an alias for its topic adds to a packet, and to the length of its properties. */
const ALIAS_BYTES = 4;

/** Messages that a client may have without an acknowledgement; one of version 5 may want fewer (Receive Maximum, MQTT 5, 3.1.2.11.3). */
export const UNACKNOWLEDGED_MAX = 16_384;

/** A client that has as much as it may, and acknowledges nothing of it for so long, is cut off; as one whose socket takes nothing. */
const SILENT_MS_MAX = 60_000;

/** Messages of QoS 0 that wait for a client before a group looks for another. */
const WAITING_FOR_GROUP_MAX = 1_000;

const FORWARDER = Symbol("forwarder");

interface Forwarding {
  [FORWARDER]?: Forwarder;
}

/** What is sent to a client past every queue. */
export function forwarderOf(client: object): Forwarder | undefined {
  return (client as Forwarding)[FORWARDER];
}

/**
 * Writes what a client gets in one turn of the event loop in one go; the engine gives each packet two turns and a copy of its own. A client that
 * takes nothing more gets nothing more, whether its socket is full or it has not acknowledged what it has: what is for it waits here, as the
 * message that all of its subscribers share, and not as a copy for each of them in the memory of its socket. What is for a session that is stored goes
 * through its queue. Nothing is sent before the CONNACK [MQTT-3.2.0-1]: a session's subscriptions are there earlier.
 */
export function forwardTogether(connected: object, parts: ForwardParts): void {
  const client = connected as ForwardingClient;
  const outgoing = outgoingOf(client.conn);
  if (outgoing === undefined) return;
  const forwarder = new Forwarder(client, outgoing, parts);
  (client as Forwarding)[FORWARDER] = forwarder;
  client.deliverQoS = (packet, done) => forwarder.deliver(packet, done);
  client.deliver0 = (packet, done) => forwarder.deliver(packet, done);
}

export class Forwarder {
  readonly #client: ForwardingClient;
  readonly #outgoing: Outgoing;
  readonly #parts: ForwardParts;
  readonly grants: Grants;
  #emission: Emission | undefined;
  readonly #backlog = new Backlog<Forwarded>();
  /** Whether they are written in the next turn, or when the client takes more. */
  #isExpecting = false;
  #isWaiting = false;
  /** Packet ids that the client has not acknowledged. */
  readonly #sent = new Set<number>();
  /** Of those, messages of QoS 1 that another member of a group may get instead. */
  readonly #shared = new Map<number, SharedPacket>();
  readonly aliases = new TopicAliases();
  readonly answers = new Answers();
  readonly #patience = new Patience(() => this.#shed());
  /** Runs while it has as many as it may. */
  #silence: NodeJS.Timeout | undefined;

  constructor(client: ForwardingClient, outgoing: Outgoing, parts: ForwardParts) {
    this.#client = client;
    this.#outgoing = outgoing;
    this.#parts = parts;
    this.grants = new Grants(
      () => client.subscriptions,
      () => parts.emitter.changes,
    );
    // Whoever waits for what is left of it goes on.
    client.conn.once("close", () => {
      this.#run();
      for (const packet of this.#shared.values()) parts.redeliver(packet);
      this.#shared.clear();
    });
  }

  /** Whether the client is there to get messages of shared subscriptions. */
  get isReady(): boolean {
    return this.#client.connackSent && this.#isConnected;
  }

  /** Whether a message would be sent to it at once, or with few others. */
  hasRoom(qos: number): boolean {
    if (this.#outgoing.isFull) return false;
    if (qos === 0) return this.#backlog.length < WAITING_FOR_GROUP_MAX;
    const queue = this.#queue;
    return queue === undefined ? this.#sent.size + this.#backlog.length < this.#unacknowledgedMax : queue.isFree;
  }

  /**
   * Called for each subscription that matches; the first one of an emission stands for all. `done` is called when the packet is given to the
   * socket, when it waits among not too many others, or when the client does not get it.
   */
  deliver(packet: Forwarded, done: Done): void {
    if (packet.brokerId === null) return this.#kept(packet, done);
    const { emission } = this.#parts.emitter;
    const isFirst = emission !== this.#emission;
    this.#emission = emission;
    const message = emission?.packet as Forwarded | undefined;
    const grant = isFirst && message !== undefined ? this.#grantOf(message, emission?.shared) : undefined;
    if (message === undefined || grant === undefined) setImmediate(done);
    else this.#give(granted(message, grant, emission?.shared), done);
  }

  #grantOf({ topic, clientId }: Forwarded, group: string | undefined): Grant | undefined {
    return group === undefined ? this.grants.of(topic, clientId === this.#client.id) : this.grants.ofKey(group);
  }

  #give(packet: Forwarded, done: Done): void {
    const queue = packet.qos === 0 ? undefined : this.#queue;
    if (queue !== undefined) {
      queue.offer(packet);
      done();
    } else if (!this.#client.connackSent) setImmediate(done);
    else this.#forward(packet, done);
  }

  get #queue(): Queue | undefined {
    return this.#client.clean ? undefined : this.#parts.queueOf(this.#client);
  }

  /** One that was kept for later subscribers, with the properties that its subscription asks for already on it. */
  #kept(packet: Forwarded, done: Done): void {
    const { qos } = this.grants.of(packet.topic, false) ?? packet;
    const kept = { ...packet, qos: Math.min(packet.qos, qos) };
    const queue = kept.qos === 0 ? undefined : this.#queue;
    if (queue !== undefined) queue.sendKept(kept, done);
    else this.#forward(kept, done);
  }

  #forward(packet: Forwarded, done: Done): void {
    this.#backlog.push(packet, done);
    if (this.#isWaiting) setImmediate(() => this.#press());
    if (this.#isExpecting) return;
    this.#isExpecting = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#isExpecting = false;
    this.#isWaiting = false;
    clearTimeout(this.#silence);
    this.#silence = undefined;
    this.#patience.restore();
    this.#backlog.drain((packet) => {
      if (!this.#isConnected) {
        if (packet.source !== undefined) this.#parts.redeliver(packet.source);
        return true;
      }
      if (this.#isFull(packet)) return false;
      this.#write(packet);
      return true;
    });
    const next = this.#backlog.first;
    if (next !== undefined && !this.#isExpecting && this.#isConnected && this.#isFull(next)) this.#wait();
  }

  /** Lets some in who wait, and begins to lose patience with the client if that are not all. */
  #press(): void {
    this.#backlog.ease();
    if (!this.#isWaiting || !this.#backlog.isWaitedFor) return;
    if (this.#patience.isOver) this.#shed();
    else this.#patience.wait();
  }

  #shed(): void {
    const count = this.#backlog.shed(mayGo);
    if (count > 0) this.#parts.dropped(this.#client.id, count);
  }

  /** Messages that wait here. */
  get waiting(): number {
    return this.#backlog.length;
  }

  #isFull({ qos }: Forwarded): boolean {
    return this.#outgoing.isFull || (qos !== 0 && this.#hasAll);
  }

  /** Whether the client has as many messages without an acknowledgement as it may [MQTT-3.3.4-9]. */
  get #hasAll(): boolean {
    return this.#sent.size >= this.#unacknowledgedMax;
  }

  get #unacknowledgedMax(): number {
    return Math.min(this.#client.receiveMaximum, UNACKNOWLEDGED_MAX);
  }

  /** Whether the client was sent a message with this packet id, and has not acknowledged it. */
  knows(id: number): boolean {
    return this.#sent.has(id) || this.#queue?.knows(id) === true;
  }

  /** The same, on this connection. */
  isOut(id: number): boolean {
    return this.#sent.has(id) || this.#queue?.isOut(id) === true;
  }

  #wait(): void {
    this.#isExpecting = true;
    this.#isWaiting = true;
    if (this.#backlog.isWaitedFor) this.#patience.wait();
    if (this.#outgoing.isFull) this.#client.waitForDrain(() => this.#run());
    else this.#silence ??= setTimeout(() => this.#client.emit("error", new Error("it acknowledges nothing")), SILENT_MS_MAX).unref();
  }

  /** The client sent PUBACK or PUBCOMP, or refused a message with PUBREC. */
  acknowledged(id: number): void {
    if (this.#shared.size > 0) this.#shared.delete(id);
    if (!this.#sent.delete(id) || this.#silence === undefined) return;
    clearTimeout(this.#silence);
    this.#silence = undefined;
    this.#patience.restore();
    // With what else it acknowledges in this turn.
    setImmediate(() => this.#run());
  }

  get #isConnected(): boolean {
    const { connecting, connected, closed, errored, conn } = this.#client;
    return (connecting || connected) && !closed && !errored && !conn.destroyed;
  }

  #write(packet: Forwarded): void {
    const { messageExpiry, source } = packet;
    const left = messageExpiry === undefined ? 1 : Math.ceil((messageExpiry - Date.now()) / 1_000);
    if (left <= 0) return; // [MQTT-3.3.2-5]
    const id = packet.qos > 0 ? this.#takeId() : undefined;
    packet.messageId = id;
    const sent = messageExpiry === undefined ? packet : { ...packet, properties: { ...packet.properties, messageExpiryInterval: left } };
    try {
      if (!fits(sent, this.#client.maximumPacketSize, this.#version)) return;
      if (id !== undefined) this.#sent.add(id);
      if (id !== undefined && packet.qos === 1 && source !== undefined) this.#shared.set(id, source);
      this.send(sent);
    } catch (error) {
      this.#client.emit("error", asError(error));
    }
  }

  /** Writes a PUBLISH, with an alias for its topic if the client has allowed one. @throws when it cannot be encoded */
  send(packet: Publish): void {
    const { conn, maximumPacketSize } = this.#client;
    this.answers.sent(Number(packet.messageId), packet.qos);
    if (!this.aliases.areAllowed) return this.#encode(packet, packet.topic, 0);
    const mayGrow = (): boolean => maximumPacketSize === undefined || sizeOf(packet, 5) + ALIAS_BYTES <= maximumPacketSize;
    const { topic, alias } = this.aliases.of(packet.topic, mayGrow);
    if (packet.properties === undefined || alias === 0) return this.#encode(packet, topic, alias);
    sendPacket({ ...packet, topic, properties: { ...packet.properties, topicAlias: alias } }, conn, 5);
  }

  #encode(packet: Publish, topic: string, alias: number): void {
    const version = this.#version;
    if (encodePublish(packet, version, this.#outgoing, alias === 0 ? undefined : { topic, alias })) this.#outgoing.written();
    else sendPacket(alias === 0 ? packet : { ...packet, topic, properties: { topicAlias: alias } }, this.#client.conn, version);
  }

  get #version(): number {
    const { _wireVersion: version } = this.#client;
    return version ?? 4;
  }

  #takeId(): number {
    for (;;) {
      const id = takeId(this.#client);
      if (!this.#sent.has(id)) return id;
    }
  }
}

/** Functions wait with their publishes, which are in the journal; a member of a group is not asked to take more than it has room for. */
function mayGo({ clientId, source }: Forwarded): boolean {
  return clientId !== undefined && source === undefined;
}

function granted(message: Forwarded, { qos, retained, identifiers }: Grant, group: string | undefined): Forwarded {
  const { properties } = message;
  const given = {
    ...message,
    qos: Math.min(message.qos, qos),
    retain: message.retain && retained,
    properties: identifiers === undefined ? properties : { ...properties, subscriptionIdentifier: identifiers },
  };
  return group === undefined ? given : { ...given, source: message as SharedPacket };
}

/** A packet that is larger than its client accepts is not sent, as if it had been [MQTT-3.1.2-24], [MQTT-3.1.2-25]. */
export function fits(packet: Parameters<typeof sizeOf>[0], bytesMax: number | undefined, version: number): boolean {
  return bytesMax === undefined || sizeOf(packet, version) <= bytesMax;
}

/** The next packet id of a connection. */
export function takeId(client: { readonly _nextId: number }): number {
  const { _nextId: id } = client;
  Reflect.set(client, "_nextId", id >= 65_535 ? 1 : id + 1);
  return id;
}
