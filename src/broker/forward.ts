import type { Client } from "aedes";
import { Backlog } from "./backlog.ts";
import { asError } from "./copies.ts";
import type { Emission } from "./emitter.ts";
import { encodePublish, sendPacket, sizeOf } from "./encode.ts";
import { type Grant, Grants, type Subscribed } from "./grants.ts";
import { type Outgoing, outgoingOf } from "./outgoing.ts";

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
  offer(packet: Forwarded): void;
  sendKept(packet: Forwarded, done: Done): void;
}

export interface ForwardParts {
  /** Undefined when nothing is stored for the client. */
  queueOf(client: object): Queue | undefined;
  /** What is being emitted, and how often subscriptions have changed. */
  readonly emitter: { readonly emission: Emission | undefined; readonly changes: number };
}

/** Messages that a client may have without an acknowledgement; one of version 5 may want fewer (Receive Maximum, MQTT 5, 3.1.2.11.3). */
export const UNACKNOWLEDGED_MAX = 16_384;

/** A client that has as much as it may, and acknowledges nothing of it for so long, is cut off; as one whose socket takes nothing. */
const SILENT_MS_MAX = 60_000;

const FORWARDER = Symbol("forwarder");

/** What is sent to a client past every queue. */
export function forwarderOf(client: object): Forwarder | undefined {
  return Reflect.get(client, FORWARDER) as Forwarder | undefined;
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
  Object.defineProperty(client, FORWARDER, { value: forwarder });
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
    client.conn.once("close", () => this.#run());
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
    const grant = isFirst && message !== undefined ? this.grants.of(message.topic, message.clientId === this.#client.id) : undefined;
    if (message === undefined || grant === undefined) setImmediate(done);
    else this.#give(granted(message, grant), done);
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
    if (this.#isWaiting) setImmediate(() => this.#backlog.ease());
    if (this.#isExpecting) return;
    this.#isExpecting = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#isExpecting = false;
    this.#isWaiting = false;
    clearTimeout(this.#silence);
    this.#silence = undefined;
    this.#backlog.drain((packet) => {
      if (!this.#isConnected) return true;
      if (this.#isFull(packet)) return false;
      this.#write(packet);
      return true;
    });
    const next = this.#backlog.first;
    if (next !== undefined && !this.#isExpecting && this.#isConnected && this.#isFull(next)) this.#wait();
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
    return this.#sent.size >= Math.min(this.#client.receiveMaximum, UNACKNOWLEDGED_MAX);
  }

  #wait(): void {
    this.#isExpecting = true;
    this.#isWaiting = true;
    if (this.#outgoing.isFull) this.#client.waitForDrain(() => this.#run());
    else this.#silence ??= setTimeout(() => this.#client.emit("error", new Error("it acknowledges nothing")), SILENT_MS_MAX).unref();
  }

  /** The client sent PUBACK or PUBCOMP, or refused a message with PUBREC. */
  acknowledged(id: number): void {
    if (!this.#sent.delete(id) || this.#silence === undefined) return;
    this.#run();
  }

  get #isConnected(): boolean {
    const { connecting, connected, closed, errored, conn } = this.#client;
    return (connecting || connected) && !closed && !errored && !conn.destroyed;
  }

  #write(packet: Forwarded): void {
    const client = this.#client;
    const { _wireVersion } = client;
    const version = _wireVersion ?? 4;
    if (packet.qos > 0) packet.messageId = this.#takeId();
    try {
      if (!fits(packet, client.maximumPacketSize, version)) return;
      if (packet.messageId !== undefined) this.#sent.add(packet.messageId);
      if (encodePublish(packet, version, this.#outgoing)) this.#outgoing.written();
      else sendPacket(packet, client.conn, version);
    } catch (error) {
      client.emit("error", asError(error));
    }
  }

  #takeId(): number {
    for (;;) {
      const id = takeId(this.#client);
      if (!this.#sent.has(id)) return id;
    }
  }
}

function granted(message: Forwarded, { qos, retained, identifiers }: Grant): Forwarded {
  const { properties } = message;
  return {
    ...message,
    qos: Math.min(message.qos, qos),
    retain: message.retain && retained,
    properties: identifiers === undefined ? properties : { ...properties, subscriptionIdentifier: identifiers },
  };
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
