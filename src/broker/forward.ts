import type { Client } from "aedes";
import { encodePublish, fitsShort } from "./encode.ts";
import { type Outgoing, outgoingOf } from "./outgoing.ts";

type Done = () => void;

/** A packet for one subscription; made for it, so that it may be changed. */
interface Forwarded {
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
 * Writes what a client gets in one turn of the event loop in one go. The engine gives each packet two turns and a copy of its own. Packets with
 * properties, long ones and those of QoS 0 go the engine's way. What is for a session that is stored goes through its queue. Nothing is sent before
 * the CONNACK [MQTT-3.2.0-1]: a session's subscriptions are there earlier.
 */
export function forwardTogether(connected: object, queueOf: (client: object) => Queue | undefined): void {
  const client = connected as ForwardingClient;
  const outgoing = outgoingOf(client.conn);
  if (outgoing === undefined) return;
  const forwarder = new Forwarder(client, outgoing, queueOf);
  const deliver0 = client.deliver0.bind(client);
  client.deliverQoS = (packet, done) => forwarder.deliver(packet, done);
  client.deliver0 = (packet, done) => (client.connackSent ? deliver0(packet, done) : void setImmediate(done));
}

class Forwarder {
  readonly #client: ForwardingClient;
  readonly #outgoing: Outgoing;
  readonly #engine: ForwardingClient["deliverQoS"];
  readonly #queueOf: (client: object) => Queue | undefined;
  /** What the next turn writes. */
  #batch: { readonly packet: Forwarded; readonly done: Done }[] | undefined;

  constructor(client: ForwardingClient, outgoing: Outgoing, queueOf: (client: object) => Queue | undefined) {
    this.#client = client;
    this.#outgoing = outgoing;
    this.#queueOf = queueOf;
    this.#engine = client.deliverQoS.bind(client);
  }

  /** `done` is called when the packet is given to the socket, or when the client does not get it. */
  deliver(packet: Forwarded, done: Done): void {
    const client = this.#client;
    const queue = packet.qos === 0 || client.clean ? undefined : this.#queueOf(client);
    if (queue !== undefined) {
      this.#queue(queue, packet, done);
    } else if (packet.qos === 0 || packet.properties !== undefined || !fitsShort(packet)) {
      this.#batch = undefined; // What comes after this packet is written after it.
      this.#engine(packet, done);
    } else if ((packet.nl === true && packet.clientId === client.id) || !isFirst(client, packet)) {
      setImmediate(done);
    } else {
      this.#next().push({ packet, done });
    }
  }

  #queue(queue: Queue, packet: Forwarded, done: Done): void {
    const client = this.#client;
    if (packet.brokerId === null) return queue.sendKept(packet, done);
    if ((packet.nl !== true || packet.clientId !== client.id) && isFirst(client, packet)) queue.offer(packet);
    done();
  }

  #next(): { readonly packet: Forwarded; readonly done: Done }[] {
    if (this.#batch !== undefined) return this.#batch;
    const batch: { readonly packet: Forwarded; readonly done: Done }[] = [];
    this.#batch = batch;
    setImmediate(() => {
      if (this.#batch === batch) this.#batch = undefined;
      const waiting = batch.filter(({ packet, done }) => this.#write(packet, done));
      for (const { done } of waiting) done();
    });
    return batch;
  }

  /** False when `done` follows later, because the socket takes nothing more for now. */
  #write(packet: Forwarded, done: Done): boolean {
    const client = this.#client;
    if (!client.connecting && !client.connected) return true;
    // As the engine has it: only a subscription to this very topic is looked at again.
    packet.qos = Math.min(packet.qos, client.subscriptions[packet.topic]?.qos ?? packet.qos);
    packet.messageId ||= takeId(client);
    const { _wireVersion: version } = client;
    encodePublish(packet, version ?? 4, this.#outgoing);
    if (this.#outgoing.written() || client.errored) return true;
    client.waitForDrain(() => done());
    return false;
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
