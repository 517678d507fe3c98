import type { Client } from "aedes";
import { admittedOf } from "./access/admitted.ts";
import { asError } from "./copies.ts";
import { fitsShort, type Packet, sendPacket } from "./encode.ts";
import { fits, forwarderOf, takeId, UNACKNOWLEDGED_MAX } from "./forward.ts";
import type { Grant } from "./grants.ts";
import type { Outgoing } from "./outgoing.ts";
import type { QueuedPacket, SentIds, SessionShelf } from "./session-shelf.ts";
import type { SharedGroups } from "./shared/groups.ts";
import { orphanOf } from "./shared/orphans.ts";

/** A message for a session, from a subscription of its client. */
export interface Offered {
  readonly topic: string;
  readonly payload: unknown;
  readonly qos: number;
  readonly retain: boolean;
  readonly properties?: unknown;
  /** Its place in the queue; a kept message that is sent because of a new subscription has none. */
  readonly brokerId: string | null;
  readonly brokerCounter: number;
}

/** What is used of the protocol engine's client beside its public members. */
export interface QueueClient extends Client {
  readonly _wireVersion: number | null;
  /** The next packet id; the engine takes its own from here too. */
  readonly _nextId: number;
  waitForDrain(done: () => void): void;
}

interface Parts {
  readonly client: QueueClient;
  readonly outgoing: Outgoing;
  readonly shelf: SessionShelf;
  readonly groups: Pick<SharedGroups, "move">;
}

/** How many are read at once. */
const READ_MAX = 256;

/** Short messages that wait in memory while the end of the queue is being read; others are read again. */
const HELD_MAX = 256;

/**
 * Sends a connected client what is in the queue of its session. Everything with a place there is written before it is offered here, so what comes
 * while older messages are still being read, while the socket is full, or while the client has as much as it may without an acknowledgement is
 * not kept in memory: it is read later, in its order (MQTT 5, 4.6). A client that keeps up gets messages as they are offered.
 */
export class SessionQueue {
  readonly #client: QueueClient;
  readonly #outgoing: Outgoing;
  readonly #shelf: SessionShelf;
  readonly #groups: Parts["groups"];
  readonly #unacknowledgedMax: number;
  /** Packet ids that are taken, and the number of what they stand for; below zero it is not in the queue. */
  readonly #ids = new Map<number, number>();
  /** What the client has and did not acknowledge yet. */
  readonly #sent = new Set<number>();
  /** What was acknowledged since the last read began, which may have seen it still. */
  readonly #settled = new Set<number>();
  /** Packet ids from an earlier connection, by number, until they are sent again. */
  #earlier: SentIds = new Map();
  #state: "new" | "reading" | "live" | "ended" = "new";
  /** The key at which the next read begins. */
  #from: string;
  /** What has to wait until everything up to the end of the queue is sent. */
  #held: Offered[] = [];
  /** The lowest number that has to be read again. */
  #missed: number | undefined;
  /** The highest number that was read: one that is offered and not above it may have been sent already. */
  #readTo = 0;
  #isReading = false;
  #kept = 0;
  #waiting: (() => void)[] = [];

  constructor({ client, outgoing, shelf, groups }: Parts) {
    this.#client = client;
    this.#outgoing = outgoing;
    this.#shelf = shelf;
    this.#groups = groups;
    this.#unacknowledgedMax = Math.min(client.receiveMaximum, UNACKNOWLEDGED_MAX);
    this.#from = shelf.first;
  }

  /** To be called when the CONNACK is sent, which has to be the first packet [MQTT-3.2.0-1]. */
  begin(): void {
    if (this.#state !== "new") return;
    this.#state = "reading";
    void this.#guarded(async () => {
      this.#earlier = await this.#shelf.sentIds();
      for (const [number, id] of this.#earlier) this.#ids.set(id, number);
      await this.#read();
      // Of a connection that ended meanwhile the rest of the queue was not read, and may be what these stand for.
      if (!this.#isOver) this.#forgetUnused();
    });
  }

  /** The connection is over, or another one has taken the session. */
  end(): void {
    this.#state = "ended";
    this.#held = [];
    this.#wake();
  }

  /** Sends the message, or sees to it that it is read later. */
  offer(packet: Offered): void {
    const { brokerCounter: number } = packet;
    // It was the oldest of too many.
    if (this.#shelf.isGone(number)) return;
    if (this.#state === "live") {
      if (number > this.#readTo && this.#hasRoom) return this.#send(packet, number);
      if (this.#isSent(number)) return;
      this.#from = this.#shelf.keyOf(number);
      this.#state = "reading";
      void this.#guarded(() => this.#read());
    } else if (this.#state === "reading") {
      if (number > this.#readTo && this.#missed === undefined && this.#mayHold && fitsShort(packet)) this.#held.push(packet);
      else this.#miss(number);
    }
  }

  /** A kept message that a subscription asked for; `done` is called when the next one may come. */
  sendKept(packet: Offered, done: () => void): void {
    this.#kept++;
    if (!this.#isOver) this.#send(packet, -this.#kept);
    if (this.#hasRoom) done();
    else void this.#room().then(done);
  }

  /** The client sent PUBACK or PUBCOMP. */
  acknowledged(id: number): void {
    const number = this.#ids.get(id);
    if (number === undefined) return;
    this.#ids.delete(id);
    this.#sent.delete(number);
    if (number > 0) {
      if (this.#state === "reading") this.#settled.add(number);
      this.#shelf.forget(number, id);
    }
    if (this.#waiting.length > 0) this.#wake();
  }

  /** The client sent PUBREC. Resolves when that is noted, and PUBREL may be sent. */
  async received(id: number): Promise<void> {
    const number = this.#ids.get(id);
    if (number !== undefined && number > 0) await this.#shelf.received(number, id);
  }

  get #isOver(): boolean {
    return this.#state === "ended" || this.#client.closed;
  }

  get #hasRoom(): boolean {
    return this.#sent.size < this.#unacknowledgedMax && !this.#outgoing.isFull;
  }

  /** Whether a message would be sent at once. */
  get isFree(): boolean {
    return this.#state === "live" && this.#hasRoom;
  }

  /** Whether a message with this packet id was sent and not acknowledged. */
  knows(id: number): boolean {
    return this.#ids.has(id);
  }

  /** The same, on this connection. */
  isOut(id: number): boolean {
    const number = this.#ids.get(id);
    return number !== undefined && this.#sent.has(number);
  }

  get #mayHold(): boolean {
    return this.#isReading && this.#held.length < HELD_MAX;
  }

  #isSent(number: number): boolean {
    return this.#sent.has(number) || this.#settled.has(number);
  }

  #miss(number: number): void {
    if (this.#missed === undefined || number < this.#missed) this.#missed = number;
  }

  async #guarded(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      if (!this.#isOver) this.#client.emit("error", asError(error));
    }
  }

  /** Ends when everything is sent, and the next message that is offered may be sent at once. */
  async #read(): Promise<void> {
    for (;;) {
      this.#isReading = false;
      await this.#room();
      if (this.#isOver) return;
      this.#goBack();
      this.#isReading = true;
      this.#settled.clear();
      const { packets, isLast } = await this.#shelf.read(this.#from, READ_MAX);
      for (const packet of packets) {
        if (!this.#hasRoom) await this.#room();
        if (this.#isOver) return;
        if (packet.cmd === "publish" && this.#isDenied(packet)) await this.#giveAway(packet);
        else this.#resume(packet);
        this.#from = packet.next;
      }
      if (isLast && (await this.#sendHeld())) return;
    }
  }

  /** Begins again with the first message that was not sent when it was offered. */
  #goBack(): void {
    for (const { brokerCounter } of this.#held) this.#miss(brokerCounter);
    this.#held = [];
    if (this.#missed !== undefined) {
      const missed = this.#shelf.keyOf(this.#missed);
      if (missed < this.#from) this.#from = missed;
    }
    this.#missed = undefined;
  }

  /** What was offered since the last read began, if that reached the end of the queue. False when some of it has to be read. */
  async #sendHeld(): Promise<boolean> {
    const held = this.#held;
    for (let at = 0; at < held.length; at++) {
      if (!this.#hasRoom) await this.#room();
      const packet = held[at];
      if (this.#isOver || packet === undefined) return true;
      const { brokerCounter: number } = packet;
      if (this.#shelf.isGone(number)) continue;
      if (number > this.#readTo) {
        this.#send(packet, number);
      } else if (!this.#isSent(number)) {
        // Sent and acknowledged before, or written after a later one was read. What follows must not overtake it.
        this.#held = held.slice(at);
        return false;
      }
    }
    this.#held = [];
    if (this.#missed !== undefined) return false;
    this.#state = "live";
    return true;
  }

  /** Sends what is in the queue, with its packet id if it was sent before [MQTT-4.4.0-1]. */
  #resume(packet: QueuedPacket): void {
    const { number } = packet;
    this.#readTo = Math.max(this.#readTo, number);
    if (this.#isSent(number) || this.#shelf.isGone(number)) return;
    const known = this.#earlier.get(number) ?? packet.messageId;
    this.#earlier.delete(number);
    if (packet.cmd === "pubrel") {
      if (known === undefined) return this.#shelf.forget(number, undefined);
      this.#ids.set(known, number);
      this.#sent.add(number);
      forwarderOf(this.#client)?.answers.released(known);
      this.#write({ cmd: "pubrel", messageId: known, reasonCode: 0 });
      return;
    }
    if (packet.messageExpiry !== undefined && packet.messageExpiry <= Date.now()) {
      if (known !== undefined) this.#ids.delete(known);
      return this.#shelf.forget(number, known);
    }
    const grants = forwarderOf(this.#client)?.grants;
    const grant = packet.shared === undefined ? grants?.of(packet.topic, false) : grants?.ofKey(packet.shared);
    // Its subscription may be gone, or one of QoS 0 by now, which is not what the message is in the queue for.
    const qos = Math.min(packet.qos, grant?.qos || packet.qos);
    const retain = packet.retain && grant?.retained === true;
    this.#send({ ...packet, qos, retain, properties: propertiesOf(packet, grant?.identifiers) }, number, known);
  }

  /** It may wait since before the rules were changed, or for somebody else with the same client id. */
  #isDenied({ topic }: { readonly topic: string }): boolean {
    return admittedOf(this.#client)?.permit.mayReceive(topic) === false;
  }

  /** To another member of its group, if it is from one. */
  async #giveAway(packet: QueuedPacket): Promise<void> {
    const { number } = packet;
    const known = this.#earlier.get(number) ?? packet.messageId;
    this.#readTo = Math.max(this.#readTo, number);
    const orphan = orphanOf(packet, known !== undefined);
    this.#earlier.delete(number);
    if (known !== undefined) this.#ids.delete(known);
    if (orphan === undefined) this.#shelf.forget(number, known);
    else await this.#groups.move(orphan, { client: this.#client.id, removal: this.#shelf.removal(number, known) });
  }

  /** Packet ids of what is not in the queue any more. */
  #forgetUnused(): void {
    for (const [number, id] of this.#earlier) {
      if (this.#ids.get(id) === number) this.#ids.delete(id);
      this.#shelf.forgetId(id);
    }
    this.#earlier.clear();
  }

  #send({ topic, payload, qos, retain, properties }: Omit<Offered, "brokerId" | "brokerCounter">, number: number, known?: number): void {
    const client = this.#client;
    const messageId = known ?? this.#takeId();
    this.#ids.set(messageId, number);
    this.#sent.add(number);
    const packet = { cmd: "publish", topic, payload, qos, retain, dup: known !== undefined, messageId, properties };
    const { _wireVersion: version } = client;
    if (!fits(packet, client.maximumPacketSize, version ?? 4)) return this.acknowledged(messageId);
    const noted = known === undefined && number > 0 ? this.#shelf.sent(number, messageId) : undefined;
    // It is the packet id that keeps a message of QoS 2 from counting twice, also after a crash.
    if (qos < 2 || noted === undefined) this.#write(packet);
    else
      noted.then(
        () => this.#write(packet),
        () => undefined,
      );
  }

  #write(packet: Packet): void {
    const client = this.#client;
    if (this.#isOver) return;
    const { _wireVersion: version } = client;
    const { cmd, topic } = packet;
    try {
      if (cmd === "publish" && typeof topic === "string") forwarderOf(client)?.send({ ...packet, topic });
      else sendPacket(packet, client.conn, version ?? 4);
    } catch (error) {
      client.emit("error", asError(error));
    }
  }

  #takeId(): number {
    for (;;) {
      const id = takeId(this.#client);
      if (!this.#ids.has(id)) return id;
    }
  }

  /** Resolves when the client may get another message, or never will. A client that takes nothing for too long is cut off by the engine. */
  async #room(): Promise<void> {
    while (!this.#isOver && !this.#hasRoom) {
      await new Promise<void>((resolve) => {
        if (this.#outgoing.isFull) this.#client.waitForDrain(resolve);
        else this.#waiting.push(resolve);
      });
    }
  }

  #wake(): void {
    for (const waiting of this.#waiting.splice(0)) waiting();
  }
}

/** As they are now, and as the subscription has them (MQTT 5, 3.3.2.3). */
function propertiesOf(
  { properties, messageExpiry }: Extract<QueuedPacket, { cmd: "publish" }>,
  identifiers: Grant["identifiers"],
): object | undefined {
  if (messageExpiry === undefined && identifiers === undefined) return properties;
  return {
    ...properties,
    ...(messageExpiry === undefined ? {} : { messageExpiryInterval: Math.ceil((messageExpiry - Date.now()) / 1_000) }),
    ...(identifiers === undefined ? {} : { subscriptionIdentifier: identifiers }),
  };
}
