import type { Client } from "aedes";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import { isResumed } from "./connack.ts";
import { asError } from "./copies.ts";
import { InOrder } from "./in-order.ts";
import { DUPLICATE } from "./packet.ts";
import { receiveOf } from "./receives.ts";
import { noteUnknownRelease } from "./unknown-ids.ts";

export interface PacketReference {
  readonly cmd?: string;
  readonly messageId?: number;
  readonly brokerId?: string;
}

/** Packet ids of QoS 2 messages that are in the journal and not released yet. */
export interface ReleaseLedger {
  has(client: string, packetId: number): boolean;
  /** The copies of the message could not be made: when it is sent again, it is told of as one that is new. */
  doubt(client: string, packetId: number): void;
  /** Durable when it resolves. */
  release(client: string, packetId: number): Promise<void>;
}

interface Parts {
  readonly ledger: ReleaseLedger;
  readonly logger: Logger;
  /** Those of messages that are only brokered. */
  readonly stored: {
    get(client: Client, packet: PacketReference): Promise<object>;
    put(client: Client, packet: PacketReference): Promise<void>;
    has(client: Client, packet: PacketReference): Promise<boolean>;
    /** Durable when it resolves. */
    delete(client: Client, packet: PacketReference): Promise<void>;
  };
}

const NOT_STORED = new Error("no such packet");

/** Packet ids of the QoS 2 messages that clients send, from PUBLISH to PUBREL (MQTT 5, 4.3.3). */
export class IncomingIds {
  readonly #parts: Parts;
  /** By client id: what a client sends over one connection must not be overtaken by what it sends over the next. */
  readonly #looked = new InOrder();
  readonly #stored = new InOrder();
  /** Packet ids that are free again as soon as that is on disk. */
  readonly #releasing = new Map<string, Promise<void>>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Rejects when the packet id is not taken. */
  get(client: Client, packet: PacketReference): Promise<object> {
    if (DUPLICATE in packet) return Promise.resolve(packet);
    const known = receiveOf(packet)?.state ?? "unknown";
    if (known !== "unknown") return Promise.reject(NOT_STORED);
    const { ledger, stored } = this.#parts;
    // One that is being released counts as stored until that is on disk: a release that is sent again waits for it too.
    const isOpen = packet.cmd === "pubrel" && (ledger.has(client.id, packet.messageId ?? 0) || this.#releasing.has(idOf(client, packet)));
    if (isOpen) return Promise.resolve(packet);
    const found = this.#looked.after(client.id, stored.get(client, packet));
    if (packet.cmd !== "pubrel") return found;
    return found.catch((error: unknown) => {
      // In a session that is resumed "this is not an error during recovery" (MQTT 5, 3.7.2.1): it was released before, and the PUBCOMP did not arrive.
      if (!isResumed(client)) noteUnknownRelease(client, packet.messageId ?? 0);
      throw error;
    });
  }

  /**
   * Called before a packet goes to subscribers, so those of a client have to keep their order here too. In a session that has ended meanwhile
   * the packet id is free, or stands for another message [MQTT-3.1.2-4].
   */
  async store(client: Client, packet: PacketReference): Promise<void> {
    const receive = receiveOf(packet);
    if (receive?.state === "journaled") return;
    if (receive?.ended === true) return receive.settle();
    const storing = this.#stored.after(client.id, this.#parts.stored.put(client, packet));
    if (receive !== undefined) receive.storing = storing;
    const failed = await storing.then(() => undefined, asError);
    receive?.settle(failed);
    if (failed !== undefined) throw failed;
  }

  async release(client: Client, packet: PacketReference): Promise<void> {
    const id = idOf(client, packet);
    try {
      let releasing = this.#releasing.get(id);
      if (releasing === undefined) {
        releasing = this.#release(client, packet).finally(() => this.#releasing.delete(id));
        this.#releasing.set(id, releasing);
      }
      await releasing;
    } catch (error) {
      // PUBCOMP must not go out for an id that is still taken; without a connection it cannot, and the client releases again.
      this.#parts.logger.error({ client: client.id, error: messageOf(error) }, "a QoS 2 message could not be released");
      client.close();
    }
  }

  /**
   * The client may use the packet id for another message after PUBCOMP. One that came back with a power cut would make that message look like one
   * that is known, and it would be lost.
   */
  async #release(client: Client, packet: PacketReference): Promise<void> {
    const { ledger, stored } = this.#parts;
    await ledger.release(client.id, packet.messageId ?? 0);
    if (await stored.has(client, packet)) await stored.delete(client, packet);
  }
}

function idOf(client: Client, { messageId = 0 }: PacketReference): string {
  return `${messageId} ${client.id}`;
}
