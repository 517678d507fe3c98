import type { Client } from "aedes";
import { asError } from "./copies.ts";
import { encodePublish, sendPacket } from "./encode.ts";
import { type Outgoing, outgoingOf } from "./outgoing.ts";

type Done = () => void;

/** A packet for one subscription; made for it, so that it may be changed. */
interface Forwarded {
  readonly cmd: string;
  readonly topic: string;
  readonly payload: unknown;
  qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
  messageId?: number | undefined;
  readonly properties?: unknown;
  /** Who published it, and whether the subscription leaves out what its own client published (MQTT 5, 3.8.3.1). */
  readonly clientId?: string;
  readonly nl?: boolean;
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
  readonly subscriptions: Readonly<Record<string, { readonly qos?: number }>>;
  readonly duplicates: Record<string, number>;
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

/**
 * Writes what a client gets in one turn of the event loop in one go; the engine gives each packet two turns and a copy of its own. A client whose socket
 * takes nothing more gets nothing more: what is for it waits here, as the message that all of its subscribers share, and not as a copy for each of them
 * in the memory of its socket. What is for a session that is stored goes through its queue. Nothing is sent before the CONNACK [MQTT-3.2.0-1]:
 * a session's subscriptions are there earlier.
 */
export function forwardTogether(connected: object, queueOf: (client: object) => Queue | undefined): void {
  const client = connected as ForwardingClient;
  const outgoing = outgoingOf(client.conn);
  if (outgoing === undefined) return;
  const forwarder = new Forwarder(client, outgoing, queueOf);
  client.deliverQoS = (packet, done) => forwarder.deliver(packet, done);
  client.deliver0 = (packet, done) => (client.connackSent ? forwarder.forward(packet, 0, done) : void setImmediate(done));
}

/** A packet that the next turn writes. */
interface Entry {
  readonly packet: Forwarded;
  /** At most. */
  readonly qos: number;
  readonly done: Done;
}

class Forwarder {
  readonly #client: ForwardingClient;
  readonly #outgoing: Outgoing;
  readonly #queueOf: (client: object) => Queue | undefined;
  #entries: Entry[] = [];
  /** Whether they are written in the next turn, or when the socket has room. */
  #isExpecting = false;

  constructor(client: ForwardingClient, outgoing: Outgoing, queueOf: (client: object) => Queue | undefined) {
    this.#client = client;
    this.#outgoing = outgoing;
    this.#queueOf = queueOf;
  }

  /** `done` is called when the packet is given to the socket, or when the client does not get it. */
  deliver(packet: Forwarded, done: Done): void {
    const client = this.#client;
    const queue = packet.qos === 0 || client.clean ? undefined : this.#queueOf(client);
    if (queue === undefined) this.forward(packet, packet.qos, done);
    else this.#queue(queue, packet, done);
  }

  forward(packet: Forwarded, qos: number, done: Done): void {
    if (!this.#wants(packet)) {
      setImmediate(done);
      return;
    }
    this.#entries.push({ packet, qos, done });
    if (this.#isExpecting) return;
    this.#isExpecting = true;
    setImmediate(() => this.#run());
  }

  #queue(queue: Queue, packet: Forwarded, done: Done): void {
    if (packet.brokerId === null) return queue.sendKept(packet, done);
    if (this.#wants(packet)) queue.offer(packet);
    done();
  }

  /** To be asked once, within the emission of the packet. */
  #wants(packet: Forwarded): boolean {
    const client = this.#client;
    return (packet.nl !== true || packet.clientId !== client.id) && isFirst(client, packet);
  }

  #run(): void {
    const entries = this.#entries;
    let count = 0;
    while (count < entries.length && !(this.#isConnected && this.#outgoing.isFull)) {
      const entry = entries[count++];
      if (entry !== undefined && this.#isConnected) this.#write(entry);
    }
    this.#entries = entries.slice(count);
    this.#isExpecting = this.#entries.length > 0;
    if (this.#isExpecting) this.#client.waitForDrain(() => this.#run());
    // What they are done for may bring more for this client.
    for (let at = 0; at < count; at++) entries[at]?.done();
  }

  get #isConnected(): boolean {
    const { connecting, connected, closed, errored } = this.#client;
    return (connecting || connected) && !closed && !errored;
  }

  #write({ packet, qos }: Entry): void {
    const client = this.#client;
    // As the engine has it: only a subscription to this very topic is looked at again.
    packet.qos = qos === 0 ? 0 : Math.min(qos, client.subscriptions[packet.topic]?.qos ?? qos);
    if (packet.qos > 0) packet.messageId ||= takeId(client);
    const { _wireVersion: version } = client;
    if (encodePublish(packet, version ?? 4, this.#outgoing)) {
      this.#outgoing.written();
      return;
    }
    try {
      sendPacket(packet, client.conn, version ?? 4);
    } catch (error) {
      client.emit("error", asError(error));
    }
  }
}

/** A client with several subscriptions that match gets a packet once. */
function isFirst({ duplicates }: ForwardingClient, { brokerId, brokerCounter }: Forwarded): boolean {
  if (brokerId === null) return true;
  if ((duplicates[brokerId] ?? 0) >= brokerCounter) return false;
  duplicates[brokerId] = brokerCounter;
  return true;
}

/** The next packet id of a connection. */
export function takeId(client: { readonly _nextId: number }): number {
  const { _nextId: id } = client;
  Reflect.set(client, "_nextId", id >= 65_535 ? 1 : id + 1);
  return id;
}
