import type { PublishPacket } from "aedes";

type Done = (error?: Error) => void;

/** A message as sessions and later subscribers get it. Its number is its place in their queues. */
export interface StoredPacket extends PublishPacket {
  readonly brokerId: string;
  readonly brokerCounter: number;
  readonly messageExpiry?: number;
  clientId?: string;
}

/** Where copies are kept. */
interface Shelf {
  /** True when it is known that no stored session wants this topic. */
  hasNoOffline(topic: string): boolean;
  enqueue(packets: readonly StoredPacket[]): Promise<void>;
  storeRetained(packet: StoredPacket): Promise<void>;
  /** Resolves when what was stored so far survives a power cut, as far as the gateway is to. */
  secure(): Promise<void>;
}

interface Order {
  readonly packet: PublishPacket;
  readonly stored: StoredPacket;
  readonly done: Done;
}

const STORED = Symbol("stored");

/** The packet as it was stored, if its copies were made before it was acknowledged. */
export function storedOf(packet: object): StoredPacket | undefined {
  return (packet as { readonly [STORED]?: StoredPacket })[STORED];
}

/**
 * Makes the copies of a client's message that outlive this process, for stored sessions and as retained message, before the message is
 * acknowledged; the protocol engine would make them afterwards, and a crash between the two would lose them. Messages that come in while
 * copies are being written share the next write and its sync, and all of them go on in the order in which they came.
 */
export class Copies {
  readonly #shelf: Shelf;
  readonly #number: (packet: PublishPacket) => StoredPacket;
  #waiting: Order[] = [];
  #busy = false;
  /** How many messages are under way with a topic. */
  readonly #topics = new Map<string, number>();

  constructor(shelf: Shelf, number: (packet: PublishPacket) => StoredPacket) {
    this.#shelf = shelf;
    this.#number = number;
  }

  /**
   * Whether copies of this message may be wanted. To be asked when they would be made: of two messages with a topic the later one must not
   * have copies, with a number, before it is known whether the earlier one gets any. A will is not acknowledged, so the engine sees to it.
   */
  wanted({ qos, messageId, retain, topic }: PublishPacket): boolean {
    if (qos === 0 || messageId === undefined) return false;
    // A message must not overtake an earlier one with its topic whose copies are being made.
    const follows = this.#topics.size > 0 && this.#topics.has(topic);
    return follows || retain || !this.#shelf.hasNoOffline(topic);
  }

  /** Calls `done` when the copies of the message are stored. */
  make(packet: PublishPacket, done: Done): void {
    const { topic } = packet;
    this.#topics.set(topic, (this.#topics.get(topic) ?? 0) + 1);
    this.#waiting.push({ packet, stored: this.#number(packet), done });
    if (!this.#busy) void this.#run();
  }

  #ended(topic: string): void {
    const left = (this.#topics.get(topic) ?? 1) - 1;
    if (left === 0) this.#topics.delete(topic);
    else this.#topics.set(topic, left);
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      const orders = this.#waiting.splice(0);
      const error = await this.#store(orders).then(() => undefined, asError);
      for (const { packet, stored, done } of orders) {
        if (error === undefined) Object.defineProperty(packet, STORED, { value: stored });
        this.#ended(packet.topic);
        done(error);
      }
    }
    this.#busy = false;
  }

  async #store(orders: readonly Order[]): Promise<void> {
    // Of a topic only the newest is kept, and writes that are under way together may pass one another.
    const retained = new Map<string, StoredPacket>();
    for (const { stored } of orders) if (stored.retain) retained.set(stored.topic, stored);
    await Promise.all([
      this.#shelf.enqueue(orders.map(({ stored }) => stored)),
      ...[...retained.values()].map((stored) => this.#shelf.storeRetained(stored)),
    ]);
    await this.#shelf.secure();
  }
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
